"""What nodes say on stderr cannot paint the operator's terminal."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from annexshell.cli.admin import main
from annexshell.cli.harmless import harmless_stderr
from tests.support.operators import Estate, node_uuid
from tests.support.world import write_program


def said(captured: pytest.CaptureFixture[bytes], *words: bytes) -> bytes:
    """What a terminal gets where a program says these words, one after the other."""
    with harmless_stderr():
        for word in words:
            os.write(2, word)
    return captured.readouterr().err


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([b"ssh: refused\r\n", b"a\r", b"\nb"], b"ssh: refused\na\nb"),
        ([b"caf\xc3", b"\xa9\n"], "caf\u00e9\n".encode()),
        ([b"\x1b[2J\x07\n"], b"\\x1b[2J\\x07\n"),
        ([b"\xc2\x9b2J \xe2\x80\xae"], b"\\x9b2J \\u202e"),
        ([b"\xff\n", b"\xc3"], b"\\xff\n\\xc3"),
        ([b"x" * 200_000], b"x" * 200_000),
        ([], b""),
    ],
)
def test_only_what_can_be_seen_goes_through(
    capfdbinary: pytest.CaptureFixture[bytes], words: list[bytes], shown: bytes
) -> None:
    assert said(capfdbinary, *words) == shown


def test_stderr_is_itself_again(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(KeyboardInterrupt), harmless_stderr():
        raise KeyboardInterrupt
    os.write(2, b"\x1b")
    assert capfdbinary.readouterr().err == b"\x1b"
    assert os.listdir("/proc/self/fd") == before


def test_a_program_left_behind_is_not_waited_for(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    with harmless_stderr():
        child = subprocess.Popen(["sleep", "1000"])
    try:
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_a_node_that_paints(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    estate = Estate.create(tmp_path)
    estate.add_remote("n1", "n1:repo", node_uuid(1), cluster_node="foo")
    programs = tmp_path / "bin"
    programs.mkdir()
    write_program(programs / "ssh", r"printf '\033[2Jall is well\r\n' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert main(["-C", str(estate.repo.path), "cluster", "status"]) == 1
    captured = capfdbinary.readouterr()
    assert b"\\x1b[2Jall is well\n" in captured.err
    assert b"\x1b" not in captured.err + captured.out
