"""Which process wrote a file, as far as that can be told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from annexshell.repository.processes import is_maker


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.touch()
    return made


def test_a_living_process_may_have_written_what_is_younger(file: Path) -> None:
    assert is_maker(os.getpid(), str(file))
    os.utime(file, (1, 1))
    assert not is_maker(os.getpid(), str(file))


def test_another_users_process_lives_too(file: Path) -> None:
    assert is_maker(1, str(file))


def test_who_has_ended_writes_nothing(file: Path) -> None:
    child = subprocess.Popen(["true"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_maker(child.pid, str(file)), "it has ended, and nobody has asked how"
    child.wait()
    assert not is_maker(child.pid, str(file))


@pytest.mark.parametrize("number", [0, -1, 2**70])
def test_what_is_the_number_of_no_process(file: Path, number: int) -> None:
    assert not is_maker(number, str(file))


def test_what_cannot_be_told_counts_as_the_maker(tmp_path: Path) -> None:
    assert is_maker(os.getpid(), str(tmp_path / "gone"))
