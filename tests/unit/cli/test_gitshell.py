"""Which git commands are handed over, and with which path (spec 01 §1.7)."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexshell.cli.environment import Surroundings
from annexshell.cli.gitshell import (
    Service,
    dequote,
    pass_through,
    quote,
    read_service,
)
from annexshell.errors import (
    BlockedBy,
    NotARepository,
    NotGitCommand,
    OnlyAllowedTo,
    OnlyAllowedUnknown,
)
from annexshell.policy.restrictions import Restrictions
from tests.support.shell import git


class Handed(Exception):
    def __init__(self, service: Service) -> None:
        self.service = service


def execute(service: Service) -> NoReturn:
    raise Handed(service)


def handed(command: str, home: Path, **restrictions: str | bool) -> Service:
    surroundings = Surroundings(
        str(home),
        Restrictions(**restrictions),  # type: ignore[arg-type]  # by name
    )
    with pytest.raises(Handed) as caught:
        pass_through([command], surroundings, execute)
    return caught.value.service


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("git-upload-pack '/r'", Service("git-upload-pack", "/r")),
        ("git-receive-pack 'a b'", Service("git-receive-pack", "a b")),
        ("git upload-pack '/r'", Service("git-upload-pack", "/r")),
        ("git-upload-archive '~/r'", Service("git-upload-archive", "~/r")),
        ("git-upload-pack 'a'\\''b'\\!'c'", Service("git-upload-pack", "a'b!c")),
    ],
)
def test_git_services_are_read(text: str, service: Service) -> None:
    assert read_service([text]) == service


@pytest.mark.parametrize(
    "text",
    [
        "",
        "true",
        "sh",
        "git-shell '/r'",
        "git-daemon '/r'",
        "git-upload-pack",
        "git-upload-pack ",
        "git-upload-pack /r",
        "git-upload-pack '/r",
        "git-upload-pack '/r' '/s'",
        "git-upload-pack  '/r'",
        "git-upload-pack '/r' ",
        "git-upload-pack '/r';id",
        "git-upload-pack '--strict'",
        "git-upload-pack '-x'",
        "git-upload-pack --strict '/r'",
        "git  upload-pack '/r'",
        "/usr/bin/git-upload-pack '/r'",
        "cvs server",
        "scp -t /",
    ],
)
def test_anything_else_is_no_git_service(text: str, tmp_path: Path) -> None:
    assert read_service([text]) is None
    with pytest.raises(NotGitCommand):
        pass_through([text], Surroundings(str(tmp_path)), execute)


def test_words_that_came_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotGitCommand):
        pass_through(["git-upload-pack", "/r"], Surroundings(str(tmp_path)), execute)


@given(st.text(st.characters(exclude_characters="\0")))
def test_quoting_comes_back(path: str) -> None:
    assert dequote(quote(path)) == path


@given(st.text(st.sampled_from("'\\! a$`\"\n"), max_size=8))
def test_quoting_means_the_same_to_a_shell(path: str) -> None:
    script = f"printf '%s' {quote(path)}"
    shown = subprocess.run(["/bin/sh", "-c", script], check=True, capture_output=True)
    assert shown.stdout.decode() == path


def test_git_gets_the_git_directory(tmp_path: Path) -> None:
    home = tmp_path.resolve()
    git("init", "-q", home / "r")
    git("init", "-q", "--bare", home / "b.git")
    for asked in ("r", "~/r", "/~/r", str(home / "r"), "x/../r"):
        command = f"git-receive-pack {quote(asked)}"
        for service in (handed(command, home), handed(command, home, directory="~/r")):
            assert service == Service("git-receive-pack", str(home / "r" / ".git"))
    service = handed("git-upload-pack 'b'", home, directory="b.git")
    assert service.path == str(home / "b.git")


def test_under_a_confinement_nothing_else_is_found(tmp_path: Path) -> None:
    home = tmp_path.resolve()
    (home / "plain").mkdir()
    git("init", "-q", "--bare", home / "plain.git")
    confined = Surroundings(str(home), Restrictions(directory="plain"))
    # git itself would go on to plain.git here, which is not what is allowed.
    with pytest.raises(NotARepository):
        pass_through(["git-upload-pack 'plain'"], confined, execute)
    with pytest.raises(OnlyAllowedTo):
        pass_through(["git-upload-pack 'plain.git'"], confined, execute)
    with pytest.raises(OnlyAllowedUnknown):
        pass_through(["true"], confined, execute)


def test_limited_refuses_git_after_the_directory(tmp_path: Path) -> None:
    limited = Surroundings(str(tmp_path), Restrictions(limited=True))
    with pytest.raises(BlockedBy, match="GIT_ANNEX_SHELL_LIMITED"):
        pass_through(["git-upload-pack '/r'"], limited, execute)
    both = Surroundings(str(tmp_path), Restrictions(limited=True, directory="/x"))
    with pytest.raises(OnlyAllowedTo):
        pass_through(["git-upload-pack '/r'"], both, execute)


def test_read_only_does_not_touch_git(tmp_path: Path) -> None:
    git("init", "-q", "--bare", tmp_path / "r")
    service = handed("git-receive-pack 'r'", tmp_path, read_only=True)
    assert service.path == str(tmp_path.resolve() / "r")
