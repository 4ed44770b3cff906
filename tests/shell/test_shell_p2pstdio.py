"""What p2pstdio checks, says and hands over, with a server of the test's own behind it."""

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
)

both = pytest.mark.usefixtures("both_ways")
OTHER = "00000000-1111-4222-8333-444444444444"
CLIENT = "5e90acef-43a8-5c70-b3cf-bee689c12e2f"
GREETING = f"AUTH-SUCCESS {UUID_HERE}\n"

FAKE = """
import os, sys, types
def serve(request):
    sys.stderr.write("heavy " + repr(sorted(m for m in ("trio", "attrs", "attr", "pygit2",
        "typing", "subprocess", "argparse") if m in sys.modules)) + "\\n")
    for name in request._fields:
        if name not in ("repository", "restrictions"):
            sys.stderr.write(f"{name}={getattr(request, name)!r}\\n")
    sys.stderr.write(f"path={request.repository.path}\\n{request.restrictions}\\n")
    sys.stderr.write(repr([n for n in os.environ if "ANNEXSHELL" in n or "SHELL_" in n]))
    sys.stderr.write(sys.stdin.read())
    return 42
fake = types.ModuleType("annexshell.serve.start")
fake.serve = serve
sys.modules[fake.__name__] = fake
from annexshell.cli.shell import main
sys.exit(main())
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path.resolve()
    make_annex(home / "r.git")
    return home


def session(home: Path, words: str, stdin: bytes = b"", **env: str) -> Done:
    command = f"git-annex-shell 'p2pstdio' 'r.git' {words}"
    return run_shell(
        "-c", command, env=environment(home, **env), stdin=stdin, start=FAKE
    )


def refused(home: Path, words: str) -> Done:
    """What is refused needs no server behind it."""
    return run_shell(
        "-c", f"git-annex-shell 'p2pstdio' 'r.git' {words}", env=environment(home)
    )


@pytest.mark.parametrize("words", [f"'{CLIENT}'", f"'{CLIENT}' --uuid {UUID_HERE}"])
def test_a_local_session_is_greeted_at_once(home: Path, words: str) -> None:
    done = session(home, words, stdin=b"VERSION 4\n")
    said = done.stderr.decode()
    assert (done.returncode, done.stdout.decode()) == (42, GREETING)
    assert "heavy []" in said
    assert f"client=b'{CLIENT}'" in said
    assert "asked=None" in said and "greeted=True" in said
    assert "debug=False" in said and "clock=None" in said
    assert f"path={home}/r.git" in said
    assert said.endswith("VERSION 4\n")


def test_everything_the_operator_says_is_handed_over(home: Path) -> None:
    done = session(
        home,
        f"'--debug' '{CLIENT}'",
        GIT_ANNEX_SHELL_READONLY="1",
        GIT_ANNEX_SHELL_DIRECTORY="r.git",
        ANNEXSHELL_USER="ann",
        SSH_CONNECTION="192.0.2.1 2 192.0.2.3 22",
        GIT_ANNEX_VECTOR_CLOCK="1s",
    )
    said = done.stderr.decode()
    assert done.returncode == 42
    assert "user='ann'" in said and "connection='192.0.2.1 2 192.0.2.3 22'" in said
    assert "debug=True" in said and "clock=b'1s'" in said
    assert "Restrictions(read_only=True, append_only=False" in said
    assert said.endswith("[]")


def test_another_uuid_is_left_to_the_server_without_a_greeting(home: Path) -> None:
    done = session(home, f"'{CLIENT}' --uuid {OTHER}")
    assert (done.returncode, done.stdout) == (42, b"")
    assert f"asked=b'{OTHER}'" in done.stderr.decode()
    assert "greeted=False" in done.stderr.decode()


@both
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"annex.version": None}, b"annex.version (not set) is not supported"),
        ({"annex.version": "7"}, b"annex.version 7 is not supported"),
        ({"annex.version": "11"}, b"annex.version 11 is not supported"),
    ],
)
def test_what_cannot_be_served_safely_is_not_greeted(
    home: Path, settings: dict[str, str | None], said: bytes
) -> None:
    for name, value in settings.items():
        change = ["--unset", name] if value is None else [name, value]
        git("-C", home / "r.git", "config", *change)
    done = refused(home, f"'{CLIENT}'")
    assert (done.returncode, done.stdout) == (255, b"")
    assert said in done.stderr


@both
def test_a_gcrypt_repository_has_no_such_session(home: Path) -> None:
    git("-C", home / "r.git", "config", "--unset", "annex.uuid")
    git("-C", home / "r.git", "config", "core.gcrypt-id", ":id:x")
    done = refused(home, f"'{CLIENT}'")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"has no P2P protocol" in done.stderr


@both
def test_what_is_no_annex_is_not_greeted(home: Path) -> None:
    git("-C", home / "r.git", "config", "--unset", "annex.uuid")
    done = refused(home, f"'{CLIENT}'")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"Not a git-annex or gcrypt repository." in done.stderr


@both
def test_an_uninitialised_repository_with_a_uuid_asked_for(home: Path) -> None:
    git("-C", home / "r.git", "config", "--unset", "annex.uuid")
    done = refused(home, f"'{CLIENT}' --uuid {OTHER}")
    assert (done.returncode, done.stdout) == (1, b"")
    said = f"expected repository UUID {OTHER} but found uninitialized repository"
    assert said.encode() in done.stderr


@both
@pytest.mark.parametrize("client", ["", "..", "a/b", "a.b", "x" * 65, "a\nb", "é"])
def test_a_client_uuid_that_could_be_a_path_is_refused(home: Path, client: str) -> None:
    done = refused(home, f"'{client}'")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"not a repository uuid" in done.stderr


@both
def test_a_directory_without_a_repository(home: Path) -> None:
    (home / "plain").mkdir()
    done = run_shell("p2pstdio", "plain", CLIENT, env=environment(home))
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"not a git repository" in done.stderr
