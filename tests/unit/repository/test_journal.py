"""The journal: names, what is read of it, and how it is written (spec 03 §7)."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from annexshell.errors import JournalFailed, KeyNotStorable, LockTimeout
from annexshell.repository.filelock import try_lock
from annexshell.repository.journal import Journal, branch_path, journal_name
from annexshell.repository.modes import Sharing
from tests.support.content import watch_disk
from tests.support.repositories import K_LOG, K, Repo, plain_repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return plain_repo(tmp_path / "repo")


@pytest.fixture
def journal(repo: Repo) -> Journal:
    return Journal(repo.open())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (K_LOG, b"205_b20_" + K.text + b".log"),
        (
            b"be4/f69/WORM-s3-m123--a%b&sc&ad&ce_f g.log",
            b"be4_f69_WORM-s3-m123--a%b&sc&ad&ce__f g.log",
        ),
        (b"704/192/WORM-s3-m123--__x_.log", b"704_192_WORM-s3-m123--____x__.log"),
        (b"205/" + K.text + b".log", b"205_" + K.text + b".log"),
    ],
)
def test_names(path: bytes, name: bytes) -> None:
    assert journal_name(path) == name
    assert branch_path(name) == path


def test_names_are_decoded_from_left_to_right() -> None:
    assert branch_path(b"a___b.log") == b"a_/b.log"
    assert branch_path(b"uuid.log_") == b"uuid.log"


def test_writing_replaces_the_whole_text(repo: Repo, journal: Journal) -> None:
    with journal.locked():
        journal.write(K_LOG, b"1s 1 a\n1s 1 b\n")
        journal.write(K_LOG, b"2s 0 a\n")
    assert repo.journal() == {journal_name(K_LOG): b"2s 0 a\n"}
    assert journal.read(K_LOG) == b"2s 0 a\n"
    assert os.listdir(repo.annex_dir / "annexshell-tmp") == []


def test_a_line_is_on_disk_before_it_counts(
    repo: Repo, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut leaves the old text or the new one, and no empty file."""
    with journal.locked():
        journal.write(K_LOG, b"1s 1 a\n")
        seen = watch_disk(monkeypatch)
        journal.write(K_LOG, b"2s 0 a\n")
    text, renamed, directory = seen
    assert text.startswith("sync ") and renamed == "rename"
    assert directory == "sync journal"


def test_a_broken_off_line_is_not_read(repo: Repo, journal: Journal) -> None:
    repo.put_journal(b"uuid.log", b"whole\nbro")
    assert journal.read(b"uuid.log") == b"whole\n"


def test_what_a_dead_writer_left_is_no_hindrance(repo: Repo, journal: Journal) -> None:
    left = repo.annex_dir / "annexshell-tmp"
    left.mkdir(parents=True)
    (left / "journal").write_bytes(b"half a li")
    with journal.locked():
        journal.write(b"uuid.log", b"a\n")
    assert repo.journal() == {b"uuid.log": b"a\n"}


def test_a_rename_that_fails_leaves_the_old_text(
    repo: Repo, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.put_journal(b"uuid.log", b"old\n")

    def full(source: bytes, target: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with journal.locked(), pytest.raises(JournalFailed, match="No space left"):
        journal.write(b"uuid.log", b"new\n")
    assert repo.journal() == {b"uuid.log": b"old\n"}
    assert os.listdir(repo.annex_dir / "annexshell-tmp") == []


def test_names_that_git_cannot_have_are_not_committed(
    repo: Repo, journal: Journal
) -> None:
    for name in (b".._x", b"_etc_passwd", b".git_config", b"uuid.log", b".dot"):
        repo.put_journal(name, b"a\n")
    directory = repo.annex_dir / "journal"
    (directory / "sub").mkdir()
    os.mkfifo(directory / "fifo")
    (directory / "link").symlink_to("uuid.log")
    assert sorted(journal.names(99)) == [b".dot", b"uuid.log"]
    assert len(journal.names(1)) == 1


@pytest.mark.parametrize("kind", ["fifo", "link", "directory"])
def test_what_is_no_file_is_an_error_not_an_empty_log(
    kind: str, repo: Repo, journal: Journal
) -> None:
    repo.put_journal(b"other", b"a\n")
    path = repo.annex_dir / "journal" / "uuid.log"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("other")
    else:
        path.mkdir()
    with pytest.raises(JournalFailed):
        journal.read(b"uuid.log")


def test_a_held_lock_is_waited_for_only_so_long(repo: Repo, journal: Journal) -> None:
    repo.annex_dir.mkdir()
    held = try_lock(str(repo.annex_dir / "journal.lck"), exclusive=True)
    assert held is not None
    waited = pytest.raises(LockTimeout, match="gave up waiting for a lock .*held by ")
    with held, waited, journal.locked(timeout=0):
        pytest.fail("the lock was held by another")
    with journal.locked(timeout=0):
        assert try_lock(str(repo.annex_dir / "journal.lck"), exclusive=True) is None


def test_a_lock_that_cannot_be_shared_is_let_go_of(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.git("config", "core.sharedRepository", "group")
    journal = Journal(repo.open())

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(Sharing, "share", broken)
        with pytest.raises(JournalFailed, match="the disk is gone"):
            journal.locked(0)
    journal.locked(0).close()


def test_checking_writes_nothing(repo: Repo, journal: Journal) -> None:
    with journal.locked():
        journal.check(K_LOG)
    assert repo.journal() == {}
    assert os.listdir(repo.annex_dir / "annexshell-tmp") == []


def test_checking_fails_where_writing_would(repo: Repo, journal: Journal) -> None:
    repo.annex_dir.mkdir()
    (repo.annex_dir / "journal").write_bytes(b"in the way")
    with journal.locked(), pytest.raises(JournalFailed):
        journal.check(K_LOG)
    with journal.locked(), pytest.raises(JournalFailed):
        journal.write(K_LOG, b"a\n")


@pytest.mark.parametrize(
    "path", [b"aaa/bbb/" + b"x" * 244 + b".log", b"aaa/bbb/_X--y.log"]
)
def test_paths_that_have_no_journal_name(path: bytes, journal: Journal) -> None:
    with journal.locked():
        with pytest.raises(KeyNotStorable):
            journal.check(path)
        with pytest.raises(KeyNotStorable):
            journal.write(path, b"a\n")


def test_shared_repositories_get_shared_modes(repo: Repo) -> None:
    repo.git("config", "core.sharedRepository", "group")
    before = os.umask(0o077)
    try:
        journal = Journal(repo.open())
        with journal.locked():
            journal.write(b"uuid.log", b"a\n")
    finally:
        os.umask(before)
    directory = repo.annex_dir / "journal"
    assert stat.S_IMODE(directory.stat().st_mode) & 0o777 == 0o770
    assert stat.S_IMODE((directory / "uuid.log").stat().st_mode) == 0o660
    lock = repo.annex_dir / "journal.lck"
    assert stat.S_IMODE(lock.stat().st_mode) == 0o660


def test_what_is_staged_counts_only_once_it_is_put(
    repo: Repo, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with journal.locked():
        journal.write(K_LOG, b"1s 1 a\n")
        steps = watch_disk(monkeypatch)
        with journal.staged(K_LOG, b"2s 0 a\n") as staged:
            assert steps == ["sync journal"]
            assert journal.read(K_LOG) == b"1s 1 a\n"
            staged.put()
            assert steps == ["sync journal", "rename"]
        journal.sync()
        assert steps == ["sync journal", "rename", "sync journal"]
        assert journal.read(K_LOG) == b"2s 0 a\n"
        with journal.staged(K_LOG, b"3s 1 a\n"):
            pass
        with pytest.raises(ZeroDivisionError):
            with journal.staged(K_LOG, b"3s 1 a\n"):
                raise ZeroDivisionError
    assert journal.read(K_LOG) == b"2s 0 a\n"
    assert os.listdir(repo.annex_dir / "annexshell-tmp") == []


def test_what_a_dead_writer_left_is_in_nobodys_way(
    repo: Repo, journal: Journal
) -> None:
    scratch = repo.annex_dir / "annexshell-tmp"
    scratch.mkdir(parents=True)
    (scratch / "journal").write_bytes(b"half a li")
    with journal.locked():
        journal.write(K_LOG, b"1s 1 a\n")
    assert journal.read(K_LOG) == b"1s 1 a\n"
    assert os.listdir(scratch) == []
