"""The tables of repository sizes, one transaction at a time (spec 04 §8, §9.1)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from annexshell.model.ids import UUID
from annexshell.repository.errors import SizesBroken, SizesUnusable
from annexshell.repository.git import ObjectId
from annexshell.repository.modes import Sharing
from annexshell.repository.sizedb import SizeDb
from annexshell.repository.sizetables import BEGINNING, create, set_aside
from tests.support.repositories import C1, U1, U2
from tests.support.sizes import key

COMMIT = ObjectId("a" * 40)
K = key("a")
ME, OTHER = 1 << 40, 4711


@pytest.fixture
def path(tmp_path: Path) -> str:
    made = str(tmp_path / "reposize/db/db")
    create(made, Sharing(), str(tmp_path))
    return made


@pytest.fixture
def sizes(path: str) -> Iterator[SizeDb]:
    with closing(SizeDb(path, 5.0)) as opened:
        yield opened


def test_a_new_one_has_what_git_annex_expects(path: str, sizes: SizeDb) -> None:
    assert sizes.recorded() is None
    found = sizes.snapshot()
    assert (found.totals, found.live, found.pids) == ({}, {}, frozenset())
    with closing(sqlite3.connect(path)) as opened:
        for pragma, value in (
            ("journal_mode", "wal"),
            ("page_size", 4096),
            ("user_version", 0),
        ):
            assert opened.execute(f"PRAGMA {pragma}").fetchone() == (value,)
    assert not os.path.exists(os.path.dirname(path) + ".tmp")


def test_a_new_one_is_made_in_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for the disk, and so would the first upload."""
    said: list[str] = []
    connect = sqlite3.connect

    def traced(name: str) -> sqlite3.Connection:
        opened = connect(name)
        opened.set_trace_callback(said.append)
        return opened

    monkeypatch.setattr(sqlite3, "connect", traced)
    create(str(tmp_path / "reposize/db/db"), Sharing(), str(tmp_path))
    begun = said.index("BEGIN")
    assert all(text.startswith("CREATE") for text in said[begun + 1 : -1])
    assert said[-1] == "COMMIT" and len(said) > begun + 5


@pytest.mark.parametrize(
    ("sharing", "file", "directory"),
    [(None, 0o600, 0o700), ("group", 0o660, 0o2770), ("0640", 0o640, 0o2750)],
)
def test_modes_by_core_sharedrepository(
    tmp_path: Path, sharing: str | None, file: int, directory: int
) -> None:
    tmp_path.chmod(0o2700 if sharing else 0o700)
    before = os.umask(0o077)
    try:
        path = tmp_path / "reposize/db/db"
        create(str(path), Sharing.parse(sharing), str(tmp_path))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o7777 == file
    for made in (path.parent, path.parent.parent):
        assert made.stat().st_mode & 0o7777 == directory


def test_what_a_crash_left_half_made_is_no_obstacle(tmp_path: Path) -> None:
    left = tmp_path / "reposize/db.tmp"
    left.mkdir(parents=True)
    (left / "db").write_bytes(b"half")
    path = str(tmp_path / "reposize/db/db")
    create(path, Sharing(), str(tmp_path))
    with closing(SizeDb(path, 5.0)) as opened:
        assert opened.recorded() is None


def test_sizes_of_a_commit(sizes: SizeDb) -> None:
    sizes.record(COMMIT, {U1: 5, U2: 10**18})
    found = sizes.recorded()
    assert found is not None
    assert (found.commit, found.sizes) == (COMMIT, {U1: 5, U2: 10**18})
    later = ObjectId("b" * 40)
    sizes.record(later, {U2: 7})
    found = sizes.recorded()
    assert found is not None and (found.commit, found.sizes) == (later, {U2: 7})


def test_sizes_of_several_commits_are_of_none(path: str, sizes: SizeDb) -> None:
    sizes.record(COMMIT, {U1: 5})
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute("INSERT INTO annex_branch (\"commit\") VALUES ('c')")
    assert sizes.recorded() is None


def test_types_are_those_of_git_annex(path: str, sizes: SizeDb) -> None:
    sizes.record(COMMIT, {U1: 5})
    sizes.reserve(ME, K, [U1])
    sizes.complete(K, {U2: 1}, (), None)
    with closing(sqlite3.connect(path)) as opened:
        for table, columns, types in (
            ("repo_sizes", "repo, size", ("blob", "text")),
            (
                "live_size_changes",
                "repo, key, changeid, changepid, change",
                ("blob", "blob", "text", "text", "integer"),
            ),
            ("size_changes", "repo, rollingtotal", ("blob", "text")),
            ("recent_changes", "repo, key, change", ("blob", "blob", "integer")),
        ):
            asked = ", ".join(f"typeof({name})" for name in columns.split(", "))
            assert opened.execute(f"SELECT {asked} FROM {table}").fetchall() == [types]


def test_what_several_announce_counts_once(sizes: SizeDb) -> None:
    sizes.reserve(ME, K, [U1, U2])
    sizes.reserve(OTHER, K, [U1])
    sizes.reserve(OTHER, key("b", 7), [U1])
    found = sizes.snapshot()
    assert found.live == {U1: 107, U2: 100}
    assert found.pids == {str(ME), str(OTHER)}


def test_removals_on_their_way_do_not_count(path: str, sizes: SizeDb) -> None:
    sizes.reserve(ME, K, [U1])
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute("UPDATE live_size_changes SET change = -1")
    assert sizes.snapshot().live == {}


def test_completing_moves_from_one_table_to_the_other(sizes: SizeDb) -> None:
    sizes.reserve(ME, K, [U1, U2])
    sizes.complete(K, {U1: 1}, [U1], ME)
    found = sizes.snapshot()
    assert (found.totals, found.live) == ({U1: 100}, {U2: 100})


def test_the_same_removal_counts_once(sizes: SizeDb) -> None:
    """What it got in between was not counted, so its going is not either."""
    sizes.complete(K, {U1: 1, U2: 1}, (), None)
    sizes.complete(key("b", 500), {U1: 1}, (), None)
    for _ in range(2):
        assert sizes.complete(K, {U1: -1}, (), None)
    assert sizes.snapshot().totals == {U1: 500, U2: 100}


def test_what_was_added_is_not_on_its_way_any_more(sizes: SizeDb) -> None:
    sizes.reserve(OTHER, K, [U1])
    sizes.complete(K, {U1: 1}, [U1], ME)
    found = sizes.snapshot()
    # The other's row says what is in the total already.
    assert (found.totals, found.live) == ({U1: 100}, {})


def test_what_comes_back_after_a_removal_that_was_not_counted(sizes: SizeDb) -> None:
    """git-annex removes content without saying so here. It takes room again then, while
    it is on its way as well as afterwards."""
    sizes.complete(K, {U1: 1}, (), None)
    sizes.reserve(ME, K, [U1])
    found = sizes.snapshot()
    assert (found.totals, found.live) == ({U1: 100}, {U1: 100})
    sizes.complete(K, {U1: 1}, [U1], ME)
    found = sizes.snapshot()
    assert (found.totals, found.live) == ({U1: 200}, {})
    for total in (100, 200):  # The same where nobody announced it.
        sizes.complete(K, {U2: 1}, (), None)
        assert sizes.snapshot().totals[U2] == total


def test_no_total_is_below_0(sizes: SizeDb) -> None:
    """git-annex fails to read it, and then cannot do anything that goes by sizes."""
    assert not sizes.complete(K, {U1: -1}, (), None)
    assert sizes.snapshot().totals == {U1: 0}
    assert sizes.complete(K, {U1: 1}, (), None)
    assert sizes.snapshot().totals == {U1: 100}


def test_what_is_there_at_the_beginning_can_be_removed(tmp_path: Path) -> None:
    path = str(tmp_path / "reposize/db/db")
    create(path, Sharing(), str(tmp_path), [U1])
    with closing(SizeDb(path, 5.0)) as made:
        assert made.snapshot().totals == {U1: BEGINNING}
        assert made.complete(K, {U1: -1}, (), None)
        assert made.snapshot().totals == {U1: BEGINNING - 100}


def test_what_is_left_of_a_deleted_one_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "reposize/db/db"
    path.parent.mkdir(parents=True)
    (path.parent / "db-wal").write_bytes(b"left")
    create(str(path), Sharing(), str(tmp_path))
    with closing(SizeDb(str(path), 5.0)) as made:
        assert made.recorded() is None


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    path = f"{tmp_path}/\udcff %?#/db/db"
    create(path, Sharing(), str(tmp_path))
    with closing(SizeDb(path, 5.0)) as made:
        assert made.recorded() is None


def test_there_and_back_and_there_again(sizes: SizeDb) -> None:
    for change, total in ((1, 100), (-1, 0), (1, 100), (-1, 0)):
        sizes.complete(K, {U1: change}, (), None)
        assert sizes.snapshot().totals == {U1: total}


def test_recording_sizes_leaves_what_others_rely_on(path: str, sizes: SizeDb) -> None:
    """Totals stay, and so does what says that another's row was counted."""
    sizes.reserve(OTHER, K, [U1])
    sizes.complete(K, {U1: 1, U2: 1}, (), None)
    sizes.record(COMMIT, {U1: 100, U2: 100})
    found = sizes.snapshot()
    assert (found.totals, found.live) == ({U1: 100, U2: 100}, {})
    with closing(sqlite3.connect(path)) as opened:
        kept = opened.execute("SELECT repo, key, change FROM recent_changes").fetchall()
    assert kept == [(U1, K.text, 1)]


def test_taking_back_concerns_the_own_rows_of_the_key(sizes: SizeDb) -> None:
    sizes.reserve(ME, K, [U1])
    sizes.reserve(ME, key("b", 1), [U1])
    sizes.reserve(OTHER, K, [U2])
    sizes.release(ME, [K])
    assert sizes.snapshot().live == {U1: 1, U2: 100}
    sizes.forget([str(OTHER)])
    assert sizes.snapshot().live == {U1: 1}
    sizes.rename(ME, OTHER)
    assert sizes.snapshot().pids == {str(OTHER)}


def test_a_text_where_a_blob_should_be(path: str, sizes: SizeDb) -> None:
    sizes.reserve(ME, K, [U1])
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute("UPDATE live_size_changes SET repo = CAST(repo AS TEXT)")
        opened.execute("UPDATE live_size_changes SET key = 'no key'")
    assert sizes.snapshot().live == {U1: 0}


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000], ids=str)
def test_what_is_no_database_is_broken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "db").mkdir()
    path = tmp_path / "db/db"
    path.write_bytes(content)
    with pytest.raises(SizesBroken, match="db/db"):
        SizeDb(str(path), 1.0)
    assert set_aside(str(path)) == str(tmp_path / "db.broken")
    assert (tmp_path / "db.broken/db").read_bytes() == content
    assert not path.exists()


def test_numbers_that_are_none_are_broken(path: str, sizes: SizeDb) -> None:
    sizes.record(COMMIT, {U1: 5})
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute("UPDATE repo_sizes SET size = 'many'")
    with pytest.raises(SizesBroken):
        sizes.recorded()


def test_tables_of_a_later_git_annex_are_left_alone(path: str) -> None:
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("DROP TABLE recent_changes")
    with pytest.raises(SizesUnusable, match="recent_changes") as told:
        SizeDb(path, 1.0)
    assert not isinstance(told.value, SizesBroken)


def test_waiting_for_a_writer_is_bounded(path: str, sizes: SizeDb) -> None:
    sizes.timeout = 0.05
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SizesUnusable, match="locked"):
            sizes.reserve(ME, K, [U1])
        assert sizes.snapshot().live == {}
        other.execute("COMMIT")
    sizes.reserve(ME, K, [C1])


def test_nothing_is_left_of_a_transaction_that_failed(path: str, sizes: SizeDb) -> None:
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute(
            "CREATE TRIGGER full BEFORE INSERT ON recent_changes WHEN NEW.change = -1"
            " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    sizes.reserve(ME, K, [U1])
    with pytest.raises(SizesUnusable, match="disk full"):
        sizes.complete(K, {U1: 1, U2: -1}, [U1], ME)
    found = sizes.snapshot()
    assert (found.totals, found.live) == ({}, {U1: 100})


# -- what another user has written ---------------------------------------------------------


def rewritten(path: str, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as opened, opened:
        for statement in statements:
            opened.execute(statement)


@pytest.mark.parametrize(
    "statements",
    [
        (
            "DROP TABLE size_changes",
            "CREATE VIEW size_changes AS WITH RECURSIVE x(n) AS"
            " (SELECT 1 UNION ALL SELECT n FROM x) SELECT n repo, n rollingtotal FROM x",
        ),
        (
            "DROP TABLE size_changes",
            "CREATE VIRTUAL TABLE size_changes USING fts5(repo, rollingtotal)",
        ),
        (
            "CREATE TRIGGER t AFTER INSERT ON live_size_changes BEGIN"
            " DELETE FROM repo_sizes; END",
        ),
    ],
)
def test_nothing_is_run_that_the_file_asks_for(
    path: str, statements: tuple[str, ...]
) -> None:
    rewritten(path, *statements)
    with pytest.raises(SizesUnusable) as refused:
        SizeDb(path, 5.0)
    assert not isinstance(refused.value, SizesBroken)


@pytest.mark.parametrize("value", ["9e999", "NULL", f"'1{'0' * 4250}'", "x'ff'"])
def test_a_number_that_is_none_is_found_broken(path: str, value: str) -> None:
    rewritten(
        path,
        "DROP TABLE size_changes",
        "CREATE TABLE size_changes (repo, rollingtotal, UNIQUE (repo))",
        f"INSERT INTO size_changes VALUES (x'{U1.hex()}', {value})",
    )
    with closing(SizeDb(path, 5.0)) as opened:
        with pytest.raises(SizesBroken):
            opened.snapshot()
        with pytest.raises(SizesBroken):
            opened.complete(K, {U1: 1}, [], None)


def test_no_transaction_lasts_for_ever(
    sizes: SizeDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes.record(COMMIT, {UUID(b"%d" % n): n for n in range(3000)})
    monkeypatch.setattr("annexshell.repository.sizedb._LONGEST", -1.0)
    with pytest.raises(SizesUnusable, match="interrupted"):
        sizes.recorded()
    monkeypatch.undo()
    found = sizes.recorded()
    assert found is not None and len(found.sizes) == 3000


def test_a_new_one_is_not_made_behind_a_link(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "reposize").mkdir()
    (tmp_path / "reposize/db.tmp").symlink_to(other)
    with pytest.raises(FileExistsError):
        create(str(tmp_path / "reposize/db/db"), Sharing(), str(tmp_path))
    assert not list(other.iterdir())
