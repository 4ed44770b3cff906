"""Clients that work on one repository through two servers at once, and what they saw.

Every request is an `Event` with the time before it was sent and the time after its answer
was heard (or its server was killed). What two events have in common in time may have
happened in either order; the rest has an order, and that is what can be judged.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping

import attrs

from tests.support.operations import Keyed
from tests.support.session import Session, SessionHung

WORDS = ("PUT", "PUT", "GET", "LOCKCONTENT", "CHECKPRESENT", "REMOVE", "REMOVE")
#: How often a locker looks for the content, at most, while others do what they do.
LOOKS = 2000


@attrs.frozen
class Event:
    """One request; ``answer`` is b"" where the server ended, or was killed, first."""

    server: str
    word: str
    key: str
    start: float
    end: float
    answer: bytes
    killed: bool = False

    @property
    def ok(self) -> bool:
        return self.answer in (b"SUCCESS", b"ALREADY-HAVE")

    def overlaps(self, other: Event) -> bool:
        return self.start < other.end and other.start < self.end


@attrs.define
class Diary:
    """What happened, by all clients."""

    events: list[Event] = attrs.field(factory=list)
    wrong: list[str] = attrs.field(factory=list)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def add(self, event: Event) -> None:
        with self._lock:
            self.events.append(event)

    def complain(self, what: str) -> None:
        with self._lock:
            self.wrong.append(what)

    def of(self, key: str, *words: str) -> list[Event]:
        return [e for e in self.events if e.key == key and e.word in words]

    def story(self, key: str, last: int = 40) -> str:
        """The last events of a key, in the order of their ends."""
        events = sorted((e for e in self.events if e.key == key), key=lambda e: e.end)
        return "\n".join(
            f"  {e.start:.4f}-{e.end:.4f} {e.server:10} {e.word:12} {e.answer!r}"
            f"{' KILLED' if e.killed else ''}"
            for e in events[-last:]
        )

    def must_be_present(self, key: str) -> bool:
        """A PUT was acknowledged that no removal can have come after."""
        gone = max((e.end for e in self.of(key, "REMOVE")), default=0.0)
        return any(e.ok and e.start > gone for e in self.of(key, "PUT"))

    def must_be_absent(self, key: str) -> bool:
        """A removal was acknowledged that no upload can have come after."""
        stored = max((e.end for e in self.of(key, "PUT")), default=0.0)
        return any(e.ok and e.start > stored for e in self.of(key, "REMOVE"))


Open = Callable[[str], Session]


@attrs.define
class Rival:
    """One client: a session with each server, and dice that decide what it does."""

    open: Open
    keys: Mapping[str, Keyed]
    diary: Diary
    dice: random.Random
    kills: float
    holds: Callable[[Keyed], bool]
    """Whether the content of a key lies there now, by looking at the disk."""
    sessions: dict[str, Session] = attrs.field(factory=dict)

    def work(self, count: int, kept: frozenset[str]) -> None:
        """``count`` requests; the keys that are ``kept`` are not removed."""
        try:
            for _ in range(count):
                self._one(kept)
        except Exception as error:  # a thread's failure must reach the test
            self.diary.complain(f"{type(error).__name__}: {error}")

    def end(self) -> None:
        for session in self.sessions.values():
            with session:
                session.end()
        self.sessions.clear()

    def _one(self, kept: frozenset[str]) -> None:
        server = self.dice.choice(("git-annex", "annexshell"))
        name = self.dice.choice(list(self.keys))
        word = self.dice.choice(WORDS)
        if word == "REMOVE" and name in kept:
            word = "PUT"
        if self.dice.random() < 0.05 and server in self.sessions:
            with self.sessions.pop(server) as session:
                session.end()
        session = self._session(server)
        doomed = self.dice.random() < self.kills
        act = {"PUT": self._put, "GET": self._get, "LOCKCONTENT": self._lock}
        start = time.monotonic()
        answer = act.get(word, self._ask)(session, word, name, doomed)
        if doomed:
            session.process.kill()
            session.process.wait()
        if doomed or not answer:
            # What it had said before it died counts.
            answer = answer or session.hear()
            with self.sessions.pop(server):
                pass
        end = time.monotonic()
        self.diary.add(Event(server, word, name, start, end, answer, doomed))

    def _session(self, server: str) -> Session:
        if server not in self.sessions:
            session = self.sessions[server] = self.open(server)
            session.greet()
        return self.sessions[server]

    def _heard(self, session: Session, doomed: bool) -> bytes:
        """The answer, if the session is not to be killed before it comes."""
        if not doomed:
            return session.hear()
        try:
            return session.hear(self.dice.uniform(0, 0.02))
        except SessionHung:
            return b""

    def _ask(self, session: Session, word: str, name: str, doomed: bool) -> bytes:
        session.say(word.encode() + b" " + self.keys[name].text)
        return self._heard(session, doomed)

    def _put(self, session: Session, word: str, name: str, doomed: bool) -> bytes:
        keyed = self.keys[name]
        offer = session.ask(b"PUT f " + keyed.text)
        if not offer.startswith(b"PUT-FROM "):
            if offer.startswith(b"ERROR "):
                session.say(b"ERROR expected PUT_FROM or ALREADY_HAVE")
            return offer
        rest = keyed.content[int(offer.split()[1]) :]
        session.write(b"DATA %d\n" % len(rest))
        if doomed and self.dice.random() < 0.5:
            session.write(rest[: self.dice.randrange(len(rest) + 1)])
            return b""
        session.write(rest + b"VALID\n")
        return self._heard(session, doomed)

    def _get(self, session: Session, word: str, name: str, doomed: bool) -> bytes:
        keyed = self.keys[name]
        offset = self.dice.choice((0, len(keyed.content) // 2))
        content, verdict = session.get(keyed.text, offset)
        if verdict == b"VALID" and content != keyed.content[offset:]:
            self.diary.complain(f"wrong content of {name} was called VALID")
        return verdict

    def _lock(self, session: Session, word: str, name: str, doomed: bool) -> bytes:
        keyed = self.keys[name]
        answer = session.ask(b"LOCKCONTENT " + keyed.text)
        if answer != b"SUCCESS":
            return answer
        granted = time.monotonic()
        enough = len(self.diary.events) + self.dice.randrange(6)
        for _ in range(LOOKS):
            if len(self.diary.events) >= enough:
                break
            if not self.holds(keyed):
                self.diary.complain(f"{name} vanished while it was locked")
                break
        held = Event("a client", "HELD", name, granted, time.monotonic(), answer)
        self.diary.add(held)
        if not doomed:
            session.say(b"UNLOCKCONTENT")
            # Heard only when the lock is given back.
            session.ask(b"CHECKPRESENT " + keyed.text)
        return answer
