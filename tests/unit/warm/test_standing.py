"""What has to be equal of a launcher and the resident."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from annexshell.warm.standing import Standing, standing


def of_child(change: Callable[[], object]) -> tuple[Standing, int]:
    """The standing of a child that made a change and waits."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        change()
        os.write(writing, b"x")
        signal.pause()
        os._exit(1)
    assert os.read(reading, 1) == b"x"
    try:
        return standing(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
        os.close(writing)


def test_a_child_is_as_its_parent() -> None:
    assert of_child(int) == standing(os.getpid())


def test_the_umask_is_told_and_not_compared() -> None:
    found, umask = of_child(partial(os.umask, 0o027))
    assert umask == 0o027
    assert found == standing(os.getpid())[0]


@pytest.mark.parametrize(
    "change",
    [
        partial(os.nice, 1),
        partial(signal.signal, signal.SIGUSR1, signal.SIG_IGN),
        partial(signal.pthread_sigmask, signal.SIG_BLOCK, [signal.SIGUSR1]),
        partial(os.sched_setscheduler, 0, os.SCHED_BATCH, os.sched_param(0)),
    ],
    ids=["nice", "ignored", "blocked", "scheduler"],
)
def test_a_difference_shows(change: Callable[[], object]) -> None:
    assert of_child(change)[0] != standing(os.getpid())[0]


LOGIN = Path("/proc/self/loginuid")


@pytest.mark.skipif(
    os.geteuid() != 0 or not LOGIN.exists() or LOGIN.read_text() == "1",
    reason="only root can log somebody in",
)
def test_the_login_that_the_kernel_audits_shows() -> None:
    found = of_child(partial(LOGIN.write_text, "1"))[0]
    assert found != standing(os.getpid())[0]


def test_nobody_stands_anywhere_after_the_end() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(OSError):
        standing(pid)
