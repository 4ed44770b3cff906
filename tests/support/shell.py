"""The restricted shell as a process, in an environment that only the test decides."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import annexshell

_SOURCE = str(Path(annexshell.__file__).parents[1])
_START = "import sys; from annexshell.cli.shell import main; sys.exit(main())"

#: As XDG_CONFIG_HOME: no session is handed to a resident process, and none starts one.
COLD = str(Path(__file__).parents[1] / "data/cold")


@dataclass(frozen=True)
class Way:
    """How the program is started, and what that needs in its environment."""

    start: str
    variables: Mapping[str, str]


_chosen = [Way(_START, {"XDG_CONFIG_HOME": COLD})]


def choose(way: Way) -> Way:
    """Start the program that way from now on; how it was started until now."""
    before, _chosen[0] = _chosen[0], way
    return before


Done = subprocess.CompletedProcess[bytes]


def environment(home: Path, **more: str) -> dict[str, str]:
    """PATH, a home directory, who commits, and what else the test gives.

    Sessions start cold unless the way that was chosen, or the test itself, says where
    residents are.
    """
    way = _chosen[0].variables if "XDG_RUNTIME_DIR" not in more else {}
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": _SOURCE,
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(home),
        "LC_ALL": "C",
        **way,
        **more,
    }


def write_identity(home: Path) -> None:
    """A git identity in the home directory's own config."""
    text = "[user]\n\tname = Tester\n\temail = tester@example.com\n"
    (home / ".gitconfig").write_text(text)


def shell_argv(*arguments: str | bytes) -> list[str | bytes]:
    """The program with these arguments, from this checkout."""
    return [sys.executable, "-c", _chosen[0].start, *arguments]


def run_shell(
    *arguments: str | bytes,
    env: Mapping[str, str],
    stdin: bytes = b"",
    start: str | None = None,
    cwd: Path | None = None,
) -> Done:
    """Run annexshell with these arguments, and wait for its end.

    ``start`` is Python that starts it in another way than the one chosen.
    """
    return subprocess.run(
        [sys.executable, "-c", start or _chosen[0].start, *arguments],
        env=env,
        input=stdin,
        capture_output=True,
        cwd=cwd,
        timeout=60,
    )


def git(*words: str | Path, cwd: Path | None = None) -> str:
    """Run git, which must succeed, away from the tester's own config."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Tester",
        "GIT_AUTHOR_EMAIL": "tester@example.com",
        "GIT_COMMITTER_NAME": "Tester",
        "GIT_COMMITTER_EMAIL": "tester@example.com",
    }
    done = subprocess.run(
        ["git", "-c", "init.defaultBranch=main", *words],
        env=env,
        cwd=cwd,
        check=True,
        stdout=subprocess.PIPE,
    )
    return done.stdout.decode()


UUID_HERE = "478e8457-0c54-4973-abb1-b4f362fe6023"


def make_annex(path: Path, *, bare: bool = True, uuid: str = UUID_HERE) -> Path:
    """A repository that says it is an annex; it has no content."""
    git("init", "-q", *(["--bare"] if bare else []), path)
    git("-C", path, "config", "annex.uuid", uuid)
    git("-C", path, "config", "annex.version", "10")
    return path
