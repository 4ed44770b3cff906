"""Real git-annex clients of several versions, and the repositories they work in."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.process import LIMIT, Result, Word, run
from tests.support.world import ROOT, World

#: Names of the client versions that every-day work is tested with.
CLIENTS = ("10.20261026", "10.20250605", "10.20230126")

HOW = {
    "10.20261026": "install the test extra: make .venv/.ready",
    "10.20250605": "run: make clients",
    "10.20230126": "run: make clients (needs a Debian mirror)",
}


def _candidates(version: str) -> Iterator[Path]:
    if version == "10.20261026":
        spec = importlib.util.find_spec("git_annex")
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            yield Path(folder) / "git-annex"
    elif version == "10.20250605":
        yield from (ROOT / ".venv-old/lib").glob(
            "python3*/site-packages/git_annex/git-annex"
        )
    else:
        yield ROOT / ".cache/debian/usr/bin/git-annex"


def _reported_version(binary: Path) -> str:
    """The version a binary says it has; "" if it cannot run here."""
    done = subprocess.run(
        [binary, "version", "--raw"], capture_output=True, timeout=LIMIT, check=False
    )
    return done.stdout.decode().split("-")[0] if done.returncode == 0 else ""


@dataclass(frozen=True)
class Client:
    """One version of git-annex: the folder in which git-annex and git-annex-shell lie."""

    version: str
    bin: Path

    @property
    def knows_proxies(self) -> bool:
        return self.version >= "10.20240701"

    @property
    def shell(self) -> Path:
        return self.bin / "git-annex-shell"


def find_client(version: str, world: World) -> Client | None:
    """The client of that version, or None if this machine has not got it.

    The PyPI package holds a Python script around the real program. We link to the program
    itself: what is measured and tested is git-annex, not Python's start-up.
    """
    folder = world.place / "clients" / version
    for binary in _candidates(version):
        if not binary.exists() or _reported_version(binary) != version:
            continue
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "git-annex").symlink_to(binary)
            (folder / "git-annex-shell").symlink_to(binary)
        return Client(version, folder)
    return None


class Repo:
    """A repository a person works in with one version of git and git-annex."""

    def __init__(
        self,
        world: World,
        client: Client,
        path: Path,
        env: dict[str, str] | None = None,
    ) -> None:
        self.world = world
        self.client = client
        self.path = path
        self.env = world.env(client.bin) if env is None else env

    @classmethod
    def create(
        cls, world: World, client: Client, path: Path, *, bare: bool = False
    ) -> Repo:
        """A fresh initialised repository; not bare ones get a first commit."""
        path.mkdir(parents=True)
        repo = cls(world, client, path)
        repo.git("init", "--quiet", *(["--bare"] if bare else []))
        repo.annex("init", path.name)
        if not bare:
            repo.git("commit", "--quiet", "--allow-empty", "-m", "start")
        return repo

    def clone(self, url: str, path: Path, client: Client | None = None) -> Repo:
        """Clone ``url`` (with this repository's client unless told) and initialise it."""
        used = client or self.client
        return clone(self.world, used, url, path)

    def git(self, *words: Word, check: bool = True) -> Result:
        return run(["git", *words], cwd=self.path, env=self.env, check=check)

    def annex(
        self, *words: Word, check: bool = True, stdin: bytes = b"", limit: float = LIMIT
    ) -> Result:
        return run(
            ["git", "annex", *words],
            cwd=self.path,
            env=self.env,
            check=check,
            stdin=stdin,
            limit=limit,
        )

    @property
    def uuid(self) -> str:
        return self.git("config", "annex.uuid").out.strip()

    def remote_uuid(self, name: str) -> str:
        return self.annex("info", "--fast", "--json", name).out.split('"uuid":"')[1][
            :36
        ]

    def add(self, name: str | bytes, content: bytes) -> str:
        """Add a file to the annex and commit it; its key."""
        raw = os.fsencode(name)
        path = os.path.join(os.fsencode(self.path), raw)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        self.annex("add", "--quiet", "--", raw)
        self.git("commit", "--quiet", "-m", "add")
        return self.key(raw)

    def key(self, name: str | bytes) -> str:
        return self.annex("lookupkey", "--", os.fsencode(name)).out.removesuffix("\n")

    def whereis(self, key: str) -> set[str]:
        """The uuids of the repositories that are recorded to hold a key."""
        told = self.annex("whereis", "--json", f"--key={key}", check=False).out
        if not told.strip():
            return set()
        found = json.loads(told)
        return {place["uuid"] for place in found["whereis"] + found["untrusted"]}

    def has(self, key: str) -> bool:
        """Whether the content of a key lies in this repository, by the repository itself."""
        return self.annex("contentlocation", key, check=False).code == 0

    def object(self, key: str) -> Path:
        """The path of a key's content here."""
        return self.path / self.annex("contentlocation", key).out.removesuffix("\n")

    def fsck_content(self) -> None:
        """All content that lies here is what its key says; the log may lag behind it."""
        checked = self.annex("fsck", "--all", check=False)
        assert "Bad file" not in checked.err and "missing" not in checked.err, checked

    def fsck(self, given_up: str = "") -> None:
        """Nothing is wrong with content, location log or git's own objects.

        ``given_up`` is part of the names of keys that a test removed everywhere on
        purpose; that no copy of those is left is the one complaint allowed.
        """
        checked = self.annex("fsck", "--all", check=False)
        wrong = [line.strip() for line in checked.err.splitlines() if line.strip()]
        if given_up:
            lost = "** No known copies exist of "
            wrong = [w for w in wrong if not (w.startswith(lost) and given_up in w)]
            wrong = [w for w in wrong if not w.startswith("fsck: ")]
        assert not wrong, checked
        assert given_up or checked.code == 0, checked
        assert "fixing location log" not in checked.out, checked
        self.git("fsck", "--strict", "--no-dangling")


def clone(world: World, client: Client, url: str, path: Path) -> Repo:
    """Clone a repository over ssh or by path and initialise git-annex in it."""
    env = world.env(client.bin)
    run(["git", "clone", "--quiet", url, path], cwd=world.place, env=env)
    repo = Repo(world, client, path)
    repo.annex("init", path.name)
    return repo
