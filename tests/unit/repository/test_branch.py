"""What a repository knows, and the recording of news (spec 03 §5, §7.2, §11.1, §12.2)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.errors import (
    BranchUnreadable,
    JournalFailed,
    KeyNotStorable,
    LockTimeout,
)
from annexshell.logs.mapped import Trust
from annexshell.logs.proxies import Proxied
from annexshell.model.clock import SECOND, Clock, parse_clock
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.branch import Branch
from annexshell.repository.filelock import try_lock
from annexshell.repository.journal import journal_name
from annexshell.repository.open import Repository
from tests.support.repositories import C1, K_LOG, U1, U2, U3, K, Repo, plain_repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return plain_repo(tmp_path / "repo")


def _branch(repo: Repo, second: int = 2000, timeout: float = 30.0) -> Branch:
    return Branch(repo.open(), Clock(second * SECOND), timeout=timeout)


def _journal_of(repo: Repo) -> bytes:
    return repo.journal()[journal_name(K_LOG)]


def test_a_repository_without_a_branch_knows_nothing(repo: Repo) -> None:
    branch = _branch(repo)
    assert branch.locations(K) == frozenset()
    assert branch.descriptions() == {}
    assert branch.trust() == {}
    assert branch.clusters() == {}
    assert branch.proxied_by(U1) == ()


def test_recording_starts_from_what_the_branch_says(repo: Repo) -> None:
    repo.commit({K_LOG: b"1000s 1 %b\n" % U1})
    branch = _branch(repo)
    assert branch.record(K, U2, True)
    assert _journal_of(repo) == b"1000s 1 %b\n2000s 1 %b\n" % (U1, U2)
    assert branch.locations(K) == {U1, U2}
    assert not branch.record(K, U2, True)
    assert _branch(repo, 1500).record(K, U2, False)
    assert _journal_of(repo) == b"1000s 1 %b\n2001s 0 %b\n" % (U1, U2)
    assert branch.locations(K) == {U1}


def test_nothing_new_is_not_written(repo: Repo) -> None:
    repo.commit({K_LOG: b"1000s 1 %b\n" % U1})
    assert not _branch(repo).record(K, U1, True)
    assert repo.journal() == {}


def test_the_time_is_taken_from_the_clock_by_default(repo: Repo) -> None:
    Branch(repo.open()).record(K, U1, True)
    clock = parse_clock(_journal_of(repo).split()[0])
    assert clock is not None and clock > 1_700_000_000 * SECOND


def test_journal_and_branch_are_read_together(repo: Repo) -> None:
    repo.put_journal(journal_name(K_LOG), b"1000s 1 %b\n" % U1)
    repo.commit({K_LOG: b"1001s 1 %b\n" % U2})
    branch = _branch(repo)
    assert branch.locations(K) == {U1, U2}
    branch.record(K, U3, True)
    assert branch.locations(K) == {U1, U2, U3}
    assert _journal_of(repo).count(b"\n") == 3


def test_an_empty_journal_file_hides_nothing(repo: Repo) -> None:
    repo.commit({K_LOG: b"1000s 1 %b\n" % U1})
    repo.put_journal(journal_name(K_LOG), b"")
    assert _branch(repo).locations(K) == {U1}


def test_moves_of_the_branch_are_seen_at_once(repo: Repo) -> None:
    repo.commit({K_LOG: b"1000s 1 %b\n" % U1})
    branch = _branch(repo)
    assert branch.locations(K) == {U1}
    repo.commit({K_LOG: b"1000s 1 %b\n" % U2})
    repo.git("pack-refs", "--all")
    repo.git("gc", "--quiet", "--prune=now")
    assert branch.locations(K) == {U2}


def test_a_cluster_is_never_recorded(repo: Repo) -> None:
    branch = _branch(repo)
    assert not branch.record(K, C1, True)
    branch.check_recordable(K, C1)
    assert repo.journal() == {}


def test_a_uuid_that_would_break_the_log_is_refused(repo: Repo) -> None:
    with pytest.raises(JournalFailed):
        _branch(repo).record(K, UUID(b"u\n9s 1 v"), True)
    assert repo.journal() == {}


def test_clusters_have_what_their_living_nodes_have(repo: Repo) -> None:
    repo.commit(
        {
            K_LOG: b"1s 1 %b\n1s 1 %b\n" % (U1, U2),
            b"cluster.log": b"1s %b %b\n" % (C1, U1),
        }
    )
    branch = _branch(repo)
    assert branch.locations(K) == {U1, U2, C1}
    repo.commit({b"trust.log": b"%b X timestamp=1s\n" % U1})
    assert branch.clusters() == {C1: frozenset()}
    assert branch.locations(K) == {U1, U2}


@pytest.mark.parametrize("private", [False, True])
def test_clusters_follow_every_change_of_journal_and_branch(
    repo: Repo, private: bool
) -> None:
    repo.git("config", "annex.private", str(private).lower())
    repo.commit({b"cluster.log": b"1s %b %b\n" % (C1, U1)})
    branch = _branch(repo)
    assert bool(branch.private_uuids) is private
    assert branch.clusters() == branch.clusters() == {C1: {U1}}
    repo.put_journal(b"cluster.log", b"2s %b %b %b\n" % (C1, U1, U2))
    assert branch.clusters() == {C1: {U1, U2}}
    repo.put_journal(b"trust.log", b"%b X timestamp=3s\n" % U1)
    assert branch.clusters() == {C1: {U2}}
    repo.commit({b"cluster.log": b"4s %b %b\n" % (C1, U3)})
    assert branch.clusters() == {C1: {U3}}


def test_clusters_are_not_read_again_while_nothing_changes(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request to a cluster asks."""
    repo.commit({b"cluster.log": b"1s %b %b\n" % (C1, U1)})
    branch = _branch(repo)
    branch.clusters()[C1] = frozenset((U2,))
    monkeypatch.setattr(branch, "read", None)
    assert branch.clusters() == {C1: {U1}}


def test_trust_set_in_the_git_config_overrides_the_branch(repo: Repo) -> None:
    repo.commit(
        {
            b"trust.log": b"%b X timestamp=1s\n" % U1,
            b"cluster.log": b"1s %b %b %b\n" % (C1, U1, U2),
        }
    )
    for name, uuid, level in (("one", U1, "semitrusted"), ("two", U2, "dead")):
        repo.git("config", f"remote.{name}.annex-uuid", uuid.decode())
        repo.git("config", f"remote.{name}.annex-trustlevel", level)
    branch = _branch(repo)
    assert branch.trust() == {U1: Trust.SEMITRUSTED, U2: Trust.DEAD}
    assert branch.clusters() == {C1: {U1}}


def test_descriptions_and_proxied_repositories(repo: Repo) -> None:
    repo.commit(
        {
            b"uuid.log": b"%b my  server timestamp=1s\n" % U1,
            b"proxy.log": b"1s %b %b:node %b:../x\n" % (U1, U2, U3),
        }
    )
    branch = _branch(repo)
    assert branch.descriptions() == {U1: b"my  server"}
    assert branch.proxied_by(U1) == (Proxied(U2, b"node"),)
    assert branch.proxied_by(U2) == ()


@pytest.mark.parametrize("name", [b"x" * 233, b"caf\xe9", b"../x", b"a_b"])
def test_unusual_keys_are_recorded_and_committed(name: bytes, repo: Repo) -> None:
    key = Key.parse(b"WORM-s1--" + name)
    branch = _branch(repo)
    branch.record(key, U1, True)
    branch.settle()
    assert repo.journal() == {}
    assert branch.locations(key) == {U1}
    assert repo.show(branch.location_path(key)) == b"2000s 1 %b\n" % U1
    repo.git("fsck", "--strict")


def test_a_key_whose_log_has_no_name_is_refused_beforehand(repo: Repo) -> None:
    key = Key.parse(b"WORM-s1--" + b"x" * 235)
    assert len(key.text) == 244
    with pytest.raises(KeyNotStorable):
        _branch(repo).check_recordable(key, U1)


def test_a_tuned_branch_has_its_own_paths(repo: Repo) -> None:
    repo.git("config", "annex.tune.branchhash1", "true")
    branch = _branch(repo)
    branch.record(K, U1, True)
    assert repo.journal() == {b"205_" + K.text + b".log": b"2000s 1 %b\n" % U1}
    branch.settle()
    assert repo.show(b"205/" + K.text + b".log") == b"2000s 1 %b\n" % U1


def test_what_is_private_stays_out_of_the_branch(repo: Repo) -> None:
    repo.commit({K_LOG: b"1000s 1 %b\n" % U2})
    repo.git("config", "remote.hidden.annex-uuid", U3.decode())
    repo.git("config", "remote.hidden.annex-private", "true")
    branch = _branch(repo)
    assert branch.record(K, U3, True)
    assert repo.journal() == {}
    assert branch.record(K, U1, True)
    assert _journal_of(repo).find(U3) < 0
    assert branch.locations(K) == {U1, U2, U3}
    assert not branch.record(K, U3, True)
    branch.settle()
    assert repo.show(K_LOG) == b"2000s 1 %b\n1000s 1 %b\n" % (U1, U2)
    assert branch.record(K, U3, False)
    assert branch.locations(K) == {U1, U2}


def test_what_several_repositories_did_is_one_change(repo: Repo) -> None:
    repo.commit({K_LOG: b"1000s 1 %b\n" % U1})
    branch = _branch(repo)
    assert branch.record_all(K, {U1: False, C1: True, U2: True, U3: False})
    assert _journal_of(repo) == b"2000s 0 %b\n2000s 1 %b\n2000s 0 %b\n" % (U1, U2, U3)
    journal = repo.annex_dir / "journal" / os.fsdecode(journal_name(K_LOG))
    before = journal.stat().st_ino
    assert not branch.record_all(K, {U1: False, U2: True})
    assert not branch.record_all(K, {C1: True}) and not branch.record_all(K, {})
    assert journal.stat().st_ino == before


def test_of_several_repositories_the_private_ones_stay_out(repo: Repo) -> None:
    repo.git("config", "remote.r.annex-private", "true")
    repo.git("config", "remote.r.annex-uuid", U3.decode())
    branch = _branch(repo)
    assert branch.record_all(K, {U3: True, U2: True})
    assert branch.locations(K) == {U2, U3}
    assert _journal_of(repo) == b"2000s 1 %b\n" % U2


def test_one_bad_uuid_of_several_stops_all(repo: Repo) -> None:
    with pytest.raises(JournalFailed, match="not the uuid"):
        _branch(repo).record_all(K, {U1: True, UUID(b"u\n9s 1 v"): True})
    assert repo.journal() == {}


def test_content_whose_absence_cannot_be_said_is_not_removed(repo: Repo) -> None:
    """A line about no uuid would be read as something else, and committed."""
    for bad in (UUID(b""), UUID(b"u\n9s 1 v")):
        with pytest.raises(JournalFailed, match="not the uuid"):
            with _branch(repo).removing(K, bad):
                raise AssertionError("it may be removed")
        with pytest.raises(JournalFailed, match="not the uuid"):
            _branch(repo).check_recordable(K, bad)
    assert repo.journal() == {}


def test_an_unreadable_private_log_stops_private_writes_only(repo: Repo) -> None:
    repo.git("config", "annex.private", "true")
    repo.commit({K_LOG: b"1000s 1 %b\n" % U2})
    directory = repo.annex_dir / "journal-private"
    (directory / os.fsdecode(journal_name(K_LOG))).mkdir(parents=True)
    branch = _branch(repo)
    assert branch.locations(K) == {U2}
    with pytest.raises(JournalFailed):
        branch.record(K, U1, True)
    assert branch.record(K, U3, True)


def test_a_missing_object_is_an_error_and_nothing_is_written(repo: Repo) -> None:
    repo.commit({K_LOG: b"1000s 1 %b\n" % U1})
    blob = repo.git("rev-parse", f"git-annex:{K_LOG.decode()}").decode().strip()
    (repo.path / "objects" / blob[:2] / blob[2:]).unlink()
    branch = _branch(repo)
    for attempt in (
        lambda: branch.locations(K),
        lambda: branch.record(K, U2, True),
        lambda: branch.check_recordable(K, U2),
    ):
        with pytest.raises(BranchUnreadable):
            attempt()
    assert repo.journal() == {}


def test_a_missing_directory_of_the_branch_is_an_error(repo: Repo) -> None:
    repo.commit({K_LOG: b"1000s 1 %b\n" % U1})
    tree = repo.git("rev-parse", "git-annex:205").decode().strip()
    (repo.path / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(BranchUnreadable):
        _branch(repo).record(K, U2, True)


def test_a_branch_that_is_no_commit_is_an_error(repo: Repo) -> None:
    blob = repo.git("hash-object", "-w", "--stdin", stdin=b"x").decode().strip()
    (repo.path / "refs/heads/git-annex").write_text(blob + "\n")
    with pytest.raises(BranchUnreadable):
        _branch(repo).locations(K)


def test_a_repository_that_libgit2_cannot_open_is_an_error(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    opened: Repository = repo.open()
    (repo.path / "HEAD").unlink()
    with pytest.raises(BranchUnreadable):
        Branch(opened).locations(K)


def test_a_line_too_long_is_never_rewritten(repo: Repo) -> None:
    repo.commit({K_LOG: b"1s 1 " + b"u" * 70_000 + b"\n"})
    with pytest.raises(JournalFailed, match="a line of over"):
        _branch(repo).record(K, U1, True)


def test_a_log_too_large_is_an_error(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit({K_LOG: b"1s 1 %b\n" % U1})
    monkeypatch.setattr("annexshell.repository.branch.MAX_LOG", 10)
    with pytest.raises(BranchUnreadable, match="over 10"):
        _branch(repo).locations(K)


def test_a_clock_from_the_future_is_pointed_out(
    repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    repo.commit({K_LOG: b"99999999999s 1 %b\n" % U1})
    assert _branch(repo).record(K, U1, False)
    assert _journal_of(repo) == b"100000000000s 0 %b\n" % U1
    assert "dated in the future" in caplog.text


def test_a_lock_that_is_held_fails_the_change(repo: Repo) -> None:
    repo.annex_dir.mkdir()
    held = try_lock(str(repo.annex_dir / "journal.lck"), exclusive=True)
    assert held is not None
    branch = _branch(repo, timeout=0)
    with held:
        with pytest.raises(LockTimeout):
            branch.record(K, U1, True)
        with pytest.raises(LockTimeout):
            branch.check_recordable(K, U1)
    assert branch.record(K, U1, True)


def test_the_source_of_logs_is_equal_while_nothing_changes(repo: Repo) -> None:
    paths = (b"trust.log", b"maxsize.log")
    branch = _branch(repo)
    seen = [branch.source(paths)]

    def changed() -> bool:
        seen.append(branch.source(paths))
        return seen[-1] != seen[-2]

    assert not changed()
    repo.put_journal(b"uuid.log", b"x\n")
    assert not changed()
    repo.put_journal(b"trust.log", b"x\n")
    assert changed()
    repo.put_journal(b"trust.log", b"y\n")
    assert changed()
    repo.commit({b"uuid.log": b"x\n"})
    assert changed()
    assert not changed()
