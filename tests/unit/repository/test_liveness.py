"""Telling the dead from the living by their files (spec 04 §9.3)."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from annexshell.repository.filelock import FileLock, Locks, lock_descriptor, try_lock
from annexshell.repository.liveness import DOUBT, LiveFile, Watch
from annexshell.repository.modes import Sharing

DEAD, LIVING, GONE = "101", "4611686018427400249", "103"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def watch(place: Path) -> Watch:
    return Watch(str(place), Locks())


@pytest.fixture
def living(place: Path) -> Iterator[FileLock]:
    lock = try_lock(str(place / LIVING), exclusive=True)
    assert lock is not None
    with lock:
        yield lock


def names(place: Path) -> set[str]:
    return set(os.listdir(place))


def set_back(place: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(place / f"{GONE}.missing", (then, then))


def test_names_are_no_pids(place: Path) -> None:
    found = [LiveFile.create(str(place), Sharing()) for _ in range(20)]
    pids = {live.pid for live in found}
    assert len(pids) == 20
    assert all(1 << 32 <= pid < 1 << 62 for pid in pids)
    assert names(place) == {str(pid) for pid in pids}
    for live in found:
        live.remove()
    assert names(place) == set()


def test_nothing_is_left_where_nothing_can_be_locked(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_locks(fd: int, command: int, request: bytes) -> bytes:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.fcntl", without_locks)
    with pytest.raises(OSError):
        LiveFile.create(str(place), Sharing())
    assert names(place) == set()


def test_a_live_file_is_locked_for_git_annex(place: Path) -> None:
    """By a POSIX lock, which another process asks for."""
    live = LiveFile.create(str(place), Sharing())
    path = str(place / str(live.pid))

    def free() -> bool:
        child = os.fork()
        if child == 0:
            try:
                os.closerange(3, 256)
                fd = os.open(path, os.O_RDONLY)
                fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                os._exit(1)
            os._exit(0)
        return os.waitpid(child, 0)[1] == 0

    assert not free()
    # POSIX locks would be gone once any descriptor of the file is closed.
    os.close(os.open(path, os.O_RDONLY))
    assert not free()
    live.close()
    assert free()
    live.close()


def test_a_number_that_somebody_has_is_not_taken(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter([5, 5, 6])
    monkeypatch.setattr(os, "urandom", lambda _: next(numbers).to_bytes(8))
    first = LiveFile.create(str(place), Sharing())
    second = LiveFile.create(str(place), Sharing())
    assert (first.pid, second.pid) == ((1 << 32) + 5, (1 << 32) + 6)
    second.remove()
    first.remove()


def test_whose_file_was_deleted_before_it_was_locked_takes_another(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def late(fd: int, path: str, *, exclusive: bool) -> FileLock | None:
        if not seen:
            os.unlink(path)
        seen.append(path)
        return lock_descriptor(fd, path, exclusive=exclusive)

    monkeypatch.setattr("annexshell.repository.liveness.lock_descriptor", late)
    live = LiveFile.create(str(place), Sharing())
    assert len(seen) == 2 and live.there
    assert names(place) == {str(live.pid)}
    live.remove()


def test_that_the_file_is_gone_is_noticed(place: Path) -> None:
    live = LiveFile.create(str(place), Sharing())
    path = place / str(live.pid)
    path.unlink()
    assert not live.there
    path.touch()
    assert not live.there
    live.remove()
    assert path.exists(), "it is another process's now"


def test_modes_are_shared(place: Path) -> None:
    live = LiveFile.create(str(place), Sharing.parse("group"))
    assert (place / str(live.pid)).stat().st_mode & 0o777 == 0o664
    live.remove()


def test_who_has_an_unlocked_file_is_dead(
    place: Path, watch: Watch, living: FileLock
) -> None:
    (place / DEAD).touch()
    assert watch.dead([DEAD, LIVING], None) == [DEAD]
    assert names(place) == {DEAD, LIVING}
    watch.bury([DEAD])
    assert names(place) == {LIVING}


def test_the_own_file_is_not_looked_at(place: Path, watch: Watch) -> None:
    (place / DEAD).touch()
    assert watch.dead([DEAD], int(DEAD)) == []


@pytest.mark.parametrize("pid", ["", "x", "-1", "1/../2", "\u0661", "1" * 300])
def test_who_cannot_be_looked_for_counts(watch: Watch, pid: str) -> None:
    assert watch.dead([pid], None) == []


def test_a_file_that_is_none_counts(place: Path, watch: Watch) -> None:
    (place / DEAD).mkdir()
    assert watch.dead([DEAD], None) == []


def test_who_has_no_file_is_dead_after_a_minute(place: Path, watch: Watch) -> None:
    assert watch.dead([GONE], None) == []
    assert names(place) == {f"{GONE}.missing"}
    set_back(place, DOUBT - 10)
    assert watch.dead([GONE], None) == []
    set_back(place, DOUBT + 1)
    # Another process may remember it.
    again = Watch(str(place), Locks())
    assert again.dead([GONE], None) == [GONE]
    again.bury([GONE])
    assert names(place) == set()


def test_who_has_a_file_after_all_was_never_missing(place: Path, watch: Watch) -> None:
    assert watch.dead([GONE], None) == []
    set_back(place, DOUBT + 1)
    lock = try_lock(str(place / GONE), exclusive=True)
    assert lock is not None
    with lock:
        assert watch.dead([GONE], None) == []
        assert names(place) == {GONE}


def test_a_clock_that_was_set_back(place: Path, watch: Watch) -> None:
    assert watch.dead([GONE], None) == []
    set_back(place, -3600)
    assert watch.dead([GONE], None) == []
    assert (place / f"{GONE}.missing").stat().st_mtime <= time.time()


def test_all_files_are_looked_at_once_a_minute(
    place: Path, watch: Watch, living: FileLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (DEAD, "README", f"{GONE}.missing", "55.missing"):
        (place / name).touch()
    forgotten: list[list[str]] = []
    watch.sweep([GONE], 7, forgotten.append)
    assert forgotten == [[DEAD]]
    assert names(place) == {LIVING, "README", f"{GONE}.missing"}
    (place / DEAD).touch()
    watch.sweep([GONE], 7, forgotten.append)
    assert names(place) == {DEAD, LIVING, "README", f"{GONE}.missing"}
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    watch.sweep([GONE], 7, forgotten.append)
    assert forgotten == [[DEAD], [DEAD]]


def test_a_file_stays_while_rows_of_it_may(place: Path, watch: Watch) -> None:
    """Without the file git-annex would count them for ever."""
    (place / DEAD).touch()

    def fail(pids: list[str]) -> None:
        raise OSError("the database is locked")

    with pytest.raises(OSError):
        watch.sweep([], None, fail)
    assert names(place) == {DEAD}


def test_without_a_directory_there_is_nobody(tmp_path: Path) -> None:
    watch = Watch(str(tmp_path / "live"), Locks())
    watch.sweep([], None, lambda _: None)
    assert watch.dead([GONE], None) == []


def test_no_link_in_the_place_of_a_mark_is_followed(place: Path, watch: Watch) -> None:
    """Another user of the repository may have made it."""
    for target in (place / "away", place / "there"):
        mark = place / f"{GONE}.missing"
        mark.symlink_to(target)
        assert watch.dead([GONE], None) == []
        mark.unlink()
    assert names(place) == set()


def test_the_date_of_what_a_link_leads_to_is_left_alone(
    place: Path, watch: Watch
) -> None:
    target = place / "target"
    target.touch()
    later = time.time() + 1e6
    os.utime(target, (later, later))
    mark = place / f"{GONE}.missing"
    mark.symlink_to(target)
    os.utime(mark, (later, later), follow_symlinks=False)
    assert watch.dead([GONE], None) == []
    assert target.stat().st_mtime == pytest.approx(later)
