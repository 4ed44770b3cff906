"""The database of repository sizes, with git-annex at work on it too (spec 04 §8 to §10)."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.sizetables import BEGINNING
from tests.support import repositories
from tests.support.client import Client
from tests.support.gateway import Gateway
from tests.support.process import LIMIT
from tests.support.session import Session, on_pipes, sha256_key
from tests.support.sizes import (
    Party,
    database,
    live,
    live_file,
    other_process,
    sql,
    table,
)
from tests.support.world import World

GROUP = "nodes"
CONTENTS = [bytes([number]) * 100 for number in range(12)]
KEYS = [Key.parse(sha256_key(content)) for content in CONTENTS]


@pytest.fixture
def cluster(world: World, current: Client, place: Path) -> Gateway:
    """Two nodes with room for 150 bytes each, one of which gets a key.

    git-annex looks at one after the other, and sees what it has just announced for the
    first: with room in both, which of them get a key cannot be told.
    """
    gateway = Gateway.create(world, current, place / "gw", bare=True)
    for name in ("n1", "n2"):
        gateway.add_path_node(name)
    gateway.publish_cluster()
    for name in ("n1", "n2"):
        gateway.repo.annex("group", name, GROUP)
        gateway.repo.annex("wanted", name, f"fullybalanced={GROUP}")
        gateway.repo.annex("maxsize", name, "150 bytes")
    return gateway


@pytest.fixture
def repo(cluster: Gateway, place: Path) -> repositories.Repo:
    home = place / "home"
    home.mkdir()
    return repositories.Repo(cluster.repo.path, True, home)


@pytest.fixture
def nodes(cluster: Gateway) -> set[UUID]:
    return {UUID(node.uuid.encode()) for node in cluster.nodes.values()}


@contextmanager
def theirs(cluster: Gateway) -> Iterator[Session]:
    """A session of git-annex's own."""
    shell = str(cluster.repo.client.shell)
    repo = cluster.repo
    with on_pipes(repo.world, shell, repo, cluster.cluster()) as session:
        session.greet()
        yield session


@contextmanager
def ours(repo: repositories.Repo) -> Iterator[Party]:
    party = Party(repo)
    with party.sizes:
        yield party


def begin(session: Session, number: int) -> None:
    offer = session.ask(b"PUT f " + KEYS[number].text)
    assert offer == b"PUT-FROM 0", session.stderr


def finish(session: Session, number: int) -> None:
    session.write(b"DATA 100\n%bVALID\n" % CONTENTS[number])
    answer = session.hear()
    assert answer.startswith(b"SUCCESS"), (answer, session.stderr)


def with_room(party: Party, nodes: set[UUID]) -> set[UUID]:
    sizes = party.sizes.current()
    return {node for node in nodes if sizes[node] + 100 <= 150}


def is_announced(repo: repositories.Repo, expected: dict[int, set[UUID]]) -> bool:
    """Whether these keys, and no others, are announced for these repositories.

    git-annex answers a moment before its rows are committed, so they are waited for.
    """
    rows = {(uuid, KEYS[n].text) for n, uuids in expected.items() for uuid in uuids}
    deadline = time.monotonic() + LIMIT
    while set(live(repo)) != rows and time.monotonic() < deadline:
        time.sleep(0.01)
    return set(live(repo)) == rows


def schema(repo: repositories.Repo) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database(repo))) as opened:
        asked = "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master"
        return opened.execute(asked).fetchall()


def test_the_tables_we_make_are_those_of_git_annex(
    tmp_path: Path, current: Client, world: World, place: Path
) -> None:
    made = [repositories.annex_repo(tmp_path / name) for name in ("theirs", "ours")]
    made[0].annex("maxsize")
    with ours(made[1]) as party:
        party.sizes.current()
    assert schema(made[0]) == schema(made[1]) != []


def test_each_uses_what_the_other_recorded(
    cluster: Gateway, repo: repositories.Repo
) -> None:
    with ours(repo) as party:
        party.sizes.current()
    sql(repo, "UPDATE repo_sizes SET size = '12345'")
    assert "12345" in cluster.repo.annex("maxsize", "--bytes").out
    with ours(repo) as party:
        assert set(party.sizes.current().values()) == {12345}
    # What git-annex made in the first place.
    for path in database(repo).parent.iterdir():
        path.unlink()
    database(repo).parent.rmdir()
    assert "12345" not in cluster.repo.annex("maxsize", "--bytes").out
    sql(repo, "UPDATE repo_sizes SET size = '54321'")
    with ours(repo) as party:
        assert set(party.sizes.current().values()) == {54321}


def test_git_annex_chooses_by_what_we_announced(
    cluster: Gateway, repo: repositories.Repo, nodes: set[UUID]
) -> None:
    with ours(repo) as party, theirs(cluster) as one, theirs(cluster) as two:
        first, second = sorted(nodes)
        party.reserve(KEYS[0], first)
        begin(one, 1)
        assert is_announced(repo, {0: {first}, 1: {second}})
        assert with_room(party, nodes) == set()
        # No room is left: it goes everywhere, and nobody announces it.
        begin(two, 2)
        assert is_announced(repo, {0: {first}, 1: {second}})
        assert party.branch.record(KEYS[0], first, True)
        finish(one, 1)
        finish(two, 2)
        assert is_announced(repo, {})


def test_we_choose_by_what_git_annex_announced(
    cluster: Gateway, repo: repositories.Repo, nodes: set[UUID]
) -> None:
    full, free = sorted(nodes)
    with ours(repo) as party, theirs(cluster) as one:
        party.branch.record(KEYS[0], full, True)
        assert with_room(party, nodes) == {free}
        begin(one, 1)
        assert is_announced(repo, {1: {free}})
        assert with_room(party, nodes) == set()
        finish(one, 1)
        assert is_announced(repo, {})
        # It was completed, which a running session sees as well.
        assert with_room(party, nodes) == set()
        with ours(repo) as late:
            assert with_room(late, nodes) == set()


def test_a_running_git_annex_sees_what_we_stored(
    cluster: Gateway, repo: repositories.Repo, nodes: set[UUID]
) -> None:
    full, free = sorted(nodes)
    with ours(repo) as party, theirs(cluster) as one:
        party.store(KEYS[0], full)
        begin(one, 1)
        assert is_announced(repo, {1: {free}})
        finish(one, 1)
        # From here on it knows of changes by the database alone.
        party.branch.record(KEYS[0], full, False)
        begin(one, 2)
        assert is_announced(repo, {2: {full}})
        finish(one, 2)
        party.branch.record(KEYS[2], full, False)
        party.store(KEYS[3], full)
        begin(one, 4)
        assert is_announced(repo, {})


def test_the_same_key_by_both_counts_once(
    cluster: Gateway, repo: repositories.Repo, nodes: set[UUID]
) -> None:
    full, free = sorted(nodes)
    with ours(repo) as party, theirs(cluster) as one:
        party.branch.record(KEYS[0], full, True)
        party.sizes.current()
        begin(one, 1)
        assert is_announced(repo, {1: {free}})
        party.reserve(KEYS[1], free)
        assert party.size(free) == 100
        party.branch.record(KEYS[1], free, True)
        assert party.size(free) == 100
        finish(one, 1)
        assert party.size(free) == 100
        totals = dict(table(repo, "size_changes"))
        assert int(totals[free]) - BEGINNING == 100


def test_git_annex_cleans_up_after_us(
    cluster: Gateway, repo: repositories.Repo, nodes: set[UUID]
) -> None:
    with ours(repo) as party, other_process(repo) as other, theirs(cluster) as one:
        party.branch.record(KEYS[9], min(nodes), True)
        party.sizes.current()
        pid = other.tell("reserve", KEYS[0], nodes)
        assert is_announced(repo, {0: nodes})
        other.kill()
        begin(one, 1)
        assert is_announced(repo, {1: {max(nodes)}})
        assert not live_file(repo, pid).exists()


def test_git_annex_does_not_clean_up_the_living(
    cluster: Gateway, repo: repositories.Repo, nodes: set[UUID]
) -> None:
    with ours(repo) as party, other_process(repo) as other, theirs(cluster) as one:
        party.sizes.current()
        pid = other.tell("reserve", KEYS[0], nodes)
        begin(one, 1)
        assert is_announced(repo, {0: nodes})
        assert live_file(repo, pid).exists()


def test_we_clean_up_after_git_annex(
    cluster: Gateway, repo: repositories.Repo, nodes: set[UUID]
) -> None:
    full, free = sorted(nodes)
    with ours(repo) as party:
        party.branch.record(KEYS[0], full, True)
        with theirs(cluster) as one:
            begin(one, 1)
            assert is_announced(repo, {1: {free}})
            (pid,) = {row[3] for row in table(repo, "live_size_changes")}
            assert party.size(free) == 100
            one.process.kill()
            one.process.wait()
        assert party.size(free) == 0
        assert live(repo) == [] and not live_file(repo, pid).exists()


def test_maxsize_agrees_with_what_we_know(
    cluster: Gateway, repo: repositories.Repo, nodes: set[UUID]
) -> None:
    """Before a change, with it announced, with it recorded, and with it committed."""

    def told() -> dict[UUID, int]:
        found = {}
        printed = cluster.repo.annex("maxsize", "--bytes").out
        for line in printed.partition("  repository\n")[2].splitlines():
            words, _, _ = line.partition(" -- ")
            found[UUID(words.split()[-1].encode())] = int(words.split()[0])
        return found

    def agreed() -> dict[UUID, int]:
        with ours(repo) as late:
            sizes = dict(late.sizes.current())
        printed = told()
        assert {u: sizes.get(u, 0) for u in printed} == printed
        return sizes

    node = min(nodes)
    with ours(repo) as party:
        before = agreed()
        party.store(KEYS[0], node)
        after = agreed()
        assert after[node] == before[node] + 100
        party.branch.settle()
        assert agreed() == after
        party.branch.record(KEYS[0], node, False)
        assert agreed() == before == dict(party.sizes.current())


def test_git_annex_can_read_what_removals_leave(
    cluster: Gateway, repo: repositories.Repo, nodes: set[UUID]
) -> None:
    """Its database says nothing of what was there when it was made, and a total below 0
    would have it fail at all that goes by sizes."""
    node = min(nodes)
    with ours(repo) as party:
        party.branch.record(KEYS[0], node, True)
        cluster.repo.annex("maxsize", "--bytes")
        assert table(repo, "size_changes") == []
        assert party.size(node) == 100
        party.branch.record(KEYS[0], node, False)
        assert "100" not in cluster.repo.annex("maxsize", "--bytes").out.split()
        with theirs(cluster) as one:
            begin(one, 1)
            finish(one, 1)


def test_with_the_pid_lock_both_work(
    cluster: Gateway, repo: repositories.Repo, nodes: set[UUID]
) -> None:
    """git-annex keeps the pid lock once it announced something; we announce nothing."""
    cluster.repo.git("config", "annex.pidlock", "true")
    with ours(repo) as party:
        party.store(KEYS[0], min(nodes))
        with theirs(cluster) as one:
            begin(one, 1)
            assert is_announced(repo, {1: {max(nodes)}})
            assert (cluster.repo.path / "annex/pidlock").exists()
            finish(one, 1)
            assert is_announced(repo, {})
        assert with_room(party, nodes) == set()
    assert live(repo) == []
