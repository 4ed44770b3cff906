"""Many sessions at once with one cluster, all of which store one key at one moment."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tests.support.client import Client
from tests.support.gateway import Gateway
from tests.support.process import LIMIT
from tests.support.session import Session, on_pipes, over_ssh, sha256_key
from tests.support.sshserver import SshServer
from tests.support.world import World

SESSIONS = 24
REQUESTS = 6
COMMON = random.Random(24).randbytes(300_000)
COMMON_KEY = sha256_key(COMMON)
SHARED = tuple(b"shared by all, number %d\n" % number * 500 for number in range(4))


@pytest.fixture
def cluster(
    world: World, current: Client, openssh: SshServer, place: Path
) -> Iterator[Gateway]:
    gateway = Gateway.create(world, current, place / "gw", bare=True)
    gateway.add_path_node("path")
    gateway.add_path_node("other")
    gateway.add_ssh_node("ssh", openssh, "ours")
    gateway.publish_cluster()
    yield gateway
    # Of the keys that were removed in the end no copy is left, and that is all.
    gateway.fsck(given_up="-s")


class Worker:
    """One of the sessions: what it does is drawn from a seed, so that it can be repeated."""

    def __init__(self, session: Session, number: int) -> None:
        self.session = session
        self.random = random.Random(number)
        self.own = b"mine alone, number %d\n" % number * 700

    def ask(self, line: bytes) -> bytes:
        answer = self.session.ask(line)
        assert answer, f"{line!r} ended the session: {self.session.stderr}"
        return answer

    def put(self, content: bytes) -> None:
        answer = self.session.put(sha256_key(content), content)
        good = (b"SUCCESS-PLUS", b"ALREADY-HAVE-PLUS")
        assert answer.startswith(good), (answer, self.session.stderr)

    def get(self, content: bytes, *, must: bool) -> None:
        key = sha256_key(content)
        got, verdict = self.session.get(key)
        if not must and not got:
            # Somebody has removed it meanwhile.
            assert verdict.split()[0] in (b"ERROR", b"INVALID"), verdict
            return
        assert got == content and verdict == b"VALID", (verdict, self.session.stderr)

    def remove(self, content: bytes) -> None:
        """It is gone, or in use by another of us at this moment."""
        answer = self.ask(b"REMOVE " + sha256_key(content))
        good = (b"SUCCESS", b"FAILURE", b"ERROR")
        assert answer.startswith(good), (answer, self.session.stderr)

    def work(self, together: Barrier) -> None:
        self.session.greet()
        together.wait(LIMIT)
        self.put(COMMON)
        self.put(self.own)
        for _ in range(REQUESTS):
            shared = self.random.choice(SHARED)
            self.random.choice([self.put, self.remove, self._get_shared])(shared)
        self.get(self.own, must=True)
        self.get(COMMON, must=True)
        assert self.ask(b"REMOVE " + sha256_key(self.own)).startswith(b"SUCCESS")
        assert self.ask(b"CHECKPRESENT " + sha256_key(self.own)) == b"FAILURE"

    def _get_shared(self, content: bytes) -> None:
        self.get(content, must=False)


def test_twenty_four_sessions(
    world: World, program: str, openssh: SshServer, cluster: Gateway
) -> None:
    """No session fails, and disk and log agree afterwards."""
    uuid = cluster.cluster()
    together = Barrier(SESSIONS)

    def one(number: int) -> None:
        if number % 8 == 0:
            session = over_ssh(openssh, "ours", cluster.repo, uuid)
        else:
            session = on_pipes(world, program, cluster.repo, uuid)
        with session:
            try:
                Worker(session, number).work(together)
                ended = session.end()
                assert ended.code == 0 and not ended.stdout, ended
            except BaseException:
                together.abort()  # the others need not wait for this one
                raise

    with ThreadPoolExecutor(SESSIONS) as pool:
        tasks = [pool.submit(one, number) for number in range(SESSIONS)]
        failures = [failure for task in tasks if (failure := task.exception())]
    assert not failures, failures
    for content in (COMMON, *SHARED):
        key = sha256_key(content).decode()
        assert cluster.holders(key) == cluster.logged(key)
    assert cluster.holders(COMMON_KEY.decode()) == set(cluster.nodes)
    for node in cluster.nodes.values():
        assert not list((node.path / "annex/tmp").glob("*"))
