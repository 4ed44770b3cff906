"""A push through the shell loses no line of the git-annex branch (spec 03 §11.1)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from annexshell.logs import location
from annexshell.repository.branch import Branch
from tests.support.repositories import K_LOG, U1, U2, K, Repo, plain_repo
from tests.support.shell import environment


def clone_with_a_line(server: Repo, path: Path, line: bytes) -> Repo:
    """A clone whose git-annex branch has one more line."""
    clone = plain_repo(path, bare=False, uuid=U2)
    clone.git("fetch", str(server.path), "+git-annex:refs/heads/git-annex")
    clone.commit({K_LOG: line})
    return clone


def push(clone: Repo, server: Repo, refspec: str) -> subprocess.CompletedProcess[bytes]:
    """Push as a client does over ssh, with the shell at the other end."""
    ssh = clone.home / "ssh"
    ssh.write_text(
        "#!/bin/sh\nshift\nexec python3 -c 'import sys; from annexshell.cli.shell"
        ' import main; sys.exit(main())\' -c "$1"\n'
    )
    ssh.chmod(0o755)
    env = environment(clone.home, GIT_SSH=str(ssh), GIT_SSH_VARIANT="simple")
    url = f"ssh://host{server.path}"
    return subprocess.run(
        ["git", "-C", str(clone.path), "push", url, refspec],
        env=env,
        capture_output=True,
        timeout=60,
    )


def test_pushed_lines_and_journalled_lines_both_survive(tmp_path: Path) -> None:
    server = plain_repo(tmp_path / "server")
    branch = Branch(server.open())
    branch.create()
    clone = clone_with_a_line(server, tmp_path / "clone", b"1001s 1 %s\n" % U2)
    branch.record(K, U1, True)
    assert server.journal()
    done = push(clone, server, "+git-annex:refs/heads/synced/git-annex")
    assert done.returncode == 0, done.stderr
    assert server.journal() == {}
    assert location.holders(server.show(K_LOG) or b"") == {U1, U2}


HOOK = """#!/bin/sh
cd "$GIT_DIR" && ls annex/journal > found-by-hook
"""


def test_a_hook_of_the_push_finds_no_journal_to_put_over_it(tmp_path: Path) -> None:
    """git-annex's own post-receive hook would, and what was pushed would be gone."""
    server = plain_repo(tmp_path / "server")
    branch = Branch(server.open())
    branch.create()
    hook = server.path / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK)
    hook.chmod(0o755)
    clone = clone_with_a_line(server, tmp_path / "clone", b"1001s 1 %s\n" % U2)
    branch.record(K, U1, True)
    refused = push(clone, server, "git-annex")
    assert b"rejected" in refused.stderr
    assert location.holders(server.show(K_LOG) or b"") == {U1}
    clone.git("fetch", str(server.path), "git-annex")
    log = (server.show(K_LOG) or b"") + b"1001s 1 %s\n" % U2
    clone.commit({K_LOG: log}, parents=(clone.tip(), clone.tip("FETCH_HEAD")))
    done = push(clone, server, "git-annex")
    assert done.returncode == 0, done.stderr
    assert (server.path / "found-by-hook").read_bytes() == b""
    assert location.holders(server.show(K_LOG) or b"") == {U1, U2}


def test_a_pushed_synced_branch_is_merged_at_once(tmp_path: Path) -> None:
    server = plain_repo(tmp_path / "server")
    Branch(server.open()).create()
    clone = clone_with_a_line(server, tmp_path / "clone", b"1001s 1 %s\n" % U2)
    done = push(clone, server, "+git-annex:refs/heads/synced/git-annex")
    assert done.returncode == 0, done.stderr
    assert location.holders(server.show(K_LOG) or b"") == {U2}


def test_a_push_that_is_refused_tells_gits_own_exit_code(tmp_path: Path) -> None:
    server = plain_repo(tmp_path / "server")
    Branch(server.open()).create()
    clone = clone_with_a_line(server, tmp_path / "clone", b"1001s 1 %s\n" % U2)
    server.commit({b"uuid.log": b"x"})
    done = push(clone, server, "git-annex")
    assert done.returncode == 1
    assert b"rejected" in done.stderr


def test_a_push_to_no_repository_says_so(tmp_path: Path) -> None:
    server = plain_repo(tmp_path / "server")
    Branch(server.open()).create()
    clone = clone_with_a_line(server, tmp_path / "clone", b"1001s 1 %s\n" % U2)
    gone = Repo(tmp_path / "gone", True, server.home)
    done = push(clone, gone, "git-annex")
    assert done.returncode != 0
    assert b"no such directory" in done.stderr
    assert b"Traceback" not in done.stderr
