"""The same command line, given to git-annex-shell and to us, does the same.

Each runs on a copy of its own of the same repository; afterwards exit code, output, stored
content and journal are compared (spec 01 §1.8, spec 02 §15).
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.client import Client, Repo
from tests.support.gateway import Gateway
from tests.support.process import Result, run
from tests.support.rsync import need_rsync, rsync
from tests.support.session import sha256_key
from tests.support.world import World, remove_tree

HELLO = b"hello\n"
KEY = sha256_key(HELLO).decode()
DAMAGED = sha256_key(b"damaged\n").decode()
ABSENT = sha256_key(b"absent").decode()
SECRET = "GPGHMACSHA1--80033552dbf841d95bb1f0c07b6866ae41c6238c"
GCRYPT = "5e90acef-43a8-5c70-b3cf-bee689c12e2f"
GCRYPT_ID = ":id:abc"
OTHER = "00000000-1111-4222-8333-444444444444"
PEER = "c1c1c1c1-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def originals(
    world: World, current: Client, places: Callable[[], Path]
) -> Iterator[Path]:
    """A bare annex, one with a work tree, a gcrypt repository, and plain ones."""
    place = places()
    env = world.env(current.bin)
    source = place / "source"
    for name, bare in (("annex", True), ("tree", False)):
        repo = Repo.create(world, current, place / name, bare=bare)
        for key, data in ((KEY, HELLO), (DAMAGED, b"damaged\n")):
            source.write_bytes(data)
            repo.annex("setkey", key, source)
        repo.annex("merge")
    for name in ("gcrypt", "plain"):
        run(["git", "init", "-q", "--bare", place / name], cwd=place, env=env)
    run(["git", "init", "-q", place / "plaintree"], cwd=place, env=env)
    words = [str(current.shell), "gcryptsetup", str(place / "gcrypt"), GCRYPT_ID]
    run(words, cwd=place, env=env)
    yield place
    remove_tree(place)


class Copies:
    """What each of the two programs works on, and what it makes of it."""

    def __init__(self, world: World, current: Client, originals: Path, place: Path):
        self.world, self.originals, self.place = world, originals, place
        self.client = current
        self.programs = {"theirs": current.shell, "ours": world.bin / "annexshell"}

    def copy(self, name: str, who: str) -> Path:
        """A fresh copy, at a path of the same length."""
        path = self.place / f"{who:_<6}" / "repo"
        if path.parent.exists():
            remove_tree(path.parent)
        shutil.copytree(self.originals / name, path, symlinks=True)
        return path

    def env(self, **more: str) -> dict[str, str]:
        return self.world.env(self.client.bin, GIT_ANNEX_VECTOR_CLOCK="7s", **more)

    def run(self, who: str, path: Path, words: str, **env: str) -> Result:
        name, _, rest = words.partition(" ")
        command = f"git-annex-shell '{name}' '{path}' {rest}"
        argv = [str(self.programs[who]), "-c", command]
        return run(argv, cwd=self.place, env=self.env(**env), check=False)


@pytest.fixture
def copies(world: World, current: Client, originals: Path, place: Path) -> Copies:
    return Copies(world, current, originals, place)


def annex_dir(path: Path) -> Path:
    return path / ".git/annex" if (path / ".git").is_dir() else path / "annex"


def state(path: Path) -> dict[str, tuple[int, bytes]]:
    """Modes and bytes of objects, directories of objects, temporary files and journal."""
    found = {}
    for top in ("objects", "tmp", "journal"):
        for folder, _, names in os.walk(annex_dir(path) / top):
            entries = [Path(folder, name) for name in names]
            for entry in [Path(folder), *entries] if top == "objects" else entries:
                mode = entry.lstat().st_mode
                data = entry.read_bytes() if stat.S_ISREG(mode) else b""
                name = entry.relative_to(annex_dir(path)).as_posix()
                found[name] = (stat.S_IMODE(mode), data)
    # Where a program left no object at all, the directory itself may or may not be there.
    found.pop("objects", None)
    return found


def settings(path: Path) -> bytes:
    config = path / ".git/config" if (path / ".git").is_dir() else path / "config"
    return b"\n".join(sorted(config.read_bytes().splitlines()))


READONLY = {"GIT_ANNEX_SHELL_READONLY": "1"}
APPENDONLY = {"GIT_ANNEX_SHELL_APPENDONLY": "1"}
LIMITED = {"GIT_ANNEX_SHELL_LIMITED": "1"}
UUID = {"annex": "", "tree": "", "gcrypt": f"--uuid {GCRYPT}"}

#: The repository, the words after git-annex-shell (without the directory), restrictions.
ROWS: list[tuple[str, str, dict[str, str]]] = [
    *((repo, "inannex", {}) for repo in ("annex", "tree", "gcrypt", "plain")),
    *((repo, f"inannex {KEY}", {}) for repo in ("annex", "tree", "gcrypt", "plain")),
    ("annex", f"inannex {KEY} {DAMAGED} --uuid {OTHER}", {}),
    ("annex", f"inannex {KEY} {ABSENT}", READONLY),
    ("annex", f"inannex {ABSENT} {KEY}", LIMITED),
    ("annex", f"inannex {KEY} bad", {}),
    ("annex", "inannex bad", {}),
    ("annex", "inannex ''", {}),
    ("annex", f"inannex --bogus {KEY}", {}),
    ("annex", f"inannex -- {KEY}", {}),
    ("gcrypt", f"inannex {SECRET} --uuid {GCRYPT}", {}),
    ("gcrypt", f"inannex {SECRET} --uuid {OTHER}", {}),
    *((repo, "dropkey", {}) for repo in ("annex", "gcrypt", "plain")),
    *((repo, "dropkey --force", {}) for repo in ("annex", "gcrypt", "plain")),
    *((repo, f"dropkey {KEY}", {}) for repo in ("annex", "tree")),
    *((repo, f"dropkey --quiet --force {KEY}", {}) for repo in ("annex", "tree")),
    ("annex", f"dropkey --force {KEY} {DAMAGED} {ABSENT}", {}),
    ("annex", f"dropkey --force {KEY} bad {DAMAGED}", {}),
    ("annex", f"dropkey --force {ABSENT}", {}),
    ("annex", f"dropkey --force {KEY}", READONLY),
    ("annex", f"dropkey --force {KEY}", APPENDONLY),
    ("annex", f"dropkey --force {KEY} --uuid {OTHER}", {}),
    ("annex", f"dropkey {KEY} -- --force", {}),
    ("gcrypt", f"dropkey --quiet --force {SECRET} --uuid {GCRYPT}", {}),
    *((repo, "sendkey", {}) for repo in ("annex", "gcrypt", "plain")),
    ("annex", f"sendkey {ABSENT}", {}),
    ("annex", f"sendkey {ABSENT} -- remoteuuid={PEER} --", READONLY),
    ("annex", "sendkey bad", {}),
    ("annex", f"sendkey {KEY} --uuid {OTHER}", {}),
    *((repo, "recvkey", {}) for repo in ("annex", "gcrypt", "plain")),
    ("annex", "recvkey bad", {}),
    ("annex", f"recvkey {ABSENT}", READONLY),
    ("annex", f"recvkey {ABSENT} --uuid {OTHER}", APPENDONLY),
    ("annex", f"recvkey {ABSENT} -- remoteuuid={PEER} -- --bwlimit=x", READONLY),
    *((repo, f"gcryptsetup {GCRYPT_ID}", {}) for repo in ("annex", "tree", "gcrypt")),
    *((repo, f"gcryptsetup {GCRYPT_ID}", {}) for repo in ("plain", "plaintree")),
    *((repo, "gcryptsetup", {}) for repo in ("annex", "gcrypt", "plain", "plaintree")),
    ("gcrypt", "gcryptsetup :id:other", {}),
    ("gcrypt", f"gcryptsetup {GCRYPT_ID} --uuid {GCRYPT}", {}),
    ("plain", f"gcryptsetup {GCRYPT_ID} --uuid {GCRYPT}", {}),
    ("plain", "gcryptsetup ':id:a b;c'", {}),
    ("plain", f"gcryptsetup {GCRYPT_ID}", READONLY),
    ("plain", f"gcryptsetup {GCRYPT_ID}", APPENDONLY),
    ("gcrypt", "configlist", {}),
    ("gcrypt", f"configlist --uuid {GCRYPT}", {}),
    ("gcrypt", f"configlist --uuid {OTHER}", {}),
]


@pytest.mark.parametrize(
    ("repo", "words", "restrictions"),
    ROWS,
    ids=[f"{i}-{repo}-{words.split()[0]}" for i, (repo, words, _) in enumerate(ROWS)],
)
def test_the_same_command_line(
    copies: Copies, repo: str, words: str, restrictions: dict[str, str]
) -> None:
    seen = {}
    for who in copies.programs:
        path = copies.copy(repo, who)
        done = copies.run(who, path, words, **restrictions)
        seen[who] = done, (done.code, done.stdout, state(path), settings(path))
    assert seen["ours"][1] == seen["theirs"][1], str(seen["ours"][0])


#: The repository, what is done, what comes from the client (None: it is to get it).
TRANSFERS: list[tuple[str, str, bytes | None]] = [
    *((repo, f"recvkey {ABSENT}", b"absent") for repo in ("annex", "tree")),
    ("annex", f"recvkey {ABSENT}", b"wrong!"),
    ("annex", f"recvkey {ABSENT}", b"too long for the key"),
    ("annex", f"recvkey {KEY}", HELLO),
    ("gcrypt", f"recvkey {SECRET} --uuid {GCRYPT}", b"encrypted"),
    ("gcrypt", f"recvkey {SECRET} --uuid {GCRYPT}", os.urandom(300_000)),
    *((repo, f"sendkey {KEY}", None) for repo in ("annex", "tree")),
]


@pytest.mark.parametrize(("repo", "words", "data"), TRANSFERS)
@pytest.mark.parametrize("fields", ["", f"remoteuuid={PEER}"])
def test_the_same_transfer(
    copies: Copies, repo: str, words: str, data: bytes | None, fields: str
) -> None:
    need_rsync()
    seen = {}
    for who, program in copies.programs.items():
        path = copies.copy(repo, who)
        name, rest = words.split(" ", 1)
        command = f"git-annex-shell '{name}' '{path}' {rest} '--' '{fields}' '--'"
        source, target = path.parent / "source", path.parent / "target"
        source.write_bytes(data or b"")
        files: list[str | Path] = [source, "dummy:"]
        files = files if data is not None else ["dummy:", target]
        code, done = rsync(
            command, *files, place=path.parent, env=copies.env(), shell=[str(program)]
        )
        got = target.read_bytes() if target.exists() else None
        seen[who] = (code, done.returncode == 0, got, state(path))
    assert seen["ours"] == seen["theirs"]


@pytest.mark.parametrize(
    "command",
    ["inannex", "dropkey --force", "sendkey", "recvkey", "gcryptsetup", "configlist"],
)
def test_what_a_proxy_cannot_do(
    world: World, gateway: Gateway, program: str, command: str
) -> None:
    node = gateway.add_path_node("node")
    gateway.publish()
    name, *options = command.split()
    key = [] if name == "configlist" else [KEY]
    path = str(gateway.repo.path)
    words = [program, name, path, *options, *key, "--uuid", node.uuid]
    env = world.env(gateway.repo.client.bin)
    done = run(words, cwd=world.place, env=env, check=False)
    assert (done.code, done.stdout) == (1, b"")
    assert f"Cannot proxy {name} command." in done.err
    gateway.repo.git("config", "remote.node.annex-proxy", "false")
    done = run(words, cwd=world.place, env=env, check=False)
    assert done.code == 1 and "Cannot proxy" not in done.err
