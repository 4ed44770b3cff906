"""Each way out of a restriction that we know of has a test with its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shell import (
    UUID_HERE,
    Done,
    environment,
    git,
    make_annex,
    run_shell,
    write_identity,
)

pytestmark = pytest.mark.usefixtures("both_ways")

OTHER = "00000000-1111-4222-8333-444444444444"


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """p/r may be served; q/r, p/r2 and home/r hold another annex."""
    top = tmp_path.resolve()
    for place in ("home", "p", "q/sub"):
        (top / place).mkdir(parents=True)
    write_identity(top / "home")
    make_annex(top / "p" / "r", bare=False)
    for other in ("q/r", "p/r2", "home/r", "p/r.git"):
        make_annex(top / other, uuid=OTHER)
    return top


def ask(world: Path, command: str, **env: str) -> Done:
    confined = {"GIT_ANNEX_SHELL_DIRECTORY": str(world / "p" / "r")}
    return run_shell("-c", command, env=environment(world / "home", **confined, **env))


def is_refused(done: Done) -> bool:
    assert b"Traceback" not in done.stderr
    return (done.returncode, done.stdout) == (1, b"") and OTHER.encode() not in (
        done.stderr
    )


def test_what_is_allowed_works(world: Path) -> None:
    done = ask(world, f"git-annex-shell 'configlist' '{world}/p/./r/'")
    assert done.stdout.startswith(f"annex.uuid={UUID_HERE}\n".encode())
    done = ask(world, f"git-upload-pack '{world}/p/r'")
    assert done.stdout.startswith(b"0")


@pytest.mark.parametrize(
    "command", ["git-annex-shell 'configlist' ", "git-upload-pack "]
)
class TestTryingToCheat:
    """Spec 01 §1.5 and §15 row 38, by git-annex's command and by git's."""

    def test_with_a_symlink_and_dots(self, world: Path, command: str) -> None:
        (world / "p" / "link").symlink_to(world / "q" / "sub")
        assert is_refused(ask(world, f"{command}'{world}/p/link/../r'"))

    def test_with_a_symlink(self, world: Path, command: str) -> None:
        (world / "p" / "link").symlink_to(world / "q" / "r")
        assert is_refused(ask(world, f"{command}'{world}/p/link'"))

    def test_with_a_common_beginning(self, world: Path, command: str) -> None:
        assert is_refused(ask(world, f"{command}'{world}/p/r2'"))

    def test_with_dots(self, world: Path, command: str) -> None:
        assert is_refused(ask(world, f"{command}'{world}/p/r/../r2'"))

    def test_with_the_suffix_that_git_adds(self, world: Path, command: str) -> None:
        assert is_refused(ask(world, f"{command}'{world}/p/r.git'"))

    def test_with_the_home_directory(self, world: Path, command: str) -> None:
        for home in ("r", "~/r", "/~/r", "./r"):
            assert is_refused(ask(world, f"{command}'{home}'"))

    def test_with_another_home_variable(self, world: Path, command: str) -> None:
        done = ask(world, f"HOME={world}/q {command}'~/r'")
        assert is_refused(done)

    def test_with_two_paths(self, world: Path, command: str) -> None:
        allowed, other = f"'{world}/p/r'", f"'{world}/q/r'"
        assert is_refused(ask(world, f"{command}{other} {allowed}"))
        assert is_refused(ask(world, f"{command}{other}\n{allowed}"))

    def test_with_words_in_the_environment(self, world: Path, command: str) -> None:
        other = str(world / "q" / "r")
        for name in ("GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE"):
            done = ask(world, f"{command}'{world}/p/r'", **{name: other})
            assert OTHER.encode() not in done.stdout
            assert done.returncode != 255

    def test_with_an_assignment_before_the_command(
        self, world: Path, command: str
    ) -> None:
        done = ask(world, f"GIT_ANNEX_SHELL_DIRECTORY= {command}'{world}/q/r'")
        assert is_refused(done)

    def test_with_a_git_file(self, world: Path, command: str) -> None:
        (world / "p" / "tree").mkdir()
        (world / "p" / "tree" / ".git").write_text(f"gitdir: {world}/q/r\n")
        assert is_refused(ask(world, f"{command}'{world}/p/tree'"))

    def test_with_the_names_of_what_exists(self, world: Path, command: str) -> None:
        there = ask(world, f"{command}'{world}/q/r'").stderr
        gone = ask(world, f"{command}'{world}/q/x'").stderr
        assert there.replace(b"q/r", b"q/x") == gone


def test_trying_to_cheat_with_options_for_git(world: Path) -> None:
    for words in (
        f"git-upload-pack --strict '{world}/q/r'",
        f"git-upload-pack '--timeout=9' '{world}/p/r'",
        f"git -C {world}/q/r upload-pack '{world}/p/r'",
        f"git --exec-path=/tmp upload-pack '{world}/p/r'",
        f"git -c core.sshCommand=id upload-pack '{world}/p/r'",
    ):
        assert is_refused(ask(world, words))


def test_trying_to_cheat_with_a_nested_command(world: Path) -> None:
    nested = f"git-annex-shell \"git-annex-shell 'configlist' '{world}/q/r'\""
    assert is_refused(ask(world, nested))
    assert is_refused(ask(world, f"git-annex-shell -c 'git-upload-pack {world}/q/r'"))


def test_trying_to_cheat_with_another_program(world: Path) -> None:
    for program in (
        "sh",
        "/bin/sh -c id",
        "git-shell",
        "git-annex",
        "annexshell-admin",
    ):
        assert is_refused(ask(world, program))
        assert is_refused(ask(world, f"{program} '{world}/p/r'"))


def test_limited_refuses_git_but_not_git_annex(world: Path) -> None:
    done = ask(world, f"git-upload-pack '{world}/p/r'", GIT_ANNEX_SHELL_LIMITED="1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"Action blocked by GIT_ANNEX_SHELL_LIMITED" in done.stderr
    command = f"git-annex-shell 'configlist' '{world}/p/r'"
    assert ask(world, command, GIT_ANNEX_SHELL_LIMITED="1").returncode == 0


def test_no_directory_to_check(world: Path) -> None:
    done = ask(world, "true")
    assert done.returncode == 1
    assert b"could not determine directory from command line" in done.stderr


@pytest.mark.parametrize("command", ["dropkey", "gcryptsetup", "recvkey"])
def test_read_only_comes_before_anything_else(world: Path, command: str) -> None:
    done = ask(
        world,
        f"git-annex-shell {command} /nowhere --bogus",
        GIT_ANNEX_SHELL_READONLY="1",
    )
    assert done.returncode == 1
    assert b"Action blocked by GIT_ANNEX_SHELL_READONLY" in done.stderr


def test_restrictions_are_not_inherited(world: Path, tmp_path: Path) -> None:
    """Spec 01 §15 row 37: a node behind us has restrictions of its own."""
    hook = world / "p" / "r" / ".git" / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\nenv > {tmp_path}/env\nexit 1\n")
    hook.chmod(0o755)
    client = tmp_path / "client"
    git("init", "-q", client)
    git("-C", client, "commit", "-q", "--allow-empty", "-m", "first")
    helper = tmp_path / "ssh"
    env = environment(
        world / "home",
        GIT_ANNEX_SHELL_DIRECTORY=str(world / "p" / "r"),
        GIT_ANNEX_SHELL_APPENDONLY="1",
        ANNEXSHELL_USER="ann",
    )
    settings = " ".join(f"{name}='{value}'" for name, value in env.items())
    helper.write_text(
        f"#!/bin/sh\nshift\nexec env {settings} {__import__('sys').executable} -c "
        "'import sys; from annexshell.cli.shell import main; sys.exit(main())' -c \"$1\"\n"
    )
    helper.chmod(0o755)
    push = ["-c", f"core.sshCommand={helper}", "-C", str(client), "push", "-q"]
    with pytest.raises(Exception, match="push"):
        git(*push, f"host:{world}/p/r", "HEAD:refs/heads/new")
    seen = (tmp_path / "env").read_text()
    assert "PATH=" in seen
    assert "GIT_ANNEX_SHELL_" not in seen and "ANNEXSHELL_" not in seen


def plant(place: Path, proof: Path, commondir: Path | None = None) -> None:
    """What a client can put into a tree: a git directory with a hook of its own."""
    (place / "hooks").mkdir(parents=True)
    for part in ("objects", "refs"):
        (place / part).mkdir()
        (place / part / ".kept").write_text("")
    (place / "HEAD").write_text("ref: refs/heads/main\n")
    settings = f"[annex]\n\tuuid = {OTHER}\n\tversion = 10\n"
    (place / "config").write_text(f"[core]\n\tbare = true\n{settings}")
    (place / "hooks" / "post-receive").write_text(f"#!/bin/sh\ntouch {proof}\n")
    (place / "hooks" / "post-receive").chmod(0o755)
    if commondir is not None:
        (place / "commondir").write_text(f"{commondir}\n")


@pytest.mark.parametrize("confined", [False, True])
class TestPushingAGitDirectory:
    """Into a work tree, or among the refs: it would bring its own hooks and config."""

    def ask(self, world: Path, confined: bool, command: str, path: Path) -> Done:
        below = {"ANNEXSHELL_DIRECTORY_BELOW": str(world / "p")} if confined else {}
        env = environment(world / "home", **below)
        return run_shell("-c", f"{command} '{path}'", env=env, stdin=b"0000")

    def refuses(self, world: Path, confined: bool, path: Path) -> None:
        done = self.ask(world, confined, "git-annex-shell 'configlist'", path)
        assert done.stdout == b"annex.uuid=\ncore.gcrypt-id=\n"
        for service in ("git-upload-pack", "git-receive-pack"):
            assert is_refused(self.ask(world, confined, service, path))
        done = self.ask(world, confined, "git-annex-shell 'p2pstdio'", path)
        assert is_refused(done)
        assert b"inside another git repository" in done.stderr

    @pytest.mark.parametrize("place", ["evil", "a/evil", "modules/evil"])
    def test_into_a_work_tree(self, world: Path, confined: bool, place: str) -> None:
        repository = world / "p" / "r"
        plant(repository / place, world / "pwned")
        plant(repository / "modules" / "x", world / "pwned", world / "q/r")
        git("-C", repository, "add", "-f", ".")
        self.refuses(world, confined, repository / place)
        self.refuses(world, confined, repository / "modules" / "x")

    def test_over_the_top_of_a_work_tree(self, world: Path, confined: bool) -> None:
        repository = world / "p" / "r"
        plant(repository / "evil", world / "pwned")
        for part in (repository / "evil").iterdir():
            part.rename(repository / part.name)
        plant(repository / "worktrees" / "x", world / "pwned")
        git("-C", repository, "add", "-f", ".")
        self.refuses(world, confined, repository / "worktrees" / "x")

    def test_as_refs(self, world: Path, confined: bool) -> None:
        repository = world / "p" / "r"
        git("-C", repository, "commit", "-q", "--allow-empty", "-m", "first")
        for ref in ("HEAD", "objects/x", "refs/x"):
            git("-C", repository, "update-ref", f"refs/heads/{ref}", "HEAD")
        self.refuses(world, confined, repository / ".git" / "refs" / "heads")

    def test_what_no_repository_around_knows_is_served(
        self, world: Path, confined: bool
    ) -> None:
        inner = make_annex(world / "p" / "r" / "inner.git")
        (world / "p" / ".git").mkdir()
        done = self.ask(world, confined, "git-annex-shell 'configlist'", inner)
        assert done.stdout.startswith(f"annex.uuid={UUID_HERE}\n".encode())
        assert self.ask(world, confined, "git-upload-pack", inner).returncode == 0
