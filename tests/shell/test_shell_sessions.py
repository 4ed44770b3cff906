"""Sessions of the program itself: how they end, and what they leave alone."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path

import pytest

from tests.support.content import files_below
from tests.support.session import CLIENT_UUID, Session, sha256_key
from tests.support.shell import (
    UUID_HERE,
    environment,
    git,
    make_annex,
    shell_argv,
    write_identity,
)

pytestmark = pytest.mark.usefixtures("both_ways")

CONTENT = b"hello world"
KEY = sha256_key(CONTENT)
BIG = bytes(8_000_000)
"""More than the pipes to a client hold."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path.resolve()
    write_identity(made)
    return made


def started(home: Path, path: Path) -> Session:
    make_ready(path)
    words = f"git-annex-shell p2pstdio {shlex.quote(str(path))} {CLIENT_UUID}"
    return Session(shell_argv("-c", words), cwd=home, env=environment(home))


def make_ready(path: Path) -> None:
    git("-C", path, "config", "annex.diskreserve", "1")


def test_content_that_is_cut_short_while_it_is_sent_ends_the_session(
    home: Path,
) -> None:
    """git-annex-shell and its client then wait for each other for ever."""
    repository, key = make_annex(home / "r.git"), sha256_key(BIG)
    with started(home, repository) as session:
        session.greet()
        assert session.put(key, BIG) == b"SUCCESS"
        (stored,) = files_below(repository / "annex/objects")
        assert session.ask(b"GET 0 f " + key) == b"DATA %d" % len(BIG)
        stored.chmod(0o644)
        os.truncate(stored, 100)
        assert len(session.take(len(BIG))) < len(BIG)
        ended = session.end()
    assert ended.code == 1 and "bytes less" in ended.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_session_that_a_signal_ends_commits_what_it_recorded(
    home: Path, number: signal.Signals
) -> None:
    """git-annex-shell leaves it in the journal, where clients do not see it."""
    repository = make_annex(home / "r.git")
    with started(home, repository) as session:
        session.greet()
        assert session.put(KEY, CONTENT) == b"SUCCESS"
        session.process.send_signal(number)
        session.process.wait(timeout=60)
    files = git("-C", repository, "ls-tree", "-r", "--name-only", "git-annex")
    (log,) = (name for name in files.split() if name.endswith(f"{KEY.decode()}.log"))
    assert f"1 {UUID_HERE}" in git("-C", repository, "show", f"git-annex:{log}")


@pytest.mark.parametrize("form", ["worktree", "submodule"])
def test_links_to_a_git_directory_stay_as_git_made_them(home: Path, form: str) -> None:
    """git-annex makes symlinks of them, which git does not follow where it removes one."""
    main = make_annex(home / "main", bare=False)
    git("-C", main, "commit", "--quiet", "--allow-empty", "-m", "start")
    if form == "worktree":
        path = home / "linked"
        git("-C", main, "worktree", "add", "-q", path)
    else:
        git("init", "-q", home / "whole")
        allow = ("-c", "protocol.file.allow=always", "-C", str(home / "whole"))
        git(*allow, "submodule", "add", "-q", main, "part")
        path = home / "whole/part"
        git("-C", path, "config", "annex.uuid", UUID_HERE)
        git("-C", path, "config", "annex.version", "10")
    pointer = (path / ".git").read_bytes()
    with started(home, path) as session:
        session.greet()
        before = git("-C", path, "config", "--list")
        assert session.put(KEY, CONTENT) == b"SUCCESS"
        assert session.ask(b"REMOVE " + KEY) == b"SUCCESS"
        assert session.end().code == 0
    assert not (path / ".git").is_symlink()
    assert (path / ".git").read_bytes() == pointer
    assert git("-C", path, "config", "--list") == before
    if form == "worktree":
        git("-C", main, "worktree", "remove", path)
