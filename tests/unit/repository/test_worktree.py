"""Unlocked files, filled by PUT and emptied by REMOVE (spec 02 §13)."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from annexshell.model.key import Key
from annexshell.repository import exchange
from annexshell.repository.content import Content
from annexshell.repository.entries import Entry
from annexshell.repository.filelock import try_lock
from annexshell.repository.keysdb import Identity, record_caches
from annexshell.repository.open import Repository, open_repository
from annexshell.repository.pointers import pointer_text
from tests.support.content import (
    HELLO,
    drop,
    files_below,
    make_repository,
    mode_of,
    object_path,
    put,
    reopened,
    sha256_key,
)
from tests.support.unlocked import (
    add_unlocked,
    associate,
    restage_log,
    rows,
    stage,
    work_path,
)

KEY = sha256_key(HELLO)
WORM = Key.parse(b"WORM-s6-m1--x")
POINTER = pointer_text(KEY)
OLD = (10**18 + 50, 10**18 + 50)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "r", bare=False, annex_diskreserve="0")


@pytest.fixture
def content(repository: Repository) -> Content:
    return Content(repository)


@pytest.fixture
def thin(tmp_path: Path) -> Repository:
    return make_repository(
        tmp_path / "t", bare=False, annex_thin="true", annex_diskreserve="0"
    )


def scratch_files(repository: Repository) -> list[Path]:
    return list(files_below(Path(repository.annex_dir, "othertmp")))


def edit_before_exchange(
    monkeypatch: pytest.MonkeyPatch, edit: Callable[[], object]
) -> None:
    """An edit in the moment between looking and replacing."""
    real = exchange._exchange
    edits = [edit]

    def wrapped(one: Entry, other: Entry) -> None:
        if edits:
            edits.pop()()
        real(one, other)

    monkeypatch.setattr(exchange, "_exchange", wrapped)


# -- PUT ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o644, 0o755, 0o600])
def test_a_pointer_becomes_content(repository: Repository, mode: int) -> None:
    path = add_unlocked(repository, "d/f", KEY, mode=mode)
    assert put(Content(repository), KEY, HELLO)
    source = object_path(repository, KEY)
    assert path.read_bytes() == HELLO
    assert mode_of(path) == mode
    assert path.stat().st_mtime_ns == source.stat().st_mtime_ns
    assert path.stat().st_nlink == source.stat().st_nlink == 1
    assert mode_of(source) & 0o222 == 0
    identities = [Identity.of(p.stat()).text for p in (path, source)]
    assert rows(repository) == sorted((KEY.text, text) for text in identities)
    assert restage_log(repository) == f"{identities[0]}:d/f\n"
    assert scratch_files(repository) == []


def test_every_file_of_the_key_is_filled_and_no_other(
    repository: Repository, content: Content
) -> None:
    other = sha256_key(b"other\n")
    paths = [add_unlocked(repository, name, KEY) for name in ("a", "b c", "d/ä")]
    stays = add_unlocked(repository, "stays", other)
    assert put(content, KEY, HELLO)
    assert [path.read_bytes() for path in paths] == [HELLO] * 3
    assert stays.read_bytes() == pointer_text(other)


@pytest.mark.parametrize(
    "now", [b"edited", b"", POINTER + b"more\n", pointer_text(sha256_key(b"o"))]
)
def test_what_is_no_pointer_of_the_key_stays(
    repository: Repository, content: Content, now: bytes
) -> None:
    path = add_unlocked(repository, "f", KEY, now)
    assert put(content, KEY, HELLO)
    assert path.read_bytes() == now
    assert restage_log(repository) == ""


def test_a_pointer_that_is_not_in_the_index_stays(
    repository: Repository, content: Content
) -> None:
    add_unlocked(repository, "f", KEY)
    path = work_path(repository, "untracked")
    path.write_bytes(POINTER)
    assert put(content, KEY, HELLO)
    assert path.read_bytes() == POINTER


def test_a_locked_file_is_none(repository: Repository, content: Content) -> None:
    stage(repository, "f", POINTER, "120000")
    path = work_path(repository, "f")
    path.symlink_to("elsewhere")
    assert put(content, KEY, HELLO)
    assert os.readlink(path) == "elsewhere"
    assert rows(repository) == []


def test_the_object_of_a_locked_file_is_recorded(
    repository: Repository, content: Content
) -> None:
    record_caches(content.annex, WORM, [])
    associate(repository, KEY, b"locked")
    assert put(content, KEY, HELLO)
    source = Identity.of(object_path(repository, KEY).stat())
    assert rows(repository) == [(KEY.text, source.text)]


@pytest.mark.parametrize(
    "file", [b"../out", b"/out", b".git/out", b"d/../../out", b"sub/.GIT/out", b""]
)
def test_paths_of_the_database_are_not_trusted(
    repository: Repository, content: Content, tmp_path: Path, file: bytes
) -> None:
    record_caches(content.annex, WORM, [])
    associate(repository, KEY, file)
    for out in (tmp_path / "out", Path(repository.git_dir, "out")):
        out.write_bytes(POINTER)
    assert put(content, KEY, HELLO)
    for out in (tmp_path / "out", Path(repository.git_dir, "out")):
        assert out.read_bytes() == POINTER


def test_a_symlinked_directory_is_not_followed(
    repository: Repository, content: Content, tmp_path: Path
) -> None:
    path = add_unlocked(repository, "d/f", KEY)
    path.parent.rename(tmp_path / "elsewhere")
    path.parent.symlink_to(tmp_path / "elsewhere")
    assert put(content, KEY, HELLO)
    assert path.read_bytes() == POINTER
    path.write_bytes(HELLO)
    assert drop(content, KEY)
    assert path.read_bytes() == HELLO


def test_a_pointer_edited_meanwhile_stays_edited(
    repository: Repository, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = add_unlocked(repository, "f", KEY)
    edit_before_exchange(monkeypatch, lambda: path.write_bytes(b"edit"))
    assert put(content, KEY, HELLO)
    assert path.read_bytes() == b"edit"
    assert scratch_files(repository) == []
    assert restage_log(repository) == ""


def cannot(*_: object) -> None:
    raise OSError(errno.EINVAL, "cannot do that")


@pytest.mark.parametrize("is_thin", ["true", "false"])
def test_where_files_cannot_change_places_they_follow_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_thin: str
) -> None:
    repository = make_repository(tmp_path / "r", bare=False, annex_thin=is_thin)
    monkeypatch.setattr(exchange, "_exchange", cannot)
    path = add_unlocked(repository, "f", KEY)
    content = Content(repository)
    assert put(content, KEY, HELLO)
    assert path.read_bytes() == HELLO
    assert path.samefile(object_path(repository, KEY)) is (is_thin == "true")
    assert drop(content, KEY)
    assert path.read_bytes() == POINTER
    assert scratch_files(repository) == []
    assert sorted(os.listdir(path.parent)) == [".git", "f"]


def test_where_files_can_neither_change_places_nor_be_linked_pointers_stay(
    repository: Repository,
    content: Content,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(exchange, "_exchange", cannot)
    monkeypatch.setattr(exchange, "_link", cannot)
    path = add_unlocked(repository, "f", KEY)
    with caplog.at_level(logging.WARNING, "annexshell.repository"):
        assert put(content, KEY, HELLO)
    assert path.read_bytes() == POINTER
    assert scratch_files(repository) == []
    assert "f is left as it is" in caplog.text


def test_without_room_the_pointer_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from annexshell.errors import NotEnoughSpace
    from annexshell.repository import worktree

    def full(*_: object) -> None:
        raise NotEnoughSpace(missing="1 TB", where="here")

    monkeypatch.setattr(worktree, "check_space", full)
    repository = make_repository(tmp_path / "r", bare=False)
    path = add_unlocked(repository, "f", KEY)
    assert put(Content(repository), KEY, HELLO)
    assert path.read_bytes() == POINTER
    assert "not enough free space" in caplog.text


def test_an_unusable_database_fails_nothing(
    repository: Repository, content: Content, caplog: pytest.LogCaptureFixture
) -> None:
    path = add_unlocked(repository, "f", KEY)
    database = Path(repository.annex_dir, "keysdb", "db")
    database.parent.mkdir()
    database.write_bytes(b"no database" * 100)
    assert put(content, KEY, HELLO)
    assert path.read_bytes() == HELLO
    assert "recording files with content" in caplog.text
    assert drop(content, KEY)
    assert path.read_bytes() == POINTER
    assert len(restage_log(repository).splitlines()) == 2


def test_a_broken_index_fails_nothing(
    repository: Repository, content: Content, caplog: pytest.LogCaptureFixture
) -> None:
    path = add_unlocked(repository, "f", KEY)
    Path(repository.git_dir, "index").write_bytes(b"no index")
    assert put(content, KEY, HELLO)
    assert path.read_bytes() == POINTER
    path.write_bytes(HELLO)
    assert drop(content, KEY)
    assert path.read_bytes() == HELLO
    assert "keep their content" in caplog.text


def test_a_name_with_a_line_feed_is_not_listed(
    repository: Repository, content: Content
) -> None:
    path = add_unlocked(repository, "a\nb", KEY)
    assert put(content, KEY, HELLO)
    assert path.read_bytes() == HELLO
    assert restage_log(repository) == ""


def test_an_index_that_changes_is_read_again(
    repository: Repository, content: Content
) -> None:
    first = add_unlocked(repository, "first", KEY)
    assert put(content, KEY, HELLO)
    second = add_unlocked(repository, "second", KEY)
    assert drop(content, KEY)
    assert put(content, KEY, HELLO)
    assert first.read_bytes() == second.read_bytes() == HELLO


# -- annex.thin ---------------------------------------------------------------------------


def test_thin_files_are_the_object_itself(thin: Repository) -> None:
    first = add_unlocked(thin, "a", KEY, mode=0o755)
    second = add_unlocked(thin, "b", KEY)
    content = Content(thin)
    assert put(content, KEY, HELLO)
    source = object_path(thin, KEY)
    assert first.samefile(source)
    assert mode_of(source) == 0o755
    assert source.stat().st_nlink == 2
    assert second.read_bytes() == HELLO
    assert not second.samefile(source)
    assert content.present(KEY)
    assert drop(content, KEY)
    assert first.read_bytes() == second.read_bytes() == POINTER
    assert mode_of(first) == 0o755


def test_an_edited_thin_file_stays(thin: Repository) -> None:
    path = add_unlocked(thin, "a", KEY)
    content = Content(thin)
    assert put(content, KEY, HELLO)
    path.write_bytes(b"edits\n")
    os.utime(path, ns=OLD)
    assert drop(content, KEY)
    assert path.read_bytes() == b"edits\n"
    assert path.samefile(object_path(thin, KEY))


def test_a_thin_object_that_got_no_second_name_is_frozen(
    thin: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = add_unlocked(thin, "a", KEY)
    edit_before_exchange(monkeypatch, lambda: path.write_bytes(b"edit"))
    assert put(Content(thin), KEY, HELLO)
    assert path.read_bytes() == b"edit"
    source = object_path(thin, KEY)
    assert source.stat().st_nlink == 1
    assert mode_of(source) & 0o222 == 0


# -- REMOVE -------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("version", ["8", "9", "10"])
@pytest.mark.parametrize("is_thin", ["true", "false"])
def test_content_becomes_a_pointer(tmp_path: Path, version: str, is_thin: str) -> None:
    repository = make_repository(
        tmp_path / "r",
        bare=False,
        version=version,
        annex_thin=is_thin,
        annex_diskreserve="0",
    )
    path = add_unlocked(repository, "d/f", KEY, mode=0o755)
    content = Content(repository)
    assert put(content, KEY, HELLO)
    before = path.stat()
    assert drop(reopened(repository), KEY)
    assert path.read_bytes() == POINTER
    assert path.stat().st_mode == before.st_mode
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert rows(repository) == []
    noted = restage_log(repository).splitlines()
    assert noted[1:] == [f"{Identity.of(path.stat()).text}:d/f"]
    assert scratch_files(repository) == []


def test_unrecorded_content_is_known_by_its_digest(
    repository: Repository, content: Content
) -> None:
    path = add_unlocked(repository, "f", KEY, HELLO)
    assert put(content, KEY, HELLO)
    assert drop(content, KEY)
    assert path.read_bytes() == POINTER


@pytest.mark.parametrize("now", [b"edits\n", b"longer edit\n", b""])
def test_a_modified_file_is_never_touched(
    repository: Repository, content: Content, now: bytes
) -> None:
    path = add_unlocked(repository, "f", KEY)
    assert put(content, KEY, HELLO)
    path.write_bytes(now)
    os.utime(path, ns=OLD)
    before = path.stat()
    assert drop(content, KEY)
    assert path.read_bytes() == now
    after = path.stat()
    assert after.st_ino == before.st_ino
    assert after.st_ctime_ns == before.st_ctime_ns
    assert rows(repository) == []


def test_content_without_digest_goes_only_if_it_was_recorded(
    repository: Repository, content: Content
) -> None:
    known = add_unlocked(repository, "known", WORM)
    assert put(content, WORM, HELLO)
    unknown = add_unlocked(repository, "unknown", WORM, b"other\n")
    # A faithful copy of the repository may be told by size and second, but not to delete.
    Path(repository.annex_dir, "sentinal.cache").unlink(missing_ok=True)
    os.utime(unknown, ns=(known.stat().st_mtime_ns, known.stat().st_mtime_ns))
    assert drop(content, WORM)
    assert known.read_bytes() == pointer_text(WORM)
    assert unknown.read_bytes() == b"other\n"


def test_what_was_taken_out_of_the_annex_stays(
    repository: Repository, content: Content
) -> None:
    """The database still knows the file, but the index does not call it a pointer."""
    for name, staged in (("changed", b"edit"), ("plain", HELLO)):
        add_unlocked(repository, name, KEY)
        stage(repository, name, staged, "100644")
    add_unlocked(repository, "removed", KEY)
    subprocess.run(
        ["git", "-C", repository.path, "rm", "-q", "--cached", "removed"], check=True
    )
    record_caches(content.annex, WORM, [])
    assert put(content, KEY, HELLO)
    for name in ("changed", "plain", "removed"):
        associate(repository, KEY, name.encode())
        work_path(repository, name).write_bytes(HELLO)
    assert drop(content, KEY)
    for name in ("changed", "plain", "removed"):
        assert work_path(repository, name).read_bytes() == HELLO


def test_an_edit_meanwhile_stays(
    repository: Repository, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = add_unlocked(repository, "f", KEY)
    assert put(content, KEY, HELLO)
    edit_before_exchange(monkeypatch, lambda: path.write_bytes(b"the user's edit"))
    assert drop(content, KEY)
    assert path.read_bytes() == b"the user's edit"
    assert not content.present(KEY)
    assert scratch_files(repository) == []


def test_a_file_open_in_an_editor_stays(
    repository: Repository, content: Content
) -> None:
    path = add_unlocked(repository, "f", KEY)
    assert put(content, KEY, HELLO)
    with path.open("ab") as editor:
        assert drop(content, KEY)
        editor.write(b"more")
    assert path.read_bytes() == HELLO + b"more"


def test_a_modified_file_that_was_the_frozen_object_is_thawed(
    repository: Repository, content: Content
) -> None:
    path = add_unlocked(repository, "f", KEY)
    assert put(content, KEY, HELLO)
    source = object_path(repository, KEY)
    path.unlink()
    os.link(source, path)
    source.chmod(0o600)
    source.write_bytes(b"edits\n")
    source.chmod(0o444)
    os.utime(source, ns=OLD)
    assert drop(content, KEY)
    assert path.read_bytes() == b"edits\n"
    assert mode_of(path) == 0o644


def test_what_is_erased_is_the_content_and_not_the_pointer(tmp_path: Path) -> None:
    told = tmp_path / "told"
    repository = make_repository(
        tmp_path / "r",
        bare=False,
        annex_diskreserve="0",
        more={"annex_secure-erase-command": f"cat %file >>{told}; rm %file"},
    )
    path = add_unlocked(repository, "f", KEY)
    content = Content(repository)
    assert put(content, KEY, HELLO)
    assert drop(content, KEY)
    assert told.read_bytes() == HELLO * 2
    assert path.read_bytes() == POINTER


def test_a_file_with_another_name_is_not_erased(tmp_path: Path) -> None:
    repository = make_repository(
        tmp_path / "r",
        bare=False,
        annex_diskreserve="0",
        more={"annex_secure-erase-command": "printf erased >%file"},
    )
    path = add_unlocked(repository, "f", KEY)
    content = Content(repository)
    assert put(content, KEY, HELLO)
    os.link(path, tmp_path / "second")
    assert drop(content, KEY)
    assert path.read_bytes() == POINTER
    assert (tmp_path / "second").read_bytes() == HELLO


# -- all of it ----------------------------------------------------------------------------


def test_scratch_files_are_made_under_the_lock_that_protects_them(
    repository: Repository, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look() -> None:
        lock = Path(repository.annex_dir, "othertmp.lck")
        seen.append(try_lock(str(lock), exclusive=True))

    add_unlocked(repository, "f", KEY)
    edit_before_exchange(monkeypatch, look)
    assert put(content, KEY, HELLO)
    assert seen == [None]


@pytest.mark.thorough
def test_a_bare_repository_loads_nothing_of_this(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", annex_diskreserve="0")
    put(Content(repository), KEY, HELLO)
    program = (
        "import sys\n"
        "from annexshell.repository.content import Content\n"
        "from annexshell.repository.open import open_repository\n"
        "from tests.support.content import HELLO, drop, put, sha256_key\n"
        "content = Content(open_repository(sys.argv[1]))\n"
        "key = sha256_key(HELLO)\n"
        "assert drop(content, key) and put(content, key, HELLO)\n"
        "for name in ('sqlite3', 'ctypes', 'annexshell.repository.worktree'):\n"
        "    assert name not in sys.modules, name\n"
    )
    root = Path(__file__).resolve().parents[3]
    subprocess.run(
        [sys.executable, "-c", program, repository.path], check=True, cwd=root
    )


def test_sqlite_is_told_what_git_annex_would_tell_it(
    repository: Repository, content: Content
) -> None:
    record_caches(content.annex, KEY, [Identity(12, 6, 1795245750_050000000)])
    record_caches(content.annex, KEY, [Identity(12, 6, 1795245750_050000000)])
    database = sqlite3.connect(Path(repository.annex_dir, "keysdb", "db"))
    try:
        found = database.execute("SELECT * FROM content").fetchall()
        assert found == [(1, KEY.text, "12 6 1795245750 05", "6", 1795245750)]
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        database.close()


def test_a_database_elsewhere_is_made_there(tmp_path: Path) -> None:
    repository = make_repository(
        tmp_path / "r",
        bare=False,
        annex_diskreserve="0",
        annex_dbdir=str(tmp_path / "db"),
    )
    path = add_unlocked(repository, "f", KEY)
    assert put(Content(repository), KEY, HELLO)
    assert path.read_bytes() == HELLO
    there = tmp_path / "db" / repository.uuid.decode()
    assert sorted(os.listdir(there)) == ["keysdb", "keysdb.lck"]
    assert not Path(repository.annex_dir, "keysdb").exists()


def test_a_work_tree_on_its_own_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "top"
    top.mkdir()
    repository = make_repository(
        tmp_path / "r", bare=False, annex_diskreserve="0", core_worktree=str(top)
    )
    path = add_unlocked(repository, "d/f", KEY)
    assert path.parent.parent == top
    monkeypatch.chdir(path.parent)
    content = Content(repository)
    assert put(content, KEY, HELLO)
    assert path.read_bytes() == HELLO
    assert drop(content, KEY)
    assert path.read_bytes() == POINTER


def test_paths_do_not_depend_on_where_we_are(
    repository: Repository, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [add_unlocked(repository, name, KEY) for name in ("f", "d/f", "d/*")]
    monkeypatch.chdir(paths[1].parent)
    assert put(content, KEY, HELLO)
    assert [path.read_bytes() for path in paths] == [HELLO] * 3


def test_an_index_of_a_git_with_sha256(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "old", bare=False)
    config = Path(repository.git_dir, "config").read_text()
    new = tmp_path / "new"
    subprocess.run(
        ["git", "init", "--quiet", "--object-format=sha256", str(new)], check=True
    )
    with (new / ".git/config").open("a") as text:
        text.write(config[config.index("[annex]") :])
    (new / ".git/annex").mkdir()
    repository = open_repository(os.path.realpath(new))
    path = add_unlocked(repository, "f", KEY)
    assert put(Content(repository), KEY, HELLO)
    assert path.read_bytes() == HELLO
