"""What is measured on: a gateway, sessions with it, and what they are asked to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from tests.bench.measure import Cost, Once, lap, measured
from tests.support.client import Client, Repo
from tests.support.gateway import Gateway
from tests.support.session import Session, on_pipes, sha256_key
from tests.support.world import World

OURS, THEIRS = "annexshell", "git-annex-shell"
MIB = 1 << 20
SMALL = 200
"""Requests for small content in one session."""
_ABSENT = sha256_key(b"absent")

Work = Callable[[Session], None]
Row = tuple[list[str], Once]
"""What is measured in one run of a program, by name."""


class Scene:
    """One gateway at ``place``, and the content of ``size`` MiB sent to it."""

    def __init__(self, world: World, client: Client, place: Path, size: int) -> None:
        self.world = world
        self.gateway = Gateway.create(world, client, place, bare=True)
        self.programs = {
            OURS: str(world.bin / "annexshell"),
            THEIRS: str(client.shell),
        }
        self.content = b"".join(os.urandom(MIB) for _ in range(size))
        self.key = sha256_key(self.content)
        self.small = [os.urandom(1 << 10) for _ in range(SMALL)]
        self.small_keys = [sha256_key(content) for content in self.small]

    @cached_property
    def repo(self) -> Repo:
        """The gateway's. Its uuid is asked for once: that runs git."""
        return _Fixed(self.gateway.repo)

    def open(self, program: str, uuid: str) -> Session:
        return on_pipes(self.world, program, self.repo, uuid)

    def session(self, uuid: str, work: Work) -> Once:
        """The cost of a session that does ``work`` after the greeting."""

        def greeted(session: Session) -> None:
            session.greet()
            work(session)

        def once(program: str) -> list[Cost]:
            return [measured(lambda name: self.open(name, uuid), program, greeted)]

        return once

    def prepared(self, uuid: str, prepare: Work, once: Once) -> Once:
        """``once`` after each ``prepare``, which is not measured."""

        def both(program: str) -> list[Cost]:
            with self.open(self.programs[OURS], uuid) as session:
                session.greet()
                prepare(session)
                assert session.end().code == 0, session.stderr
            return once(program)

        return both

    def laps(self, uuid: str, works: Sequence[Work]) -> Once:
        """The cost of each of ``works`` in one session, without its start and its end."""

        def once(program: str) -> list[Cost]:
            with self.open(program, uuid) as session:
                session.greet()
                self.check_absent(session)
                costs = [lap(session, work) for work in works]
                assert session.end().code == 0, session.stderr
            return costs

        return once

    # -- what sessions are asked to do ------------------------------------------------------

    def check_absent(self, session: Session) -> None:
        assert session.ask(b"CHECKPRESENT " + _ABSENT) == b"FAILURE"

    def get(self, session: Session) -> None:
        assert session.ask(b"GET 0 f " + self.key) == b"DATA %d" % len(self.content)
        session.skip(len(self.content))
        assert session.hear() == b"VALID"
        session.say(b"SUCCESS")

    def put(self, session: Session) -> None:
        answer = session.put(self.key, self.content)
        assert answer.startswith(b"SUCCESS"), (answer, session.stderr)

    def remove(self, session: Session) -> None:
        assert session.ask(b"REMOVE " + self.key).startswith(b"SUCCESS")

    def put_small(self, session: Session) -> None:
        for key, content in zip(self.small_keys, self.small, strict=True):
            answer = session.put(key, content)
            assert answer.startswith((b"SUCCESS", b"ALREADY-HAVE")), answer

    def get_small(self, session: Session) -> None:
        for key, content in zip(self.small_keys, self.small, strict=True):
            assert session.get(key) == (content, b"VALID")

    def check_small(self, session: Session) -> None:
        for key in self.small_keys:
            assert session.ask(b"CHECKPRESENT " + key) == b"SUCCESS"

    def remove_small(self, session: Session) -> None:
        for key in self.small_keys:
            assert session.ask(b"REMOVE " + key).startswith(b"SUCCESS")

    def have(self, session: Session) -> None:
        answer = session.put(self.key, self.content)
        assert answer.startswith((b"SUCCESS", b"ALREADY-HAVE")), answer

    def get_present(self, uuid: str) -> Once:
        """GET of content that is there."""
        return self.prepared(uuid, self.have, self.session(uuid, self.get))

    def put_fresh(self, uuid: str) -> Once:
        """PUT where the key is not, every time."""
        return self.prepared(uuid, self.remove, self.session(uuid, self.put))


class _Fixed(Repo):
    """A repository whose uuid is known: asking git for it would be measured too."""

    def __init__(self, repo: Repo) -> None:
        super().__init__(repo.world, repo.client, repo.path, repo.env)
        self._uuid = repo.uuid

    @property
    def uuid(self) -> str:
        return self._uuid
