"""What sessions are asked to do, with one large content or with many small ones."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, cached_property

from tests.bench.measure import Work
from tests.support.session import Session, sha256_key

MIB = 1 << 20
REFUSED_LOCK = "LOCKCONTENT (always refused)"
"""Clusters lock nothing (spec 01 §6.4)."""
_ABSENT = sha256_key(b"absent")


def greet(session: Session) -> None:
    session.greet()


def hear_greeting(session: Session) -> None:
    """AUTH-SUCCESS alone, without agreeing on a version."""
    assert session.hear().startswith(b"AUTH-SUCCESS "), session.stderr


def first_answer(session: Session) -> None:
    """What follows AUTH-SUCCESS: a version, and the answer to one CHECKPRESENT."""
    assert session.ask(b"VERSION 4") == b"VERSION 4", session.stderr
    check_absent(session)


def check_absent(session: Session) -> None:
    assert session.ask(b"CHECKPRESENT " + _ABSENT) == b"FAILURE", session.stderr


def stored(answer: bytes) -> bool:
    return answer.startswith((b"SUCCESS", b"ALREADY-HAVE"))


@dataclass(frozen=True)
class Large:
    """One content, and the requests for it."""

    content: bytes
    key: bytes

    def get(self, session: Session) -> None:
        assert session.ask(b"GET 0 f " + self.key) == b"DATA %d" % len(self.content)
        session.skip(len(self.content))
        assert session.hear() == b"VALID"
        session.say(b"SUCCESS")

    def put(self, session: Session) -> None:
        """Sends from memory as it is: joining it to a line would be measured too."""
        assert session.ask(b"PUT f " + self.key) == b"PUT-FROM 0", session.stderr
        session.say(b"DATA %d" % len(self.content))
        session.write(self.content)
        answer = session.ask(b"VALID")
        assert answer.startswith(b"SUCCESS"), (answer, session.stderr)

    def have(self, session: Session) -> None:
        answer = session.put(self.key, self.content)
        assert stored(answer), (answer, session.stderr)

    def remove(self, session: Session) -> None:
        assert session.ask(b"REMOVE " + self.key).startswith(b"SUCCESS"), session.stderr


@cache
def large(mebibytes: int) -> Large:
    """Random content of that size, the same for all who ask."""
    content = b"".join(os.urandom(MIB) for _ in range(mebibytes))
    return Large(content, sha256_key(content))


class Small:
    """Contents of 1 KiB; each kind of request is made for all of them."""

    def __init__(self, count: int) -> None:
        self.contents = [os.urandom(1 << 10) for _ in range(count)]
        self.keys = [sha256_key(content) for content in self.contents]

    @cached_property
    def works(self) -> dict[str, tuple[Work, int]]:
        """By name: what to do, in the order in which it can be done, and how many requests.

        What takes least is done several times over.
        """
        count = len(self.keys)
        return {
            "PUT": (self.put, count),
            "CHECKPRESENT": (repeated(self.check, 10), 10 * count),
            "LOCKCONTENT": (repeated(self.lock, 3), 3 * count),
            REFUSED_LOCK: (repeated(self.lock_in_vain, 3), 3 * count),
            "GET": (repeated(self.get, 3), 3 * count),
            "REMOVE": (self.remove, count),
        }

    def put(self, session: Session) -> None:
        for key, content in zip(self.keys, self.contents, strict=True):
            answer = session.put(key, content)
            assert stored(answer), (answer, session.stderr)

    def get(self, session: Session) -> None:
        for key, content in zip(self.keys, self.contents, strict=True):
            assert session.get(key) == (content, b"VALID"), session.stderr

    def check(self, session: Session) -> None:
        for key in self.keys:
            assert session.ask(b"CHECKPRESENT " + key) == b"SUCCESS", session.stderr

    def lock(self, session: Session) -> None:
        """Each lock is given back at once, which has no answer."""
        for key in self.keys:
            assert session.ask(b"LOCKCONTENT " + key) == b"SUCCESS", session.stderr
            session.say(b"UNLOCKCONTENT")

    def lock_in_vain(self, session: Session) -> None:
        for key in self.keys:
            assert session.ask(b"LOCKCONTENT " + key) == b"FAILURE", session.stderr

    def remove(self, session: Session) -> None:
        for key in self.keys:
            answer = session.ask(b"REMOVE " + key)
            assert answer.startswith(b"SUCCESS"), (answer, session.stderr)


def repeated(work: Work, times: int) -> Work:
    """The same work so many times."""

    def all_of_it(session: Session) -> None:
        for _ in range(times):
            work(session)

    return all_of_it


def after_greeting(work: Work) -> Work:
    """The greeting, then ``work``."""

    def both(session: Session) -> None:
        greet(session)
        work(session)

    return both
