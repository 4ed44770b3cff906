"""Programs whose output is bounded: who prints may be a node."""

from __future__ import annotations

import subprocess

import pytest

from annexshell.repository.programs import run_program


def run(script: str, *, timeout: float | None = 60) -> tuple[int, bytes]:
    done = run_program(
        ["sh", "-c", script], capture=True, timeout=timeout, most=100_000, lend=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("timeout", [None, 60])
def test_what_is_short_enough_comes_whole(timeout: float | None) -> None:
    script = "head -c 100000 /dev/zero; exit 3"
    assert run(script, timeout=timeout) == (3, bytes(100_000))


@pytest.mark.parametrize("script", ["exec yes", "head -c 100001 /dev/zero"])
@pytest.mark.parametrize("timeout", [None, 60])
def test_who_prints_more_is_killed(script: str, timeout: float | None) -> None:
    with pytest.raises(OSError, match="more than 100000 bytes"):
        run(script, timeout=timeout)


@pytest.mark.parametrize("script", ["exec sleep 1000", "exec sleep 1000 >&-"])
def test_who_takes_too_long_is_killed(script: str) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run(script, timeout=0.1)
