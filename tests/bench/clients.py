"""A real client that gets files through sshd: what proxying adds to getting them directly."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from tests.bench import orphans, processes
from tests.bench.contenders import Contender
from tests.bench.measure import Once, Row
from tests.bench.ratios import Cost
from tests.bench.resident import NoResident
from tests.bench.rows import Amounts
from tests.bench.scene import Ground
from tests.support.client import Repo, clone
from tests.support.gateway import Gateway
from tests.support.sshserver import Account, SshServer, prepare, running
from tests.support.world import find

_MB = 10**6
_CHUNK = 1 << 20
_LIMIT = 600.0
"""Seconds for getting it all, once."""
_GLANCE = 0.002
"""Seconds between looks at connections that are about to end."""
_LARGE, _SMALL = "large", "small"
"""Names of the file and of the folder that are got."""
_REMOTES = {"proxied": "origin-node", "direct": "direct"}


class ClientScene:
    """A gateway and its node behind an ssh server, and a clone for each program there."""

    def __init__(self, ground: Ground, server: SshServer, accounts: list[str]) -> None:
        self.ground, self.server = ground, server
        place = ground.world.place / "client"
        place.mkdir()
        gateway = Gateway.create(ground.world, ground.client, place / "gw", bare=True)
        node = gateway.add_path_node("node")
        gateway.publish()
        for repo in (gateway.repo, node):
            for name, value in ground.sides.usual.settings.items():
                repo.git("config", name, value)
        self.clones: dict[str, Repo] = {}
        for account in accounts:
            url, path = server.url(account, gateway.repo.path), place / account
            made = clone(ground.world, ground.client, url, path)
            made.git("remote", "add", "direct", server.url(account, node.path))
            made.git("config", "remote.direct.annex-uuid", node.uuid)
            self.clones[account] = made

    def store(self, amounts: Amounts) -> None:
        """Put the files into the node, and let all clones know of them."""
        source, *others = self.clones.values()
        with (source.path / _LARGE).open("wb") as file:
            left = amounts.file * _MB
            while left > 0:
                left -= file.write(os.urandom(min(left, _CHUNK)))
        (source.path / _SMALL).mkdir()
        for number in range(amounts.files):
            (source.path / _SMALL / str(number)).write_bytes(os.urandom(1 << 10))
        source.annex("add", "--quiet", ".")
        source.git("commit", "--quiet", "-m", "content")
        source.annex("copy", "--quiet", "--to", "direct", limit=_LIMIT)
        source.annex("drop", "--quiet", "--force", ".", limit=_LIMIT)
        source.git("push", "--quiet", "origin", "HEAD:main", "git-annex")
        for repo in others:
            repo.git("fetch", "--quiet", "origin")
            repo.git("merge", "--quiet", "--no-edit", "origin/main")
            repo.annex("merge")

    def get(self, name: str) -> Once:
        """``git annex get`` of a file or of a folder, from which what was got is dropped."""

        def once(contender: Contender) -> list[Cost]:
            repo = self.clones["ours" if contender.ours else "theirs"]
            remote = _REMOTES[contender.way]
            used, begun = self._cpu(), time.perf_counter()
            with orphans.awaited("ssh"):  # its master, which ends after git-annex
                repo.annex("get", "--quiet", "--from", remote, name, limit=_LIMIT)
                wall = time.perf_counter() - begun
            self._see_connections_end()
            used = self._cpu() - used
            missing = [path for path in _files(repo.path / name) if not path.exists()]
            assert not missing, missing
            repo.annex("drop", "--quiet", "--force", name, limit=_LIMIT)
            return [Cost(wall, used)]

        return once

    def _cpu(self) -> float:
        """Processor seconds so far: the client's, the ssh server's, the resident's.

        Raises NoResident if that has left: later sessions are cold, or another's.
        """
        resident = self.ground.meter.resident
        used = processes.children_cpu() + processes.tree_cpu(self.server.process.pid)
        if resident is None:
            return used
        if not processes.clocks([resident.pid]):
            raise NoResident(f"the resident process, {resident.pid}, has left")
        return used + processes.tree_cpu(resident.pid)

    def _see_connections_end(self) -> None:
        """Only then has the ssh server counted what they used."""
        deadline = time.monotonic() + _LIMIT
        while left := processes.children(self.server.process.pid):
            assert time.monotonic() < deadline, left
            time.sleep(_GLANCE)


def _files(path: Path) -> list[Path]:
    """A file, or those in a folder; annexed ones are links, and exist if their content does."""
    return sorted(path.iterdir()) if path.is_dir() else [path]


def client_rows(ground: Ground, amounts: Amounts, stack: ExitStack) -> Iterator[Row]:
    """The rows of a real client; ``stack`` ends the ssh server, which the first row starts."""
    sides = ground.sides

    @cache
    def scene() -> ClientScene:
        programs = {"ours": sides.usual.program, "theirs": sides.theirs.program}
        accounts = [Account(name, program) for name, program in programs.items()]
        prepare(ground.world, accounts)
        env = ground.world.env(ground.client.bin, XDG_RUNTIME_DIR=str(ground.runtime))
        kind = "openssh" if find("sshd") else "embedded"
        server = stack.enter_context(running(kind, ground.world, accounts, env))
        made = ClientScene(ground, server, list(programs))
        made.store(amounts)
        return made

    ours, theirs = (
        {way: side.going(way) for way in _REMOTES}
        for side in (sides.usual, sides.theirs)
    )
    pairs = [
        (ours["proxied"], ours["direct"]),
        (theirs["proxied"], theirs["direct"]),
        (ours["direct"], theirs["direct"]),
        (ours["proxied"], theirs["proxied"]),
    ]
    named = {
        _LARGE: f"one file of {amounts.file} MB",
        _SMALL: f"{amounts.files} files of 1 KiB",
    }
    for what, name in named.items():

        def make(what: str = what) -> Once:
            return scene().get(what)

        # Small differences of large files are what is judged, and two ways have to share
        # the cores with a client that takes nearly all of them.
        runs = 3.0 if what == _LARGE else 0.5
        yield Row("Real client", [name], pairs, make, runs=runs)
