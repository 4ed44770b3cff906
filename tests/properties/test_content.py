"""The object store beside a model: a dict of keys (spec 02 §7, §9 to §12).

Receptions are broken off anywhere, prefixes rot, lockers die, clocks move. Whatever
happens: what was acknowledged is there until a removal succeeds, what is locked or
promised is not removed, and nothing but a key's content is ever its object.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from annexshell.errors import ContentLocked, TransferInProgress
from annexshell.model.key import Key
from annexshell.model.payload import Validity
from annexshell.repository import locking, retention
from annexshell.repository.content import Content
from annexshell.repository.contentlocks import SharedLock
from annexshell.repository.intake import Intake
from annexshell.repository.retention import RETAIN_NS
from tests.support.content import (
    OTHER_PEER,
    PEER,
    Log,
    make_repository,
    sha256_key,
    tmp_path_of,
)
from tests.support.world import remove_tree

_DATA = {
    sha256_key(b"hello\n"): b"hello\n",
    sha256_key(b"unsized", size=False): b"unsized",
    sha256_key(b"", extension=".txt"): b"",
    Key.parse(b"WORM-s4--worm"): b"worm",
}
KEYS = st.sampled_from(sorted(_DATA, key=str))
VERSIONS = st.sampled_from(["9", "10"])


@attrs.define
class Reception:
    """An intake in progress, and the bytes it should have in its file."""

    key: Key
    intake: Intake
    data: bytes
    writer: int


class Clock:
    """Stands in for the time module where promises are made and kept."""

    def __init__(self) -> None:
        self.now = 10**18

    def time_ns(self) -> int:
        return self.now


class ContentMachine(RuleBasedStateMachine):
    """Two processes' views of one repository, and what must be true of it."""

    @initialize(version=VERSIONS)
    def start(self, version: str) -> None:
        self.top = Path(tempfile.mkdtemp())
        self.promises = version == "10"
        self.repository = make_repository(
            self.top / "r", version=version, annexshell_fsync="false"
        )
        self.views = [Content(self.repository), Content(self.repository)]
        self.present: set[Key] = set()
        self.partial: dict[Key, bytes] = {}
        self.receptions: dict[Key, Reception] = {}
        self.locks: list[tuple[Key, int, SharedLock, int]] = []
        self.retained: dict[Key, list[int]] = {}
        self.patch = pytest.MonkeyPatch()
        self.clock = Clock()
        self.patch.setattr(retention, "time", self.clock)
        self.patch.setattr(locking, "time", self.clock)

    def teardown(self) -> None:
        if hasattr(self, "top"):
            self.patch.undo()
            for reception in self.receptions.values():
                reception.intake.close()
            for _, _, lock, _ in self.locks:
                lock.close()
            remove_tree(Path(self.top))

    @rule(key=KEYS, view=st.integers(0, 1), peer=st.sampled_from([PEER, OTHER_PEER]))
    def begin(self, key: Key, view: int, peer: bytes) -> None:
        try:
            intake = self.views[view].begin_intake(key, peer=peer)
        except TransferInProgress:
            assert key in self.receptions
            return
        assert (intake is None) == (key in self.present)
        if intake is None:
            return
        assert key not in self.receptions
        before = self.partial.pop(key, b"")
        kept = before if key.backend != b"WORM" else b""
        if key.size is not None and len(kept) > key.size:
            kept = b""
        assert intake.offset == len(kept)
        self.receptions[key] = Reception(key, intake, kept, view)

    @precondition(lambda self: self.receptions)
    @rule(data=st.data(), rot=st.booleans(), count=st.integers(0, 9))
    def write(self, data: st.DataObject, rot: bool, count: int) -> None:
        reception = self._some_reception(data)
        rest = _DATA[reception.key][len(reception.data) :][:count]
        if rot:
            rest = b"!" + rest
        how = data.draw(st.sampled_from(["write", "apart", "splice"]))
        if how == "write":
            reception.intake.write(rest)
        else:
            reception.intake.write_bytes(rest)
        if how == "apart":
            reception.intake.prehash()
        reception.data += rest

    @precondition(lambda self: self.receptions)
    @rule(data=st.data())
    def break_off(self, data: st.DataObject) -> None:
        reception = self._some_reception(data)
        reception.intake.close()
        self._keep(reception)

    @precondition(lambda self: self.receptions)
    @rule(data=st.data(), validity=st.sampled_from(Validity), whole=st.booleans())
    def finish(self, data: st.DataObject, validity: Validity, whole: bool) -> None:
        reception = self._some_reception(data)
        key, intake = reception.key, reception.intake
        content = _DATA[key]
        if whole and content.startswith(reception.data):
            intake.write(content[len(reception.data) :])
            reception.data = content
        nothing = validity is Validity.INVALID and intake.written == intake.offset
        log = Log()
        stored = intake.finish(validity, log.present)
        intake.close()
        doubted = key.backend == b"WORM" and validity is Validity.INVALID
        same = len(reception.data) == 4 if key.backend == b"WORM" else None
        good = reception.data == content if same is None else same
        assert stored == (good and not doubted and not nothing)
        assert log.entries == (["present"] if stored else [])
        if nothing:
            self._keep(reception)
        else:
            del self.receptions[key]
        if stored:
            self.present.add(key)
            self.bytes_of(key)

    @rule(key=KEYS, junk=st.binary(min_size=1, max_size=8))
    def leave_junk(self, key: Key, junk: bytes) -> None:
        """What a reception by somebody else left behind."""
        if key not in self.receptions:
            path = tmp_path_of(self.repository, key)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(junk)
            self.partial[key] = junk

    @rule(key=KEYS, view=st.integers(0, 1))
    def lock(self, key: Key, view: int) -> None:
        lock = self.views[view].lock_shared(key)
        assert (lock is not None) == (key in self.present)
        if lock is not None:
            until = self.clock.now + RETAIN_NS if self.promises else 0
            self.locks.append((key, view, lock, until))

    @precondition(lambda self: self.locks)
    @rule(data=st.data(), orderly=st.booleans())
    def unlock(self, data: st.DataObject, orderly: bool) -> None:
        index = data.draw(st.integers(0, len(self.locks) - 1))
        key, _, lock, until = self.locks.pop(index)
        if orderly:
            lock.unlock()
        else:
            lock.close()
            if self.promises:
                self.retained.setdefault(key, []).append(until)

    @rule(seconds=st.sampled_from([1, 300, 599, 601, 1300, -30]))
    def pass_time(self, seconds: int) -> None:
        self.clock.now += seconds * 10**9

    @rule(key=KEYS, view=st.integers(0, 1), before=st.sampled_from([None, 0, 1]))
    def remove(self, key: Key, view: int, before: int | None) -> None:
        log = Log()
        locked = any(key == held for held, _, _, _ in self.locks)
        promised = any(self.clock.now <= t for t in self.retained.get(key, ()))
        try:
            removed = self.views[view].remove(
                key, before, lambda: 0, prepare=log.prepare, record=log.absent
            )
        except ContentLocked:
            assert key in self.present
            return
        if key in self.present:
            assert not locked and not promised
            assert removed == (before != 0)
            assert log.entries == (["absent"] if removed else [])
            if removed:
                self.present.remove(key)
                self.retained.pop(key, None)
        else:
            assert removed and log.entries == []

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "views"):
            return
        for key in _DATA:
            for view in self.views:
                assert view.present(key) == (key in self.present)
        for key in self.present:
            self.bytes_of(key)

    def bytes_of(self, key: Key) -> bytes:
        """The object, checked to be whole."""
        opened = self.views[0].open_for_get(key)
        assert opened is not None
        with opened:
            data = Path(f"/proc/self/fd/{opened.fd}").read_bytes()
        if key.backend == b"WORM":
            assert len(data) == key.size
        else:
            assert data == _DATA[key]
        return data

    def _some_reception(self, data: st.DataObject) -> Reception:
        keys = sorted(self.receptions, key=str)
        return self.receptions[data.draw(st.sampled_from(keys))]

    def _keep(self, reception: Reception) -> None:
        del self.receptions[reception.key]
        if reception.data:
            self.partial[reception.key] = reception.data


TestContent = ContentMachine.TestCase
TestContent.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, derandomize=True
)
