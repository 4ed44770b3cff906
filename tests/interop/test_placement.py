"""Where an upload to a cluster goes, beside git-annex-shell as the gateway (spec 04 §11)."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest

from tests.support.client import Client, Repo
from tests.support.gateway import Gateway
from tests.support.session import Session, on_pipes, sha256_key
from tests.support.sshserver import SshServer
from tests.support.twins import copy_repo
from tests.support.world import World

NAMES = ("n1", "n2", "n3", "n4")
ALL = "1 2 3 4"
MAXSIZE = 400_000
LARGEST = 4000
SESSIONS = 16

_clock = itertools.count(2_000_000_000)


@attrs.frozen
class Estate:
    """A gateway with four nodes, and the program that is asked."""

    gateway: Gateway
    program: str

    def configure(self, **logs: Mapping[str, str]) -> None:
        """What these logs say of each node, and of no other."""
        journal = self.gateway.repo.path / "annex/journal"
        journal.mkdir(exist_ok=True)
        for log in ("preferred_content", "required_content", "group", "maxsize"):
            values, clock = logs.get(log, {}), f"{next(_clock)}s"
            lines = []
            for name in NAMES:
                uuid, value = self.gateway.nodes[name].uuid, values.get(name, "")
                if log != "maxsize":
                    lines.append(f"{uuid} {value} timestamp={clock}\n")
                elif value:
                    lines.append(f"{clock} {uuid} {value}\n")
            (journal / f"{log.replace('_', '-')}.log").write_text("".join(lines))

    def session(self) -> Session:
        gateway = self.gateway
        world, uuid = gateway.repo.world, gateway.cluster()
        opened = on_pipes(world, self.program, gateway.repo, uuid)
        opened.greet()
        return opened

    def put(self, *files: str, content: bytes | None = None) -> list[str]:
        """The nodes that each file was stored on, in one session."""
        found = []
        with self.session() as session:
            for file in files:
                data = content or f"{file} {next(_clock)}\n".encode()
                answer = session.put(sha256_key(data), data, file.encode())
                good = (b"SUCCESS", b"ALREADY-HAVE")
                assert answer.startswith(good), (answer, session.stderr)
                found.append(self.stored(sha256_key(data).decode()))
            assert session.end().code == 0
        return found

    def stored(self, key: str) -> str:
        """The numbers of the nodes that have it."""
        return " ".join(sorted(name[1] for name in self.gateway.holders(key)))

    def used(self) -> dict[str, int]:
        """Bytes of content in each node."""
        return {
            name: sum(
                file.stat().st_size
                for file in node.path.glob("annex/objects/*/*/*/*")
                if file.is_file()
            )
            for name, node in self.gateway.nodes.items()
        }

    def rows(self) -> list[object]:
        """What is noted as on its way, in git-annex's database."""
        path = self.gateway.repo.path / "annex/reposize/db/db"
        database = sqlite3.connect(path)
        try:
            return database.execute("SELECT * FROM live_size_changes").fetchall()
        finally:
            database.close()


def four_nodes(world: World, current: Client, place: Path) -> Gateway:
    gateway = Gateway.create(world, current, place / "gw", bare=True)
    for name in NAMES:
        gateway.add_path_node(name)
    gateway.publish_cluster()
    return gateway


def copied(gateway: Gateway, place: Path) -> Gateway:
    """The same uuids at another place."""
    place.mkdir()
    twin = Gateway(copy_repo(gateway.repo, place / "gw"))
    for name, node in gateway.nodes.items():
        twin.nodes[name] = copy_repo(node, place / f"gw-{name}")
        path = str(twin.nodes[name].path)
        twin.repo.git("config", f"remote.{name}.url", path)
    return twin


@pytest.fixture(scope="module")
def twins(
    world: World, current: Client, program: str, places: Callable[[], Path]
) -> Iterator[tuple[Estate, Estate]]:
    """git-annex's gateway and ours, to nodes of the same uuids."""
    place = places()
    theirs = four_nodes(world, current, place)
    ours = copied(theirs, place / "ours")
    yield Estate(theirs, str(current.shell)), Estate(ours, program)
    for gateway in (theirs, ours):
        gateway.fsck()


def nodes(*values: str) -> dict[str, str]:
    return {name: value for name, value in zip(NAMES, values, strict=True) if value}


NOTHING, ANY = "nothing", "anything"
G = nodes("G", "G", "G", "G")
TABLE: list[tuple[dict[str, dict[str, str]], dict[str, str]]] = [
    ({}, {"foo": ALL}),
    ({"preferred_content": nodes(*4 * [NOTHING])}, {"foo": ALL}),
    ({"preferred_content": nodes(ANY, *3 * [NOTHING])}, {"foo": "1"}),
    ({"preferred_content": nodes(ANY, "", NOTHING, NOTHING)}, {"foo": "1 2"}),
    (
        {"preferred_content": nodes(ANY, "include=*.mp3", NOTHING, NOTHING)},
        {"foo": "1", "x.mp3": "1 2", "": "1"},
    ),
    (
        {"preferred_content": nodes(ANY, "exclude=*.mp3", NOTHING, NOTHING)},
        {"foo": "1 2", "x.mp3": "1", "": "1 2"},
    ),
    (
        {"preferred_content": nodes(NOTHING, "bogus or anything", NOTHING, ANY)},
        {"foo": "4"},
    ),
    (
        {"preferred_content": nodes(NOTHING, "bogus or anything", NOTHING, NOTHING)},
        {"foo": ALL},
    ),
    (
        {"preferred_content": nodes(NOTHING, "not present", NOTHING, ANY)},
        {"foo": "4"},
    ),
    (
        {
            "preferred_content": nodes(NOTHING, NOTHING, NOTHING, ANY),
            "required_content": nodes("", "include=req*", "", ""),
        },
        {"req1": "2 4", "oth": "4"},
    ),
    (
        {
            "preferred_content": nodes(NOTHING, ANY, NOTHING, ANY),
            "required_content": nodes("", "bogus", "", ""),
        },
        {"req1": "4"},
    ),
    (
        {
            "preferred_content": nodes(*4 * ["standard"]),
            "group": nodes(*4 * ["archive"]),
        },
        {"foo": ALL},
    ),
]


@pytest.mark.parametrize("logs, files", TABLE)
def test_an_upload_goes_where_git_annex_brings_it(
    twins: tuple[Estate, Estate], logs: dict[str, dict[str, str]], files: dict[str, str]
) -> None:
    for estate in twins:
        estate.configure(**logs)
        assert estate.put(*files) == list(files.values()), estate.program


def test_what_is_placed_already_is_not_copied_again(
    twins: tuple[Estate, Estate],
) -> None:
    """git-annex copies it to the three others, when it is offered again."""
    stored = []
    for estate in twins:
        estate.configure(preferred_content=nodes(*4 * ["balanced=G"]), group=G)
        content = b"balanced, and offered again\n"
        stored.append([estate.put("foo", content=content)[0] for _ in range(3)])
    theirs, ours = stored
    assert ours == [theirs[0]] * 3 and len(ours[0]) == 1
    assert theirs[1:] == [ALL, ALL]


@pytest.mark.parametrize("expression, copies", [("", 1), (":2", 2)])
def test_balancing_by_size_makes_no_more_copies_than_it_says(
    twins: tuple[Estate, Estate], expression: str, copies: int
) -> None:
    """git-annex judges each node as if the one before had the content already."""
    made = []
    for estate in twins:
        estate.configure(
            preferred_content=nodes(*4 * [f"sizebalanced=G{expression}"]),
            group=G,
            maxsize=nodes(*4 * ["10000000"]),
        )
        contents = (random.Random(n).randbytes(5000) for n in range(copies, 9, 2))
        found = [estate.put("foo", content=content)[0] for content in contents]
        made.append([len(numbers.split()) for numbers in found])
    theirs, ours = made
    assert set(ours) == {copies}
    assert sum(theirs) > sum(ours)


def test_clients_end_with_the_same_placement(
    world: World, current: Client, openssh: SshServer, place: Path
) -> None:
    """And what they do once more moves nothing."""
    theirs = Estate(four_nodes(world, current, place), "reference")
    ours = Estate(copied(theirs.gateway, place / "ours"), "ours")
    placed = []
    for estate in (theirs, ours):
        estate.configure(
            preferred_content=nodes(*3 * ["balanced=G or include=*.all"], "nothing"),
            group=nodes("G", "G", "G", ""),
        )
        url = openssh.url(estate.program, estate.gateway.repo.path)
        me = estate.gateway.repo.clone(url, place / f"me-{estate.program}")
        keys = fill(me, "copied")
        me.annex("copy", "--quiet", "--to=origin-cluster", ".")
        keys += fill(me, "synced")
        me.annex("sync", "--quiet", "--content")
        keys += fill(me, "assisted")
        me.annex("assist", "--quiet", "--rebalance")
        found = {key: estate.stored(key) for key in keys}
        again = ["copy --to=origin-cluster .", "sync --content", "assist --rebalance"]
        for words in again:
            me.annex(*words.split())
        assert {key: estate.stored(key) for key in keys} == found
        assert all(found.values())
        placed.append(found)
        me.fsck()
        estate.gateway.fsck()
    assert placed[0] == placed[1]
    assert {"1 2 3"} < set(placed[1].values())


def fill(me: Repo, name: str) -> list[str]:
    """Add five files; their keys. What is in them is the same in every clone."""
    names = [f"{name}{n}.{'all' if n == 0 else 'dat'}" for n in range(5)]
    for file in names:
        (me.path / file).write_text(f"what is in {file}\n" * 100)
    me.annex("add", "--quiet", ".")
    me.git("commit", "--quiet", "-m", "add")
    return [me.key(file) for file in names]


def test_many_sessions_fill_nodes_and_none_beyond_its_size(
    world: World, current: Client, program: str, place: Path
) -> None:
    """Half of them are killed in the middle of an upload."""
    estate = Estate(four_nodes(world, current, place), program)
    estate.configure(
        preferred_content=nodes(*4 * ["sizebalanced=G"]),
        group=G,
        maxsize=nodes(*4 * [str(MAXSIZE)]),
    )
    source = random.Random(99)
    sizes: list[int] = []
    while sum(sizes) + LARGEST < 0.99 * 4 * MAXSIZE:
        sizes.append(source.randint(LARGEST * 3 // 4, LARGEST))
    contents = [source.randbytes(size) for size in sizes]
    half = len(contents) // 2
    many(estate, contents[:half])
    balanced(estate, sum(sizes[:half]))
    killed(estate, source)
    many(estate, contents[half:])
    balanced(estate, sum(sizes))
    estate.gateway.fsck()


def many(estate: Estate, contents: list[bytes]) -> None:
    """Store all of it, by many sessions at once."""
    work = iter(contents)

    def one(number: int) -> None:
        with estate.session() as session:
            # A list's iterator is safe to share.
            for content in work:
                answer = session.put(sha256_key(content), content)
                assert answer.startswith(b"SUCCESS-PLUS"), (answer, session.stderr)
                assert len(answer.split()) == 2, answer
            assert session.end().code == 0

    with ThreadPoolExecutor(SESSIONS) as pool:
        list(pool.map(one, range(SESSIONS)))


def balanced(estate: Estate, total: int) -> None:
    used = estate.used()
    assert sum(used.values()) == total
    assert max(used.values()) <= MAXSIZE
    assert max(used.values()) - min(used.values()) <= LARGEST, used
    assert estate.rows() == []


def killed(estate: Estate, source: random.Random) -> None:
    """Sessions that have room for much of the cluster reserved; half of them are killed."""
    with ExitStack() as stack:
        stack.enter_context(estate.gateway.repo.world.cold())  # or they would tidy up
        sessions = [stack.enter_context(estate.session()) for _ in range(SESSIONS)]
        for session in sessions:
            key = sha256_key(source.randbytes(MAXSIZE // 16))
            assert session.ask(b"PUT f " + key) == b"PUT-FROM 0", session.stderr
        assert len(estate.rows()) == SESSIONS
        for session in sessions[::2]:
            session.process.kill()
            session.process.wait()
        for session in sessions[1::2]:
            session.end()
        assert len(estate.rows()) == SESSIONS // 2
