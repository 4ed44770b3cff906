"""The disk fails at every single call of a PUT, REMOVE, GET and LOCKCONTENT in turn.

What must hold after each (docs/design.md, "SUCCESS is sent last"): nothing acknowledged is
missing, unlogged or wrong; nothing that is not whole is present; the answer says what is
wrong; the session goes on; and the same request succeeds once the disk works again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from annexshell.repository.branch import Branch
from annexshell.repository.content import Content
from annexshell.repository.open import open_repository
from tests.support.broken_disk import (
    FAULTS,
    Conversation,
    Disk,
    Fault,
    Interruptions,
    Trickle,
    every_fault,
    renew,
)
from tests.support.content import (
    HELLO,
    HERE,
    PEER,
    interrupt,
    make_repository,
    reopened,
    sha256_key,
    write_object,
)

CONTENT = HELLO * 12000
"""More than what is hashed without a thread."""
KEY = sha256_key(CONTENT)
WIRE = str(KEY).encode()


STRIDE = int(os.environ.get("ANNEXSHELL_FAULT_STRIDE", "4"))
"""Every nth call fails. Both versions make much the same calls, so the first one differs."""


def words(path: Path) -> list[str]:
    return ["p2pstdio", str(path), PEER.decode()]


class Scene:
    """A repository in some state, and what is asked of it."""

    def __init__(self, place: Path, version: str) -> None:
        self.template = place / "template"
        self.work = place / "work"
        self.repository = make_repository(self.template, version=version)
        for hook in (self.template / "hooks").iterdir():
            hook.unlink()
        self.answer = b""
        self.after = b""
        self._first = int(version) % STRIDE

    def store(self) -> None:
        self.play(put)
        assert self.answer in (b"SUCCESS", b"ALREADY-HAVE")

    def play(self, request: Callable[[Conversation], bytes]) -> None:
        """The request, without faults, on the template."""
        conversation = Conversation(words(self.template))
        self.converse(conversation, request)
        code, complaints, _ = conversation.end()
        assert code == 0 and not complaints, complaints

    def converse(
        self, conversation: Conversation, request: Callable[[Conversation], bytes]
    ) -> None:
        """Greeting, request, and whether the session goes on."""
        self.answer = self.after = b""
        if not conversation.hear().startswith(b"AUTH-SUCCESS"):
            return
        conversation.ask(b"VERSION 4")
        self.answer = request(conversation)
        if self.answer:
            self.after = conversation.ask(b"CHECKPRESENT " + WIRE)

    def every(
        self, fault: Fault, request: Callable[[Conversation], bytes]
    ) -> Iterator[tuple[int, str]]:
        """The request on `work`, with the fault at this call and at that."""

        def play(disk: Disk) -> tuple[int, str, bool]:
            conversation = Conversation(words(self.work), disk)
            self.converse(conversation, request)
            return conversation.end()

        found = every_fault(
            self.template, self.work, fault, play, first=self._first, stride=STRIDE
        )
        for step, complaints in found:
            check(fault, self, step, complaints)
            yield step, complaints

    # -- what is left in `work` ---------------------------------------------------

    def content(self) -> Content:
        return Content(open_repository(os.path.realpath(self.work)))

    def present(self) -> bool:
        """Whether the content is there; if anything is, it is whole."""
        opened = self.content().open_for_get(KEY)
        if opened is None:
            return False
        with opened:
            found = os.pread(opened.fd, len(CONTENT) + 1, 0)
            assert found == CONTENT
        return True

    def logged(self) -> bool:
        branch = Branch(open_repository(os.path.realpath(self.work)))
        return HERE.encode() in branch.locations(KEY)

    def again(self, request: Callable[[Conversation], bytes]) -> bytes:
        """The same request, the disk working again."""
        conversation = Conversation(words(self.work))
        self.converse(conversation, request)
        answer = self.answer
        code, complaints, _ = conversation.end()
        assert code == 0, complaints
        return answer


def put(conversation: Conversation) -> bytes:
    answer = conversation.ask(b"PUT f " + WIRE)
    if answer.startswith(b"PUT-FROM "):
        rest = CONTENT[int(answer.split()[1]) :]
        conversation.say(b"DATA %d\n%sVALID\n" % (len(rest), rest))
        answer = conversation.hear()
    return answer


def remove(conversation: Conversation) -> bytes:
    return conversation.ask(b"REMOVE " + WIRE)


def lock(conversation: Conversation) -> bytes:
    answer = conversation.ask(b"LOCKCONTENT " + WIRE)
    if answer == b"SUCCESS":
        conversation.say(b"UNLOCKCONTENT\n")
    return answer


def get(conversation: Conversation) -> bytes:
    answer = conversation.ask(b"GET 0 f " + WIRE)
    if not answer.startswith(b"DATA "):
        return answer
    count = int(answer.split()[1])
    data = conversation.take(count)
    if len(data) < count:
        return b""
    verdict = conversation.hear()
    if not verdict:
        return b""
    # INVALID asks the client to look itself; VALID must be true.
    assert verdict == b"INVALID" or (verdict, data) == (b"VALID", CONTENT)
    conversation.say(b"SUCCESS\n")
    return verdict


def check(fault: Fault, scene: Scene, step: int, complaints: str) -> None:
    """What holds after every fault, whatever was asked."""
    where = (fault.name, step, scene.answer, complaints)
    assert "internal error" not in complaints and "Traceback" not in complaints, where
    if fault.error and scene.answer:
        assert scene.after, where
    if scene.answer.startswith(b"ERROR"):
        assert len(scene.answer) > len(b"ERROR "), where


@pytest.fixture(params=["9", "10"])
def scene(tmp_path: Path, request: pytest.FixtureRequest) -> Scene:
    return Scene(tmp_path, str(request.param))


@pytest.fixture(params=FAULTS, ids=lambda fault: fault.name)
def fault(request: pytest.FixtureRequest) -> Fault:
    found = request.param
    assert isinstance(found, Fault)
    return found


def half_sent(scene: Scene) -> None:
    interrupt(reopened(scene.repository), KEY, CONTENT[:1000])


def damaged(scene: Scene) -> None:
    write_object(scene.repository, KEY, CONTENT[:-1])


def untouched(scene: Scene) -> None:
    """Nothing is there yet."""


@pytest.mark.parametrize("before", [untouched, half_sent, damaged])
def test_put(scene: Scene, fault: Fault, before: Callable[[Scene], None]) -> None:
    before(scene)
    steps = 0
    for steps, complaints in scene.every(fault, put):
        where = (fault.name, steps, scene.answer, complaints)
        present = scene.present()
        if scene.answer in (b"SUCCESS", b"ALREADY-HAVE"):
            assert present and scene.logged(), where
        assert present or not scene.logged(), where
        assert scene.again(put) in (b"SUCCESS", b"ALREADY-HAVE"), where
        assert scene.present() and scene.logged(), where
    assert steps > 5


def test_remove(scene: Scene, fault: Fault) -> None:
    scene.store()
    steps = 0
    for steps, complaints in scene.every(fault, remove):
        where = (fault.name, steps, scene.answer, complaints)
        present = scene.present()
        if scene.answer == b"SUCCESS":
            assert not present, where
        # What was not removed must not be called absent: nobody would look for it.
        assert scene.logged() or not present, where
        assert scene.again(remove) == b"SUCCESS", where
        assert not scene.present() and not scene.logged(), where
    assert steps > 1


@pytest.mark.parametrize("request_", [lock, get], ids=["lock", "get"])
def test_reading(
    scene: Scene, fault: Fault, request_: Callable[[Conversation], bytes]
) -> None:
    scene.store()
    steps = 0
    for steps, complaints in scene.every(fault, request_):
        assert scene.present() and scene.logged()
        assert scene.again(request_) in (b"SUCCESS", b"VALID"), (steps, complaints)
        assert scene.again(remove) != b"", complaints


@pytest.mark.parametrize("trouble", [Trickle, Interruptions])
def test_what_only_takes_longer(
    scene: Scene, trouble: type[Trickle] | type[Interruptions]
) -> None:
    """Short writes and interrupted calls: everything succeeds all the same."""
    renew(scene.template, scene.work)
    conversation = Conversation(words(scene.work), trouble())
    assert conversation.hear().startswith(b"AUTH-SUCCESS")
    assert conversation.ask(b"VERSION 4") == b"VERSION 4"
    for request, answer in (
        (put, b"SUCCESS"),
        (put, b"ALREADY-HAVE"),
        (get, b"VALID"),
        (lock, b"SUCCESS"),
        (remove, b"SUCCESS"),
        (put, b"SUCCESS"),
    ):
        assert request(conversation) == answer
    code, complaints, _ = conversation.end()
    assert (code, complaints) == (0, "")
    assert scene.present() and scene.logged()
