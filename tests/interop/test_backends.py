"""Keys of every backend, through a real client and by hand (spec 02 §3)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from annexshell.logs.equivalent import equivalent_path
from annexshell.model.key import Key
from annexshell.repository.backends import algorithm_of, started
from tests.support.backends import asked, md5_name, write_backend
from tests.support.client import Client, Repo
from tests.support.digests import HELLO, HELLO_DIGESTS
from tests.support.process import run
from tests.support.session import on_pipes
from tests.support.sshserver import SshServer
from tests.support.world import World

BACKENDS = tuple(HELLO_DIGESTS)
SIZES = (0, 1, 63, 64, 65, 128, (1 << 20) + 7)
WRONG = b"hallo\n"


@dataclass(frozen=True)
class Estate:
    """A served repository, a client's clone, and folders for external programs."""

    served: Repo
    me: Repo
    url: str


@pytest.fixture(scope="module")
def estate(
    world: World, current: Client, openssh: SshServer, places: Callable[[], Path]
) -> Iterator[Estate]:
    served = Repo.create(world, current, places() / "bare", bare=True)
    me = served.clone(openssh.url("ours", served.path), places() / "me")
    me.git("commit", "--quiet", "--allow-empty", "-m", "start")
    yield Estate(served, me, me.git("remote", "get-url", "origin").out)
    served.fsck()
    me.fsck()


@pytest.fixture
def bare(world: World, current: Client, place: Path) -> Repo:
    return Repo.create(world, current, place / "bare", bare=True)


def content(size: int) -> bytes:
    return bytes((n * n + 7 * n) >> 3 & 0xFF for n in range(size))


@pytest.mark.parametrize("backend", BACKENDS)
def test_our_digests_are_git_annexs(estate: Estate, backend: str) -> None:
    paths = [estate.me.path.parent / f"sized{size}" for size in SIZES]
    for path, size in zip(paths, SIZES, strict=True):
        path.write_bytes(content(size))
    told = estate.me.annex("calckey", f"--backend={backend}", *paths).out.split()
    for size, text in zip(SIZES, told, strict=True):
        key = Key.parse(text.encode())
        algorithm = algorithm_of(key)
        assert algorithm is not None, text
        digest = started(algorithm, key)
        digest.update(content(size))
        assert key.name.decode() == digest.hexdigest(), text


@pytest.mark.parametrize("extension", ["", "E"])
def test_copy_get_and_fsck(estate: Estate, extension: str) -> None:
    me, served = estate.me, estate.served
    names = {f"{backend}{extension}.txt": backend + extension for backend in BACKENDS}
    for name in names:
        (me.path / name).write_bytes(f"content of {name}\n".encode() * 100)
    attributes = "".join(f"{name} annex.backend={b}\n" for name, b in names.items())
    (me.path / ".gitattributes").write_text(attributes)
    me.annex("add", "--quiet", *names)
    keys = dict(zip(names, me.annex("lookupkey", *names).out.split(), strict=True))
    for name, backend in names.items():
        assert keys[name].startswith(f"{backend}-s"), keys
    me.git("commit", "--quiet", "-m", f"files {extension}")
    me.annex("copy", "--quiet", "--to=origin", *keys)
    for key in keys.values():
        assert served.has(key), key
        assert me.whereis(key) == {me.uuid, served.uuid}
    me.annex("drop", "--quiet", *keys)
    me.annex("get", "--quiet", *keys)
    for name in keys:
        expected = f"content of {name}\n".encode() * 100
        assert (me.path / name).read_bytes() == expected
    me.annex("fsck", "--quiet", "--from=origin", *keys)


def test_wrong_content_of_every_backend_is_refused(
    world: World, program: str, bare: Repo
) -> None:
    with on_pipes(world, program, bare) as session:
        session.greet()
        for backend in BACKENDS:
            for key in (
                f"{backend}-s6--{HELLO_DIGESTS[backend]}".encode(),
                f"{backend}E-s6--{HELLO_DIGESTS[backend]}.txt".encode(),
            ):
                assert session.put(key, WRONG) == b"FAILURE", (key, session.stderr)
                assert session.ask(b"CHECKPRESENT " + key) == b"FAILURE", key
                # Nothing of what was wrong is built upon.
                assert session.put(key, HELLO) == b"SUCCESS", (key, session.stderr)
                assert session.get(key) == (HELLO, b"VALID"), key
    bare.fsck()


# -- external backends ---------------------------------------------------------------------


EXTERNAL = f"XFOO-s6--{md5_name(HELLO)}"


def takes(
    world: World, program: str, repo: Repo, key: bytes, data: bytes, *folders: Path
) -> bool:
    """Whether a server, in whose PATH the folders are, stores these bytes for the key."""
    path = ":".join([*map(str, folders), world.env(repo.client.bin)["PATH"]])
    with on_pipes(world, program, repo, PATH=path) as session:
        session.greet()
        answer = session.put(key, data)
    taken = answer == b"SUCCESS"
    assert repo.has(key.decode()) is taken, (answer, session.stderr)
    if taken:
        assert repo.object(key.decode()).read_bytes() == data
    return taken


def test_an_external_backend_of_both_sides(
    world: World, program: str, current: Client, place: Path, bare: Repo
) -> None:
    """The client makes the key with the program, the server verifies it with its own."""
    theirs, ours = place / "theirs", place / "ours"
    for folder in (theirs, ours):
        folder.mkdir()
    write_backend(theirs, "XFOO")
    verifying = write_backend(ours, "XFOO")
    env = world.env(current.bin)
    me = Repo(world, current, place / "me", env | {"PATH": f"{theirs}:{env['PATH']}"})
    run(["git", "init", "--quiet", me.path], cwd=place, env=env)
    me.annex("init", "me")
    (me.path / "f").write_bytes(HELLO)
    me.annex("add", "--quiet", "--backend=XFOO", "f")
    assert me.key("f") == EXTERNAL
    key = EXTERNAL.encode()
    assert not takes(world, program, bare, key, WRONG, ours)
    assert takes(world, program, bare, key, (me.path / "f").read_bytes(), ours)
    assert asked(verifying)[-1].startswith(f"VERIFYKEYCONTENT {EXTERNAL} ")
    checked = run(
        ["git", "annex", "fsck", "--all"],
        cwd=bare.path,
        env=env | {"PATH": f"{ours}:{env['PATH']}"},
    )
    assert checked.code == 0 and not checked.err.strip(), checked


def test_an_external_backend_through_a_client(estate: Estate) -> None:
    """The server's account has no such program: its size is all that can be checked."""
    me, served = estate.me, estate.served
    folder = me.path.parent / "programs"
    folder.mkdir()
    write_backend(folder, "XFOO")
    env = me.env | {"PATH": f"{folder}:{me.env['PATH']}"}
    mine = Repo(me.world, me.client, me.path, env)
    (me.path / "external").write_bytes(HELLO)
    mine.annex("add", "--quiet", "--backend=XFOO", "external")
    me.git("commit", "--quiet", "-m", "external")
    key = mine.key("external")
    assert key == EXTERNAL
    copied = mine.annex("copy", "--to=origin", "external")
    assert served.has(key)
    assert "git-annex-backend-XFOO" in copied.err, copied
    mine.annex("drop", "external")
    mine.annex("get", "external")
    assert (me.path / "external").read_bytes() == HELLO
    mine.annex("drop", "--from=origin", "external")
    me.git("rm", "--quiet", "--cached", "external")
    mine.annex("dropkey", "--force", key)
    for repo in (me, served):
        repo.annex("dead", "--key", key)


def test_without_the_program_content_is_taken_by_its_size(
    world: World, program: str, bare: Repo
) -> None:
    key = EXTERNAL.encode()
    assert not takes(world, program, bare, key, HELLO[:-1])
    assert takes(world, program, bare, key, WRONG)
    bare.git("config", "annex.securehashesonly", "true")
    assert not takes(world, program, bare, key[:-1], HELLO)


@pytest.mark.parametrize(
    "broken",
    [
        {"version": "exit 1"},
        {"verify": "exit 1"},
        {"verify": "echo ERROR no"},
        {"verify": "echo nonsense"},
    ],
)
def test_a_broken_program_is_no_reason_to_trust(
    world: World, program: str, bare: Repo, place: Path, broken: dict[str, str]
) -> None:
    write_backend(place, "XFOO", **broken)
    assert not takes(world, program, bare, EXTERNAL.encode(), HELLO, place)


# -- VURL -----------------------------------------------------------------------------------


def test_a_vurl_key_of_a_real_client(estate: Estate) -> None:
    """The client records the equivalent key, and pushes it before the content."""
    me, served = estate.me, estate.served
    source = me.path.parent / "source.txt"
    source.write_bytes(HELLO * 100)
    me.git("config", "annex.security.allowed-url-schemes", "http https ftp file")
    me.annex("addurl", "--fast", "--verifiable", "--file=vurl", source.as_uri())
    me.annex("get", "vurl")
    me.git("commit", "--quiet", "-m", "vurl")
    key = me.key("vurl")
    assert key.startswith("VURL-"), key
    path = os.fsdecode(equivalent_path(Key.parse(key.encode())))
    served.git("config", "annex.securehashesonly", "true")
    me.annex("sync", "--quiet", "--no-content", "origin")
    assert "SHA256E-s600--" in served.git("cat-file", "-p", f"git-annex:{path}").out
    me.annex("copy", "--to=origin", "vurl")
    assert served.has(key)
    served.git("config", "--unset", "annex.securehashesonly")
    assert served.object(key).read_bytes() == HELLO * 100


def equivalents(repo: Repo, key: bytes, *others: str) -> None:
    """Leave equivalent keys in the repository's journal."""
    path = equivalent_path(Key.parse(key))
    name = os.fsdecode(path.replace(b"_", b"__").replace(b"/", b"_"))
    journal = repo.path / "annex/journal"
    journal.mkdir(exist_ok=True)
    (journal / name).write_text("".join(f"1s 1 {other}\n" for other in others))


SHA256 = f"SHA256-s6--{HELLO_DIGESTS['SHA256']}"
BLAKE3 = f"BLAKE3_256-s6--{HELLO_DIGESTS['BLAKE3_256']}"
MD5 = f"MD5-s6--{HELLO_DIGESTS['MD5']}"


@pytest.mark.parametrize(
    ("others", "good", "bad", "secure"),
    [
        ((), True, True, True),
        ((SHA256,), True, False, True),
        ((SHA256, BLAKE3), True, False, True),
        ((SHA256, MD5), True, False, False),
        ((SHA256, "URL--x"), True, False, False),
        (("URL--x",), False, False, False),
    ],
)
def test_vurl_keys(
    world: World,
    program: str,
    bare: Repo,
    others: tuple[str, ...],
    good: bool,
    bad: bool,
    secure: bool,
) -> None:
    keys = [b"VURL-s6--http://example.com/%d" % n for n in range(3)]
    for key in keys:
        equivalents(bare, key, *others)
    assert takes(world, program, bare, keys[0], HELLO) is good
    assert takes(world, program, bare, keys[1], WRONG) is bad
    bare.git("config", "annex.securehashesonly", "true")
    assert takes(world, program, bare, keys[2], HELLO) is secure
