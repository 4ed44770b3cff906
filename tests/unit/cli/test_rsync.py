"""The words that rsync is given, and its process."""

from __future__ import annotations

import math
import resource
import signal
import sys
from pathlib import Path

import pytest

from annexshell.cli.errors import RsyncNotRun
from annexshell.cli.rsync import receiver_words, run_rsync, sender_words

START = ["rsync", "--server", "-t", "--inplace", "-e.Lsf", "."]


def test_a_client_may_be_silent_for_so_long() -> None:
    words = [*START, "--timeout=601", "--bwlimit=1", "/f"]
    assert receiver_words("/f", ["--bwlimit=1"], 600.1) == words
    assert sender_words("/f", (), 2) == [*START, "--sender", "--timeout=2", "/f"]
    assert receiver_words("/f", (), math.inf) == [*START, "/f"]


def test_the_words_are_git_annex_shells() -> None:
    assert sender_words("/a b", ()) == [*START, "--sender", "/a b"]
    assert receiver_words("/a b", ()) == [*START, "/a b"]


@pytest.mark.parametrize(
    "option",
    ["0", "100", "1.5", "1.5m", "10k", "10K", "10KB", "10KiB", "7b", "3G", "2t"],
)
def test_a_bandwidth_limit_is_passed_on(option: str) -> None:
    word = f"--bwlimit={option}"
    assert receiver_words("/f", ["x", word]) == [*START, word, "/f"]
    assert sender_words("/f", [word, "/"]) == [*START, "--sender", word, "/f"]


@pytest.mark.parametrize(
    "option",
    [
        *("--bwlimit=", "--bwlimit=x", "--bwlimit=1 --daemon", "--bwlimit=1\n", "5"),
        *("--bwlimit=-1", "--bwlimit=1..5", "--bwlimit=1kk", "--bwlimit", "--bwlimit1"),
        *("--bwlimit=١", "--bwlimit=" + "9" * 40, "--delete", "--daemon", "-bwlimit=1"),
    ],
)
def test_nothing_else_is(option: str) -> None:
    assert receiver_words("/f", [option]) == [*START, "/f"]


def test_the_exit_code_is_rsyncs_and_a_signal_counts_as_one() -> None:
    python = [sys.executable, "-c"]
    assert run_rsync([*python, "raise SystemExit(23)"]) == 23
    die = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run_rsync([*python, die]) == 128 + signal.SIGKILL


def test_a_missing_program_is_told() -> None:
    with pytest.raises(RsyncNotRun, match="install rsync"):
        run_rsync(["/nonexistent/rsync"])


def test_what_a_started_program_finds(tmp_path: Path) -> None:
    """SIGPIPE ends it as usual, no signal is blocked, and files have their limit."""
    found = tmp_path / "found"
    program = (
        "import resource, signal, sys\n"
        "text = open('/proc/self/status').read()\n"
        "blocked = text.split('SigBlk:')[1].split()[0]\n"
        f"open({str(found)!r}, 'w').write(repr((int(blocked, 16),"
        " resource.getrlimit(resource.RLIMIT_FSIZE)[0])))"
    )
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert run_rsync([sys.executable, "-c", program], largest=10_000) == 0
    assert found.read_text() == "(0, 10000)"
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before
    assert run_rsync([sys.executable, "-c", program]) == 0
    assert found.read_text() == f"(0, {before[0]})"


def test_signals_are_as_before_afterwards() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    run_rsync([sys.executable, "-c", ""])
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_signal_goes_to_the_program() -> None:
    """It is sent to us by the program itself, which is surely running then."""
    program = (
        "import os, signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "sys.exit(5 + signal.sigwait([signal.SIGTERM]))\n"
    )
    assert run_rsync([sys.executable, "-c", program]) == 5 + signal.SIGTERM
