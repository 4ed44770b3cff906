"""CONNECT: git's own protocol inside the P2P protocol (spec 01 §5.7)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.repositories import K_LOG, U1, U2, Repo, plain_repo
from tests.support.shell import environment, run_shell

FLUSH = b"0000"


def session(repo: Repo, lines: bytes, **env: str) -> subprocess.CompletedProcess[bytes]:
    """One p2pstdio session in which the client says ``lines`` and leaves."""
    command = f"git-annex-shell 'p2pstdio' '{repo.path}' '{U2.decode()}'"
    return run_shell("-c", command, env=environment(repo.home, **env), stdin=lines)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = plain_repo(tmp_path / "r")
    made.commit({K_LOG: b"1s 1 %s\n" % U1})
    made.git("config", "annex.version", "10")
    return made


def payloads(output: bytes) -> tuple[bytes, bytes]:
    """What came in DATA, joined, and the line after it."""
    content = b""
    while output.startswith(b"DATA "):
        line, _, output = output.partition(b"\n")
        length = int(line.split()[1])
        content, output = content + output[:length], output[length:]
    return content, output


def test_fetching_lists_the_refs(repo: Repo) -> None:
    done = session(repo, b"CONNECT git-upload-pack\nDATA 4\n" + FLUSH)
    greeting, _, rest = done.stdout.partition(b"\n")
    assert greeting == b"AUTH-SUCCESS " + U1
    content, end = payloads(rest)
    assert b"refs/heads/git-annex" in content and content.endswith(FLUSH)
    assert end == b"CONNECTDONE 0\n"
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("nonsense", [b"WAT\n", b"CHECKPRESENT A--b\n", b"DATA -1\n"])
def test_nonsense_ends_the_service_and_not_with_a_hang(
    repo: Repo, nonsense: bytes
) -> None:
    done = session(repo, b"CONNECT git-upload-pack\n" + nonsense)
    content, _ = payloads(done.stdout.partition(b"\n")[2])
    assert content.endswith(FLUSH)
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("mode", ["READONLY", "APPENDONLY"])
def test_pushing_is_refused_where_nothing_may_be_written(repo: Repo, mode: str) -> None:
    restricted = {f"GIT_ANNEX_SHELL_{mode}": "1"}
    done = session(repo, b"CONNECT git-receive-pack\n", **restricted)
    answer = done.stdout.splitlines()[1]
    assert answer == b"ERROR this repository is read-only; write access denied"
    done = session(repo, b"CONNECT git-upload-pack\nDATA 4\n" + FLUSH, **restricted)
    assert done.stdout.endswith(b"CONNECTDONE 0\n")


def test_a_limited_key_uses_git_in_no_way(repo: Repo) -> None:
    limited = {"GIT_ANNEX_SHELL_LIMITED": "1"}
    for service in (b"git-upload-pack", b"git-receive-pack"):
        done = session(repo, b"CONNECT " + service + b"\nGETTIMESTAMP\n", **limited)
        _, refusal, answer = done.stdout.splitlines()
        assert refusal.startswith(b"ERROR CONNECT is not available")
        assert answer.startswith(b"TIMESTAMP ")
