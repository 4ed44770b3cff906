"""Sizes as several sessions see them at once, and deciding by them (spec 04 §8 to §10)."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from annexshell.errors import BranchUnreadable, JournalFailed
from annexshell.model.clock import SECOND, Clock
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository import sizebase, sizedb, sizing
from annexshell.repository.branch import Branch
from annexshell.repository.errors import SizesUnusable
from annexshell.repository.filelock import try_lock
from annexshell.repository.journal import Journal
from annexshell.repository.sizedb import SizeDb
from annexshell.repository.sizes import RepoSizes
from annexshell.repository.sizetables import BEGINNING
from tests.support.repositories import C1, U1, U2, U3, Repo, plain_repo
from tests.support.sizes import (
    UUIDS,
    Party,
    announce,
    database,
    key,
    live,
    live_file,
    location,
    other_process,
    size_directory,
    sql,
    table,
)
from tests.support.world import ROOT

A, B, C = key("a"), key("b"), key("c")
BEGUN = [(repo, str(BEGINNING)) for repo in (U1, U2, U3)]
U2_HAS_100 = [BEGUN[0], (U2, str(BEGINNING + 100)), BEGUN[2]]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = plain_repo(tmp_path / "repo")
    made.commit({b"uuid.log": UUIDS, **location(A, U1)})
    return made


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long reading the journal takes, it is read when it has to be."""
    monkeypatch.setattr(sizebase, "_SHARE", 0)


@pytest.fixture
def parties(repo: Repo) -> Iterator[list[Party]]:
    """Two sessions that have looked once."""
    made = [Party(repo), Party(repo)]
    for party in made:
        party.sizes.current()
    yield made
    for party in made:
        party.sizes.close()


@contextmanager
def party(repo: Repo, patience: float = 20.0) -> Iterator[Party]:
    made = Party(repo, patience)
    with made.sizes:
        yield made


@contextmanager
def busy(repo: Repo) -> Iterator[None]:
    """Somebody writes to the database."""
    with closing(sqlite3.connect(database(repo), isolation_level=None)) as opened:
        opened.execute("BEGIN IMMEDIATE")
        yield
        opened.execute("ROLLBACK")


# -- knowing ------------------------------------------------------------------------------


def test_the_first_who_asks_measures_and_says_so(repo: Repo) -> None:
    with party(repo) as one:
        assert one.sizes.current() == {U1: 100, U2: 0, U3: 0}
    assert table(repo, "repo_sizes") == [(U1, "100"), (U2, "0"), (U3, "0")]
    assert table(repo, "annex_branch") == [(repo.tip(),)]


def test_nothing_is_made_before_it_is_used(repo: Repo) -> None:
    with party(repo) as one:
        one.branch.record(A, U2, True)
        one.sizes.release(A)
    assert not size_directory(repo).exists()


def test_what_was_recorded_is_used(
    repo: Repo, parties: list[Party], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizebase, "measure", lambda _: pytest.fail("measured again"))
    sql(repo, "UPDATE repo_sizes SET size = '12345' WHERE repo = ?", U1)
    with party(repo) as one:
        assert one.size(U1) == 12345
    repo.commit(location(B, U1, U2))
    with party(repo) as one:
        assert (one.size(U1), one.size(U2)) == (12445, 100)
    assert table(repo, "annex_branch") == [(repo.tip(),)]


@pytest.mark.parametrize("commit", ["1" * 40, "no commit", ""])
def test_a_commit_that_is_gone(
    repo: Repo, parties: list[Party], commit: str, caplog: pytest.LogCaptureFixture
) -> None:
    sql(repo, 'UPDATE annex_branch SET "commit" = ?', commit)
    sql(repo, "UPDATE repo_sizes SET size = '12345'")
    with party(repo) as one:
        assert one.sizes.current() == {U1: 100, U2: 0, U3: 0}
    assert table(repo, "annex_branch") == [(repo.tip(),)]
    assert "calculated anew" in caplog.text


def test_sizes_of_two_commits_are_measured_anew(
    repo: Repo, parties: list[Party]
) -> None:
    sql(repo, "INSERT INTO annex_branch (\"commit\") VALUES ('x')")
    sql(repo, "UPDATE repo_sizes SET size = '12345'")
    with party(repo) as one:
        assert one.size(U1) == 100
    assert table(repo, "annex_branch") == [(repo.tip(),)]


def test_a_repository_without_a_branch(tmp_path: Path) -> None:
    empty = plain_repo(tmp_path / "empty")
    with party(empty) as one:
        assert one.sizes.current() == {}


def test_the_journal_counts(repo: Repo) -> None:
    with party(repo) as one:
        one.branch.record(B, U2, True)
        one.branch.record(A, U1, False)
        assert (one.size(U1), one.size(U2)) == (0, 100)


def test_what_a_session_records_is_seen_by_all(parties: list[Party]) -> None:
    one, two = parties
    one.store(B, U2)
    assert [p.size() for p in parties] == [100, 100]
    one.branch.record_all(B, {U2: False, U3: True})
    assert [(p.size(U2), p.size(U3)) for p in parties] == [(0, 100), (0, 100)]
    two.store(B, U2)
    assert [p.size() for p in parties] == [100, 100]


def test_removals_of_what_git_annex_had_counted(
    repo: Repo, parties: list[Party]
) -> None:
    """Its totals are 0 where nothing was stored since it made the database. They cannot
    tell the others then, who know too much rather than too little."""
    one, two = parties
    sql(repo, "DELETE FROM size_changes")
    one.sizes, two.sizes = (RepoSizes(repo.open(), p.branch) for p in (one, two))
    assert (one.size(U1), two.size(U1)) == (100, 100)
    one.branch.record(A, U1, False)
    assert (one.size(U1), two.size(U1)) == (0, 100)
    assert table(repo, "size_changes") == [(U1, "0")]
    with party(repo) as late:
        assert late.size(U1) == 0


def test_what_git_annex_removed_takes_room_again(
    repo: Repo, parties: list[Party]
) -> None:
    one, two = parties
    one.store(B, U2)
    with closing(sqlite3.connect(database(repo))) as opened, opened:
        kept = opened.execute("SELECT * FROM recent_changes").fetchall()
    one.branch.record(B, U2, False)
    sql(repo, "DELETE FROM recent_changes")
    for row in kept:
        sql(repo, "INSERT INTO recent_changes VALUES (?, ?, ?, ?)", *row)
    with party(repo) as late:
        assert late.size() == 0
        one.reserve(B, U2)
        assert late.size() == 100
        one.branch.record(B, U2, True)
        assert late.size() == 100


def test_what_was_recorded_before_is_not_counted_twice(
    repo: Repo, parties: list[Party]
) -> None:
    """It is in the journal and in the totals."""
    parties[0].store(B, U2)
    with party(repo) as late:
        assert late.size() == 100
        parties[0].store(C, U2)
        assert [p.size() for p in (*parties, late)] == [200] * 3
    parties[0].branch.settle()
    with party(repo) as later:
        assert [p.size() for p in (*parties, later)] == [200] * 3


def test_what_is_not_journalled_is_not_counted(
    repo: Repo, parties: list[Party], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal comes first: who dies in between has counted nothing that is not there."""
    one, two = parties
    one.reserve(B, U2)

    def fail(*words: object, **options: object) -> None:
        raise JournalFailed(where="the journal", detail="a full disk")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", fail)
        with pytest.raises(JournalFailed):
            one.branch.record(B, U2, True)
    assert table(repo, "recent_changes") == []
    assert table(repo, "size_changes") == BEGUN
    assert live(repo) == [(U2, B.text)] and two.size() == 100
    one.sizes.release(B)
    assert two.size() == 0


def test_recording_while_another_adds_up_the_journal(
    repo: Repo, parties: list[Party], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is in the journal, or in the totals after that: never both, or none."""
    one = parties[0]
    thread = threading.Thread(target=lambda: one.branch.record(B, U2, True))
    real = sizing.waiting

    def slow(*words: Any) -> object:
        thread.start()
        thread.join(0.3)
        assert thread.is_alive(), "the journal is locked"
        return real(*words)

    with party(repo) as late:
        monkeypatch.setattr(sizebase, "waiting", slow)
        late.sizes.current()
        thread.join()
        assert late.size() == 100


def test_a_branch_that_moved_is_looked_at_once_a_minute(
    repo: Repo, parties: list[Party], monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit(location(B, U2))
    assert parties[0].size() == 0
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    parties[1].store(C, U2)
    assert [p.size() for p in parties] == [200, 200]


def test_a_commit_of_the_journal_in_between(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between measuring and adding up the journal its changes move to the branch."""
    with party(repo) as other, party(repo) as one:
        other.branch.record(B, U2, True)
        real = sizebase.Bases.derive

        def late(bases: sizebase.Bases) -> None:
            other.branch.settle()
            real(bases)

        monkeypatch.setattr(sizebase.Bases, "derive", late)
        assert one.size() == 100


def test_keys_without_size_and_clusters_are_not_accounted(
    repo: Repo, parties: list[Party]
) -> None:
    unknown = Key.parse(b"URL--http%c%%x")
    one = parties[0]
    one.reserve(unknown, U2)
    one.branch.record(unknown, U2, True)
    one.branch.record(A, C1, True)
    assert one.size() == 0
    for name in ("live_size_changes", "recent_changes"):
        assert table(repo, name) == []
    assert table(repo, "size_changes") == BEGUN


def test_private_repositories(repo: Repo) -> None:
    repo.git("config", "remote.p.annex-private", "true")
    repo.git("config", "remote.p.annex-uuid", U3.decode())
    with party(repo) as one:
        assert one.size(U3) == 0
        one.branch.record_all(B, {U2: True, U3: True})
        assert (one.size(U2), one.size(U3)) == (100, 100)
    with party(repo) as one:
        assert (one.size(U2), one.size(U3)) == (100, 100)


def test_a_status_that_changes_without_the_content(
    repo: Repo, parties: list[Party]
) -> None:
    """From dead to missing, and to missing where nothing was known: nothing goes."""
    repo.commit({next(iter(location(C))): b"1000s X %b\n" % U2})
    one = parties[0]
    assert one.branch.record(C, U2, False)
    assert one.branch.record(B, U3, False)
    assert not one.branch.record(A, U1, True)
    assert table(repo, "size_changes") == BEGUN


# -- on its way ---------------------------------------------------------------------------


def test_what_is_reserved_is_seen_by_all_at_once(
    repo: Repo, parties: list[Party]
) -> None:
    one, two = parties
    one.reserve(B, U2, U3)
    assert [(p.size(U2), p.size(U3)) for p in parties] == [(100, 100)] * 2
    with party(repo) as late:
        assert late.size() == 100
    one.branch.record(B, U2, True)
    assert live(repo) == [(U3, B.text)]
    assert [(p.size(U2), p.size(U3)) for p in parties] == [(100, 100)] * 2
    one.sizes.release(B)
    one.sizes.release(B)
    assert [(p.size(U2), p.size(U3)) for p in parties] == [(100, 0)] * 2


def test_one_decides_at_a_time(repo: Repo, parties: list[Party]) -> None:
    """Room for one key: whoever looks second sees it taken."""
    one, two = parties
    chosen: list[int] = []

    def choose(who: Party, name: str) -> None:
        with who.sizes.deciding() as deciding:
            free = deciding.sizes[U2] < 100
            chosen.append(free)
            if free:
                deciding.reserve(key(name), [U2])

    with one.sizes.deciding() as deciding:
        thread = threading.Thread(target=choose, args=(two, "b"))
        thread.start()
        thread.join(0.3)
        assert deciding.sizes[U2] == 0 and chosen == []
        deciding.reserve(A, [U2])
    thread.join()
    assert chosen == [False]


def test_two_threads_of_one_session_decide_in_turn(parties: list[Party]) -> None:
    one = parties[0]
    with one.sizes.deciding() as deciding:
        thread = threading.Thread(target=one.reserve, args=(B, U2))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        deciding.reserve(C, [U2])
    thread.join(20)
    assert one.size() == 200


def test_many_sessions_never_choose_more_than_fits(repo: Repo) -> None:
    """The vector of spec 04 §9.2, with more sessions: room for 150 bytes in each of two."""
    taken: list[object] = []

    def choose(number: int, who: Party) -> None:
        with who.sizes.deciding() as deciding:
            fits = [u for u in (U2, U3) if deciding.sizes[u] + 100 <= 150]
            taken.append(fits[0] if fits else None)
            deciding.reserve(key(f"n{number}"), fits[:1])

    with ExitStack() as stack:
        found = [stack.enter_context(party(repo)) for _ in range(6)]
        threads = [
            threading.Thread(target=choose, args=(n, p)) for n, p in enumerate(found)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(map(str, taken)) == sorted(map(str, [U2, U3, None, None, None, None]))
    assert live(repo) == []


def test_the_same_key_by_two_counts_once(repo: Repo, parties: list[Party]) -> None:
    one, two = parties
    one.reserve(B, U2)
    two.reserve(B, U2)
    assert [p.size() for p in parties] == [100, 100]
    one.branch.record(B, U2, True)
    assert [p.size() for p in parties] == [100, 100]
    two.branch.record(B, U2, True)
    assert [p.size() for p in parties] == [100, 100]
    assert table(repo, "size_changes") == U2_HAS_100
    assert live(repo) == []


def test_a_process_that_was_killed(repo: Repo, parties: list[Party]) -> None:
    """Its live file is not locked any more, and what it reserved is free."""
    with other_process(repo) as other:
        pid = other.tell("reserve", B, [U2])
        assert live_file(repo, pid).exists()
        assert [p.size() for p in parties] == [100, 100]
        other.kill()
    assert [p.size() for p in parties] == [0, 0]
    assert live(repo) == [] and not live_file(repo, pid).exists()


@pytest.mark.thorough
def test_a_process_that_was_killed_after_it_recorded(
    repo: Repo, parties: list[Party]
) -> None:
    with other_process(repo) as other:
        other.tell("reserve", B, [U2, U3])
        other.tell("record", B, [U2])
        assert [(p.size(U2), p.size(U3)) for p in parties] == [(100, 100)] * 2
        other.kill()
    assert [(p.size(U2), p.size(U3)) for p in parties] == [(100, 0)] * 2


def test_a_session_that_ends_leaves_nothing(repo: Repo, parties: list[Party]) -> None:
    with party(repo) as one:
        one.reserve(B, U2)
        pid = one.pid
        assert live_file(repo, pid).exists()
    assert live(repo) == [] and not live_file(repo, pid).exists()


def test_a_living_process_is_not_taken_for_dead(
    repo: Repo, parties: list[Party]
) -> None:
    """Whatever others look at, and however often."""
    one, two = parties
    one.reserve(B, U2)
    for _ in range(3):
        assert two.size() == 100
        with party(repo) as late:
            assert late.size() == 100
    assert live(repo) == [(U2, B.text)]


def test_a_living_process_whose_file_was_deleted(
    repo: Repo, parties: list[Party]
) -> None:
    """It takes another name when it next announces something, with all it has."""
    one, two = parties
    one.reserve(B, U2)
    before = one.pid
    live_file(repo, before).unlink()
    assert two.size() == 100
    one.reserve(C, U2)
    assert one.pid != before and live_file(repo, one.pid).exists()
    pids = {row[3] for row in table(repo, "live_size_changes")}
    assert pids == {one.pid}
    one.sizes.release(B)
    one.sizes.release(C)
    assert live(repo) == []


def test_rows_of_nobody_are_deleted_after_a_minute(
    repo: Repo, parties: list[Party]
) -> None:
    """git-annex counts them for ever."""
    announce(repo, "4711", B, U2)
    one, two = parties
    one.reserve(C, U3)  # there is a place for files
    assert one.size() == 100
    marker = live_file(repo, "4711.missing")
    os.utime(marker, (time.time() - 61, time.time() - 61))
    assert two.size() == 0
    assert not marker.exists() and live(repo) == [(U3, C.text)]


def test_rows_of_a_dead_git_annex(repo: Repo, parties: list[Party]) -> None:
    announce(repo, "4711", B, U2)
    live_file(repo, "4711").parent.mkdir(exist_ok=True)
    lock = try_lock(str(live_file(repo, "4711")), exclusive=True)
    assert lock is not None
    with lock:
        assert [p.size() for p in parties] == [100, 100]
    assert [p.size() for p in parties] == [0, 0]
    assert not live_file(repo, "4711").exists()


def test_rewriting_sizes_while_others_count(repo: Repo, parties: list[Party]) -> None:
    """Their totals and rows stay, so they see what they saw."""
    one, two = parties
    one.store(B, U2)
    two.reserve(C, U2)
    assert [p.size() for p in parties] == [200, 200]
    one.branch.settle()
    with party(repo) as late:
        assert late.size() == 200
    assert table(repo, "annex_branch") == [(repo.tip(),)]
    assert [p.size() for p in parties] == [200, 200]
    two.branch.record(C, U2, True)
    assert [p.size() for p in parties] == [200, 200]
    assert live(repo) == []


def test_with_the_pid_lock_nothing_is_announced(repo: Repo) -> None:
    repo.git("config", "annex.pidlock", "true")
    with party(repo) as one, party(repo) as two:
        one.reserve(B, U2)
        assert two.size() == 0
        assert not (repo.annex_dir / "pidlock").exists()
        one.branch.record(B, U2, True)
        assert [one.size(), two.size()] == [100, 100]
    assert live(repo) == []


def test_annex_dbdir(repo: Repo, tmp_path: Path) -> None:
    repo.git("config", "annex.dbdir", str(tmp_path / "db"))
    with party(repo) as one, party(repo) as two:
        two.sizes.current()
        one.store(B, U2)
        assert two.size() == 100
    assert not size_directory(repo).exists()
    assert (tmp_path / "db" / U1.decode() / "reposize/db/db").exists()


# -- faults -------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"garbage" * 5000], ids=["empty", "garbage"])
def test_a_broken_database_is_made_anew(
    repo: Repo,
    parties: list[Party],
    content: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """git-annex hangs on it."""
    for made in parties:
        made.sizes.close()
    database(repo).write_bytes(content)
    for suffix in ("-wal", "-shm"):
        Path(f"{database(repo)}{suffix}").unlink(missing_ok=True)
    with party(repo) as one:
        assert one.size(U1) == 100
        one.store(B, U2)
        assert one.size() == 100
    assert (size_directory(repo) / "db.broken/db").read_bytes() == content
    assert table(repo, "annex_branch") == [(repo.tip(),)]
    assert caplog.text.count("db.broken") == 1
    assert [p.size() for p in parties] == [100, 100]


def test_what_a_link_leads_to_is_no_database_of_ours(
    repo: Repo, parties: list[Party], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever shares the repository could have us write to any that we may write to."""
    for made in parties:
        made.sizes.close()
    for suffix in ("-wal", "-shm"):
        Path(f"{database(repo)}{suffix}").unlink(missing_ok=True)
    other = database(repo).rename(tmp_path / "other")
    before = other.read_bytes()
    database(repo).symlink_to(other)
    with party(repo) as one:
        assert one.size(U1) == 100
        one.store(B, U2)
        one.reserve(C, U2)
    assert other.read_bytes() == before
    assert "no regular file" in caplog.text


def test_a_database_that_is_deleted_while_sessions_run(
    repo: Repo, parties: list[Party]
) -> None:
    one, two = parties
    one.store(B, U2)
    two.reserve(C, U2)
    for path in database(repo).parent.iterdir():
        path.unlink()
    database(repo).parent.rmdir()
    one.branch.record(A, U2, True)
    assert two.size() == 200
    assert one.size() == 200
    one.store(C, U3)
    assert [p.size(U3) for p in parties] == [100, 100]


def test_a_database_that_is_replaced_behind_us(
    repo: Repo, parties: list[Party]
) -> None:
    """Its totals begin anew, and what is written to the old one nobody sees."""
    one, two = parties
    one.store(B, U2)
    assert two.size() == 100
    database(repo).parent.rename(size_directory(repo) / "old")
    with party(repo) as late:
        assert late.size() == 100
        one.branch.record(C, U2, True)
        assert [p.size() for p in (one, two, late)] == [200] * 3
    assert table(repo, "size_changes") == U2_HAS_100


def test_a_database_that_is_busy(repo: Repo, caplog: pytest.LogCaptureFixture) -> None:
    """The change is in the journal all the same, and the row goes with the next chance."""
    with party(repo, 0.05) as one, party(repo) as two:
        assert two.size() == 0
        one.reserve(B, U2)
        with busy(repo):
            assert one.branch.record(B, U2, True)
            one.sizes.release(B)
            assert one.branch.record(B, U3, True)
            one.reserve(C, U2)
        assert caplog.text.count("not accounted") == 1
        assert one.branch.locations(B) == {U2, U3}
        assert (one.size(U2), one.size(U3)) == (100, 100)
        assert live(repo) == []


def test_rows_that_cannot_be_deleted_do_not_hide_the_others(
    repo: Repo, parties: list[Party]
) -> None:
    one, two = parties
    one.branch.record(A, U2, True)
    one.reserve(B, U2)
    with other_process(repo) as other:
        other.tell("reserve", C, [U3])
        other.kill()
    two.branch.accounts.patience = 0.0
    with busy(repo):
        assert (two.size(), two.size(U3)) == (200, 100)
    assert (one.size(), one.size(U3)) == (200, 0)


def test_what_a_session_records_counts_for_itself_without_the_database(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also before the journal is read again."""
    monkeypatch.setattr(sizebase, "_SHARE", 10**9)
    with party(repo, 0.0) as one:
        assert one.size() == 0
        with busy(repo):
            one.branch.record(B, U2, True)
            assert one.size() == 100
        assert one.size() == 100
        one.branch.record(C, U2, True)
        assert one.size() == 200
    size_directory(repo).rename(repo.path / "elsewhere")
    size_directory(repo).write_bytes(b"nothing can be made here")
    with party(repo) as one:
        assert one.size() == 200
        one.branch.record(A, U2, True)
        assert one.size() == 300
        one.branch.record(B, U2, False)
        assert one.size() == 200


def test_a_row_that_cannot_be_deleted_keeps_its_file(repo: Repo) -> None:
    """So that whoever looks next knows that we are gone."""
    with party(repo, 0.05) as one:
        one.reserve(B, U2)
        pid = one.pid
        with busy(repo):
            one.sizes.close()
        assert live(repo) == [(U2, B.text)]
        assert live_file(repo, pid).exists()
    with party(repo) as two:
        assert two.size() == 0
    assert live(repo) == [] and not live_file(repo, pid).exists()


def test_the_lock_of_who_decides_is_held_for_long(
    repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    """We decide all the same, by what is known."""
    with party(repo) as other, party(repo, 0.05) as one:
        other.reserve(B, U2)
        with other.sizes.deciding():
            assert one.size() == 100
            one.reserve(C, U2)
        assert "gave up waiting for a lock" in caplog.text
        assert other.size() == 200


def test_the_journal_is_locked_for_long(
    repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    """Sizes that may be wrong are better than none, by which everybody has room. They are
    looked at again."""
    with party(repo) as other, other.branch.journal_locked():
        late = Party(repo)
        late.branch = Branch(repo.open(), timeout=0.05)
        with RepoSizes(repo.open(), late.branch) as sizes:
            assert sizes.current()[U1] == 100
            assert "sizes of repositories may be wrong" in caplog.text
            assert late.branch.accounts.missed


def test_what_was_missed_is_missed_until_it_is_found(
    repo: Repo, parties: list[Party], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = parties[0]
    one.branch.accounts.patience = 0.0
    with busy(repo):
        one.branch.record(B, U2, True)
    monkeypatch.setattr(sizebase, "waiting", unreadable)
    assert one.sizes.current() == {}
    monkeypatch.undo()
    monkeypatch.setattr(sizebase, "_SHARE", 0)
    assert one.size() == 100


def unreadable(*words: object) -> dict[UUID, int]:
    raise BranchUnreadable(where="here", detail="just so")


def test_nobody_waits_for_a_database_that_is_locked_whole(
    repo: Repo, parties: list[Party], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for it to be opened either: the journal may be locked meanwhile."""
    waits: list[float] = []

    def noted(path: str, timeout: float) -> SizeDb:
        waits.append(timeout)
        raise SizesUnusable(where=path, detail="locked")

    monkeypatch.setattr(sizedb, "SizeDb", noted)
    with party(repo) as one:
        one.branch.record(B, U2, True)
        assert one.size() == 100
    assert waits.pop(0) == 20.0 and waits and not any(waits)


def test_waiting_for_who_measures_is_bounded(
    repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    size_directory(repo).mkdir(parents=True)
    lock = try_lock(str(size_directory(repo) / "annexshell.lck"), exclusive=True)
    assert lock is not None
    with lock, party(repo, 0.05) as one:
        assert one.sizes.current() == {}
        assert "gave up waiting for a lock" in caplog.text
    with party(repo) as one:
        assert one.size(U1) == 100


def test_one_measures_and_the_others_wait(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sizing.measure
    calls: list[object] = []

    def counted(*words: Any) -> object:
        calls.append(words)
        return real(*words)

    monkeypatch.setattr(sizebase, "measure", counted)
    with ExitStack() as stack:
        found = [stack.enter_context(party(repo)) for _ in range(4)]
        threads = [threading.Thread(target=p.sizes.current) for p in found]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [p.size(U1) for p in found] == [100] * 4
    assert len(calls) == 1


def test_a_branch_that_cannot_be_read(
    repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    blob = repo.git("hash-object", "-w", "--stdin", stdin=b"x").decode().strip()
    (repo.path / "refs/heads/git-annex").write_text(blob + "\n")
    with party(repo) as one:
        with one.sizes.deciding() as deciding:
            assert deciding.sizes == {}
            deciding.reserve(A, [U1])
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.thorough
def test_a_full_disk(repo: Repo, caplog: pytest.LogCaptureFixture) -> None:
    """As SQLite tells it: the database may not grow."""
    with party(repo) as one, party(repo) as two:
        one.sizes.current()
        with one.branch.accounts.using() as opened:
            assert opened is not None
            pages = opened._connection.execute("PRAGMA page_count").fetchone()[0]
            opened._connection.execute(f"PRAGMA max_page_count={pages}")
        for number in range(60):
            found = key(f"{'x' * 200}{number}")
            one.reserve(found, U2)
            assert one.branch.record(found, U3, True)
        assert "full" in caplog.text
        assert caplog.text.count("not accounted") == 1
        assert one.size(U3) == 6000
        two.sizes.current()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to everything")
def test_a_database_that_may_not_be_written_to(
    repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    with party(repo) as one:
        one.store(B, U2)
    top = size_directory(repo)
    places = [top, top / "db", top / "db/db", top / "lock", top / "annexshell.lck"]
    modes = [place.stat().st_mode for place in places]
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    try:
        with party(repo) as one:
            assert one.size() == 100
            one.store(C, U2)
            assert one.size() == 200
        assert "not accounted" in caplog.text
    finally:
        for place, mode in zip(places, modes, strict=True):
            place.chmod(mode)


@pytest.mark.thorough
def test_without_a_database_nothing_is_loaded(repo: Repo) -> None:
    """One look at whether it is there; SQLite takes longer to load than to record."""
    script = (
        "import sys; from annexshell.repository.branch import Branch;"
        "from annexshell.repository.open import open_repository;"
        "from annexshell.model.key import Key;"
        "b = Branch(open_repository(sys.argv[1]));"
        "b.record(Key.parse(b'WORM-s1--x'), b'u', True);"
        "sys.exit('sqlite3' in sys.modules)"
    )
    repo.run(
        "env",
        f"PYTHONPATH={ROOT}",
        sys.executable,
        "-c",
        script,
        os.path.realpath(repo.path),
    )


def test_sessions_share_nothing_but_the_database(repo: Repo) -> None:
    """What one `Branch` records, another one's reservation is taken back by itself."""
    repository = repo.open()
    with party(repo) as one:
        one.reserve(B, U2)
        Branch(repository, Clock(7000 * SECOND)).record(B, U2, True)
        assert one.size() == 100
        one.sizes.release(B)
        assert one.size() == 100 and live(repo) == []
    with RepoSizes(repository, Branch(repository)) as late:
        assert late.current()[U2] == 100
