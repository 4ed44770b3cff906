"""A push through the shell, into a repository with git-annex's own hooks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from annexshell.logs.location import holders
from annexshell.repository.branch import Branch
from tests.shell.test_push import push
from tests.support.repositories import K_LOG, U1, K, Repo, annex_repo

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        shutil.which("git-annex") is None, reason="git-annex is not in PATH"
    ),
]


def clone_of(server: Repo, path: Path) -> Repo:
    clone = annex_repo(path)
    clone.git("remote", "add", "origin", str(server.path))
    clone.git("fetch", "--quiet", "origin")
    clone.annex("merge", "--quiet")
    return clone


@pytest.mark.parametrize("bare", [True, False], ids=["bare", "with work tree"])
def test_no_line_is_lost_while_a_session_has_lines_in_the_journal(
    tmp_path: Path, bare: bool
) -> None:
    """With a work tree, git-annex's post-receive hook commits the journal over the push."""
    server = annex_repo(tmp_path / "server", bare=bare)
    clone = clone_of(server, tmp_path / "clone")
    clone.annex("setpresentkey", K.text.decode(), clone.uuid.decode(), "1")
    Branch(server.open()).record(K, U1, True)
    refused = push(clone, server, "git-annex")
    assert b"rejected" in refused.stderr
    clone.git("fetch", "--quiet", "origin")
    clone.annex("merge", "--quiet")
    done = push(clone, server, "git-annex")
    assert done.returncode == 0, done.stderr
    assert {U1, clone.uuid} <= holders(server.show(K_LOG) or b"")
