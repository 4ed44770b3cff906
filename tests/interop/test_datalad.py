"""DataLad's own tests over ssh, with our program as the far side's git-annex-shell.

They log in to the hosts ``datalad-test`` and ``datalad-test2`` with a whole shell, as
DataLad does to make siblings, and find ``git-annex-shell`` there in PATH.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.process import Word, run
from tests.support.sshserver import (
    Account,
    ServerDidNotStart,
    SshServer,
    prepare,
    running,
)
from tests.support.world import ROOT, World, find, remove_tree, write_program

#: Seconds for one of DataLad's modules; they take half a minute on a small machine.
PATIENCE = 900.0
HOSTS = ("datalad-test", "datalad-test2")
MODULES = {
    "distribution.tests.test_create_sibling": "(ssh or interactive or non_master)"
    " and not ssh_inherit",
    "support.tests.test_annexrepo": "ssh",
    "distribution.tests.test_install": "ssh or with_space or another_remote",
    "distribution.tests.test_get": "ssh or direct_fetch",
}
"""Modules to the tests that go over ssh; not all of those have it in their name.

``test_target_ssh_inherit`` needs an extension that DataLad no longer has.
"""


@dataclass(frozen=True)
class DataLad:
    """A machine with DataLad, and another one that it reaches by ssh."""

    world: World
    current: Client
    python: Path
    calls: Path
    """What our program was called with, a line each."""

    def test(self, module: str, names: str) -> None:
        self.calls.write_text("")
        folder = self.python.parent
        words: list[Word] = [self.python, "-m", "pytest", "-q", "-rA"]
        words += ["-p", "no:cacheprovider", "--pyargs", f"datalad.{module}"]
        done = run(
            [*words, "-k", names],
            cwd=self.world.place,
            env=self.world.env(self.current.bin, folder, DATALAD_TESTS_SSH="1"),
            limit=PATIENCE,
            check=False,
        )
        assert done.code == 0, done.out[-20000:]
        assert " passed" in done.out and "SKIPPED" not in done.out, done.out[-5000:]


@pytest.fixture(scope="module")
def datalad(
    current: Client, program: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DataLad]:
    python = ROOT / ".venv-datalad/bin/python"
    if not python.exists():
        pytest.skip("DataLad is not here: run: make clients")
    world = World(tmp_path_factory.mktemp("dl"))
    calls = world.place / "calls"
    _write_far_side(world, program, calls, [current.bin, python.parent])
    accounts = [Account(host, "far-side") for host in HOSTS]
    prepare(world, accounts)
    try:
        server = running("openssh", world, accounts, world.env(current.bin))
        with server as started:
            _name_hosts(started)
            yield DataLad(world, current, python, calls)
    except ServerDidNotStart as reason:
        if find("sshd"):
            raise
        pytest.skip(f"no sshd here: apt-get install openssh-server ({reason})")
    finally:
        remove_tree(world.place)


def _write_far_side(
    world: World, program: str, calls: Path, folders: list[Path]
) -> None:
    """A login shell with our program in PATH, begun at home as after a real login."""
    own = world.place / "far"
    own.mkdir()
    write_program(own / "git-annex-shell", f'echo "$*" >>{calls}\nexec {program} "$@"')
    path = ":".join(map(str, [own, *folders]))
    write_program(
        world.bin / "far-side",
        f'PATH={path}:$PATH\nexport PATH\ncd\nexec bash --norc "$@"',
    )


def _name_hosts(server: SshServer) -> None:
    """The hosts' names are fixed in DataLad's tests."""
    settings = server.world.ssh_config
    text = settings.read_text()
    for host in HOSTS:
        text = text.replace(f"Host {server.host(host)}\n", f"Host {host}\n")
    settings.write_text(text)


@pytest.mark.parametrize("module", MODULES)
def test_datalad(datalad: DataLad, module: str) -> None:
    datalad.test(module, MODULES[module])
    assert "configlist" in datalad.calls.read_text()
