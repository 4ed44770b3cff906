"""Hand-over to git, with git's own client at the other end (spec 01 §1.7)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.shell import environment, git, make_annex, run_shell


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path.resolve() / "home"
    home.mkdir()
    make_annex(home / "r.git")
    return home


def ssh_to(home: Path, script: Path, **more: str) -> str:
    """A program for core.sshCommand that starts annexshell in place of ssh."""
    env = environment(home, **more)
    settings = " ".join(f"{name}='{value}'" for name, value in env.items())
    start = "import sys; from annexshell.cli.shell import main; sys.exit(main())"
    script.write_text(
        "#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\n"
        f"cd {home}\nexec env {settings} {sys.executable} -c '{start}' -c \"$1\"\n"
    )
    script.chmod(0o755)
    return f"core.sshCommand={script}"


@pytest.mark.parametrize("confined", [False, True])
def test_clone_push_and_fetch(home: Path, tmp_path: Path, confined: bool) -> None:
    more = {"GIT_ANNEX_SHELL_DIRECTORY": "r.git"} if confined else {}
    ssh = ssh_to(home, tmp_path / "ssh", **more)
    client = tmp_path / "client"
    git("-c", ssh, "clone", "-q", f"host:{home}/r.git", client)
    git("-C", client, "commit", "-q", "--allow-empty", "-m", "first")
    git("-c", ssh, "-C", client, "push", "-q", "origin", "HEAD:refs/heads/main")
    git("-c", ssh, "clone", "-q", "host:r.git", tmp_path / "second")
    assert git("-C", tmp_path / "second", "log", "--format=%s") == "first\n"


def test_a_push_into_a_work_tree_under_a_confinement(
    home: Path, tmp_path: Path
) -> None:
    make_annex(home / "tree", bare=False)
    git("-C", home / "tree", "commit", "-q", "--allow-empty", "-m", "first")
    git("-C", home / "tree", "config", "receive.denyCurrentBranch", "updateInstead")
    ssh = ssh_to(home, tmp_path / "ssh", GIT_ANNEX_SHELL_DIRECTORY="tree")
    client = tmp_path / "client"
    git("-c", ssh, "clone", "-q", f"host:{home}/tree", client)
    (client / "file").write_text("x")
    git("-C", client, "add", "file")
    git("-C", client, "commit", "-q", "-m", "second")
    git("-c", ssh, "-C", client, "push", "-q")
    assert (home / "tree" / "file").read_text() == "x"


def test_the_protocol_version_is_passed_on(home: Path) -> None:
    command = f"git-upload-pack '{home}/r.git'"
    env = environment(home, GIT_PROTOCOL="version=2")
    assert b"version 2" in run_shell("-c", command, env=env, stdin=b"0000").stdout
    plain = run_shell("-c", command, env=environment(home), stdin=b"0000")
    assert b"version 2" not in plain.stdout


@pytest.mark.parametrize("confined", [False, True])
def test_git_is_enough_where_git_shell_is_missing(
    home: Path, tmp_path: Path, confined: bool
) -> None:
    program = shutil.which("git")
    assert program
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(program)
    more = {"GIT_ANNEX_SHELL_DIRECTORY": "r.git"} if confined else {}
    env = environment(home, **more) | {"PATH": str(tmp_path / "bin")}
    done = run_shell("-c", "git-upload-pack 'r.git'", env=env, stdin=b"0000", cwd=home)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"0000")


def test_no_git_at_all(home: Path, tmp_path: Path) -> None:
    env = environment(home) | {"PATH": str(tmp_path)}
    done = run_shell("-c", "git-upload-pack 'r.git'", env=env)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"git-shell failed" in done.stderr


def test_the_process_becomes_git(home: Path) -> None:
    """Nothing of ours stays in memory, or in the way of signals, while git works."""
    env = environment(home)
    start = "import sys; from annexshell.cli.shell import main; sys.exit(main())"
    argv = [sys.executable, "-c", start, "-c", f"git-upload-pack '{home}/r.git'"]
    pipe = subprocess.PIPE
    child = subprocess.Popen(argv, env=env, stdin=pipe, stdout=pipe, stderr=pipe)
    assert child.stdout is not None
    child.stdout.read(4)
    name = os.path.basename(os.readlink(f"/proc/{child.pid}/exe"))
    child.communicate(b"0000", timeout=60)
    assert name.startswith("git")
