"""configlist that initialises, and what keeps it from doing so (spec 01 §2, 02 §14.2)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.shell import (
    Done,
    environment,
    git,
    make_annex,
    run_shell,
    write_identity,
)

ANSWER = re.compile(rb"annex\.uuid=([0-9a-f-]{36})\ncore\.gcrypt-id=\n\Z")
EMPTY = b"annex.uuid=\ncore.gcrypt-id=\n"
AUTOINIT = "git-annex-shell 'configlist' 'new' '--' 'autoinit=1' '--'"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path.resolve()
    write_identity(home)
    git("init", "-q", "--bare", home / "new")
    return home


def autoinit(home: Path, **env: str) -> Done:
    return run_shell("-c", AUTOINIT, env=environment(home, **env))


def is_untouched(home: Path) -> bool:
    config = git("-C", home / "new", "config", "--list", "--local")
    return "annex.uuid" not in config and not (home / "new" / "annex").exists()


def uuid_of(done: Done) -> bytes:
    found = ANSWER.match(done.stdout)
    assert found and done.returncode == 0, done
    return found[1]


def test_autoinit_makes_an_annex_and_keeps_its_uuid(home: Path) -> None:
    uuid = uuid_of(autoinit(home))
    assert uuid_of(autoinit(home)) == uuid
    assert uuid_of(run_shell("configlist", "new", env=environment(home))) == uuid
    assert git("-C", home / "new", "config", "annex.version") == "10\n"
    assert git("-C", home / "new", "rev-parse", "--verify", "refs/heads/git-annex")


@pytest.mark.parametrize(
    "ref",
    [
        "refs/heads/git-annex",
        "refs/heads/synced/git-annex",
        "refs/remotes/origin/git-annex",
        "refs/remotes/a/b/git-annex",
    ],
)
def test_a_git_annex_branch_of_any_kind_initialises(home: Path, ref: str) -> None:
    make_annex(home / "other", bare=False)
    git("-C", home / "other", "commit", "-q", "--allow-empty", "-m", "branch created")
    git("-C", home / "other", "push", "-q", home / "new", f"HEAD:{ref}")
    uuid_of(run_shell("configlist", "new", env=environment(home)))


def test_another_field_does_not_initialise(home: Path) -> None:
    for field in ("autoinit=0", "autoinit=", "autoinit=true", "autoinit"):
        done = run_shell("configlist", "new", "--", field, env=environment(home))
        assert done.stdout == EMPTY
    assert is_untouched(home)


def test_read_only_blocks_it(home: Path) -> None:
    done = autoinit(home, GIT_ANNEX_SHELL_READONLY="1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"Action blocked by GIT_ANNEX_SHELL_READONLY" in done.stderr
    assert is_untouched(home)
    plain = run_shell(
        "configlist", "new", env=environment(home, GIT_ANNEX_SHELL_READONLY="1")
    )
    assert (plain.returncode, plain.stdout) == (0, EMPTY)


def test_append_only_and_limited_do_not(home: Path) -> None:
    uuid_of(autoinit(home, GIT_ANNEX_SHELL_APPENDONLY="1", GIT_ANNEX_SHELL_LIMITED="1"))


def test_noannex_blocks_it_in_a_work_tree_only(home: Path) -> None:
    (home / "new" / ".noannex").write_text("x")
    uuid_of(autoinit(home))
    git("init", "-q", home / "tree")
    (home / "tree" / ".noannex").write_text("ask\x1b[2Jann first\n")
    done = run_shell("configlist", "tree", "--", "autoinit=1", env=environment(home))
    assert (done.returncode, done.stdout) == (1, b"")
    assert rb"ask\x1b[2Jann first" in done.stderr
    assert b"Not initialized." in done.stderr
    assert not (home / "tree" / ".git" / "annex").exists()


@pytest.mark.parametrize("trace", ["annex.version", "annex/objects"])
def test_a_lost_uuid_is_not_replaced(home: Path, trace: str) -> None:
    if "/" in trace:
        (home / "new" / trace).mkdir(parents=True)
    else:
        git("-C", home / "new", "config", trace, "10")
    done = autoinit(home)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"annex.uuid is missing" in done.stdout
    assert b"annex.uuid=" not in done.stdout
    assert "annex.uuid" not in git("-C", home / "new", "config", "--list", "--local")


def test_many_at_once_agree_on_one_uuid(home: Path) -> None:
    start = "import sys; from annexshell.cli.shell import main; sys.exit(main())"
    argv = [sys.executable, "-c", start, "-c", AUTOINIT]
    pipe = subprocess.PIPE
    children = [
        subprocess.Popen(argv, env=environment(home), stdout=pipe, stderr=pipe)
        for _ in range(5)
    ]
    answers = {child.communicate(timeout=120)[0] for child in children}
    assert [child.returncode for child in children] == [0] * 5
    assert len(answers) == 1
    assert git("-C", home / "new", "config", "--get-all", "annex.uuid").count("\n") == 1


def test_the_vector_clock_of_the_environment_is_used(home: Path) -> None:
    uuid = uuid_of(autoinit(home, GIT_ANNEX_VECTOR_CLOCK="42s"))
    log = (home / "new" / "annex" / "journal" / "uuid.log").read_bytes()
    assert log.startswith(uuid) and log.endswith(b" timestamp=42s\n")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_streams_are_not_taken_by_files(
    tmp_path: Path, closed: tuple[int, ...]
) -> None:
    """What is written to them must not land in a file that got the number."""
    home = tmp_path.resolve()
    write_identity(home)
    git("init", "-q", "--bare", home / "r.git")
    start = (
        f"import os, sys\nfor fd in {closed}: os.close(fd)\n"
        "from annexshell.cli.shell import main\n"
        "code = main()\n"
        "names = [os.readlink(f'/proc/self/fd/{fd}') for fd in " + f"{closed}]\n"
        "os._exit(code if set(names) == {'/dev/null'} else 99)"
    )
    words = ("configlist", str(home / "r.git"), "--", "autoinit=1", "--")
    done = run_shell(*words, env=environment(home), start=start)
    assert done.returncode == 0
    assert git("-C", home / "r.git", "config", "annex.version") == "10\n"
    assert git("-C", home / "r.git", "fsck", "--strict") == ""


@pytest.mark.parametrize("kind", ["symlink", "dangling", "fifo", "directory"])
def test_a_noannex_that_is_no_file_prevents_and_is_not_read(
    tmp_path: Path, kind: str
) -> None:
    """A push puts it there; a symlink would show whatever the account may read."""
    home = tmp_path.resolve()
    git("init", "-q", home / "new")
    (home / "secret").write_text("s3cret")
    noannex = home / "new" / ".noannex"
    if kind == "fifo":
        os.mkfifo(noannex)
    elif kind == "directory":
        noannex.mkdir()
    else:
        noannex.symlink_to("../secret" if kind == "symlink" else "nowhere")
    env = environment(home, GIT_ANNEX_SHELL_DIRECTORY="new")
    done = run_shell("-c", AUTOINIT, env=env)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"Not initialized." in done.stderr and b"s3cret" not in done.stderr
