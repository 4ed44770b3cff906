"""A small world of its own for interop tests: a home, a PATH, git and ssh settings.

Nothing a test runs sees the settings of the person running it. ssh takes its files from
the password entry whatever ``HOME`` says, so a program named ``ssh`` stands first in
``PATH`` and adds ``-F`` with the world's own settings; git and every version of git-annex
find it there.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.process import LIMIT, run

ROOT = Path(__file__).resolve().parents[2]

GITCONFIG = """\
[user]
    name = Tester
    email = tester@example.invalid
[init]
    defaultBranch = main
[gc]
    auto = 0
[maintenance]
    auto = false
[safe]
    directory = *
[protocol "file"]
    allow = always
[push]
    default = current
[advice]
    detachedHead = false
"""

#: What our program reads, which leaves GIT_CONFIG_GLOBAL alone. Whoever leaves no time for
#: ending residents, as a run that is killed does, is outlived by a minute.
OURS = """\
[annexshell]
    warm = {warm}
    warm-idle = 60s
"""


def find(program: str) -> str | None:
    """The path of a program; system folders count although users lack them in PATH."""
    places = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin"
    return shutil.which(program, path=places)


def write_program(path: Path, body: str) -> None:
    """Write an executable shell script."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def write_entry_point(path: Path, module: str) -> None:
    """Write what pip would: a program that runs ``main`` of one of our modules.

    It takes the modules from this checkout, so that installed ones are never tested by
    accident, and starts as fast as an installed program does.
    """
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"from {module} import main\nsys.exit(main())\n"
    )
    path.chmod(0o755)


class World:
    """The place, the environment and the keys shared by all programs of some tests."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.home = place / "home"
        self.bin = place / "bin"
        self.keys = place / "keys"
        for folder in (self.home, self.bin, self.keys):
            folder.mkdir()
        (self.home / "gitconfig").write_text(GITCONFIG)
        self.variables: Mapping[str, str] = {}
        self._allow_warm(False)
        self.ssh_config = place / "ssh_config"
        self.ssh_config.write_text("")
        self._write_programs()

    def use_residents(self, variables: Mapping[str, str]) -> None:
        """Sessions go by the launcher, to residents that these variables lead to."""
        write_entry_point(self.bin / "annexshell", "annexshell.warm.launcher")
        self.variables = variables
        self._allow_warm(True)

    @contextmanager
    def cold(self) -> Iterator[None]:
        """Sessions that start in this block are processes of their own."""
        self._allow_warm(False)
        try:
            yield
        finally:
            self._allow_warm(True)

    def _allow_warm(self, allowed: bool) -> None:
        text = OURS.format(warm=str(allowed).lower())
        (self.home / ".gitconfig").write_text(text)

    def _write_programs(self) -> None:
        ssh = find("ssh")
        if ssh:
            quoted = shlex.quote(str(self.ssh_config))
            write_program(self.bin / "ssh", f'exec {ssh} -F {quoted} "$@"')
        write_entry_point(self.bin / "annexshell", "annexshell.cli.shell")
        write_entry_point(self.bin / "annexshell-admin", "annexshell.cli.admin")

    def env(self, *first: Path, **more: str) -> dict[str, str]:
        """An environment whose PATH begins with the given folders and the world's own."""
        folders = [
            str(self.bin),
            *map(str, first),
            "/usr/local/bin",
            "/usr/bin",
            "/bin",
        ]
        git = find("git")
        if git:
            folders.append(str(Path(git).parent))
        return {
            "PATH": ":".join(dict.fromkeys(folders)),
            "HOME": str(self.home),
            "GIT_CONFIG_GLOBAL": str(self.home / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "LC_ALL": "C.UTF-8",
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
            **self.variables,
            **more,
        }

    def new_key(self, name: str) -> Path:
        """Make an ssh key pair; the path of its private half."""
        path = self.keys / name
        run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path],
            cwd=self.place,
            env=self.env(),
            limit=LIMIT,
        )
        return path


def remove_tree(path: Path) -> None:
    """Remove a folder with git-annex's write-protected folders in it.

    The session of a client that was killed may still be tidying up in it.
    """
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            for folder, _, _ in os.walk(path):
                os.chmod(folder, 0o700)
            return shutil.rmtree(path)
        except OSError as error:
            moved = error.errno in (errno.ENOENT, errno.ENOTEMPTY) and path.exists()
            if not moved or time.monotonic() > deadline:
                raise
