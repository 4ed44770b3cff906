"""A cluster beside the truth: what its nodes really hold, whatever they say (spec 01 §8).

Nodes go away, hang, die in the middle, are slow, full, old, reboot and lie, while several
sessions of one gateway store, fetch and remove. Whatever happens: the location log says
that a node has content only if that node has it or said so itself; what is called removed
is on no node of the cluster; nothing goes unless somebody removed it, and not after the
time that the remover set; bytes called valid are the key's; and what a sound node has can
be read, what a sound node can take is stored. Every request ends, and leaves no descriptor.
"""

from __future__ import annotations

import os
import tempfile
from contextvars import ContextVar
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from annexshell.cluster.node import Node
from annexshell.cluster.plan import Unwanted
from annexshell.errors import LinkError, RequestError
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity
from annexshell.remotes.limits import NodeLimits
from annexshell.store import AlreadyHave, Intake, Outcome
from annexshell.transport import moving, syscalls
from tests.support.async_tests import first_of
from tests.support.cluster_world import (
    FAR,
    NODES,
    STRANGER,
    C,
    cluster_store,
    gateway_time,
    memory_of,
    on_a_clock,
    open_descriptors,
    without_threads,
)
from tests.support.faulty_store import Faults, FaultyStore, NodeClock, Watched
from tests.support.memory_store import MemoryStore, is_content, key_of
from tests.support.placers import MemoryPlacer
from tests.support.world import remove_tree

UNIT = 10.0
LIMITS = NodeLimits(UNIT)
BOUND = 200 * LIMITS.storing(1 << 20)
"""Seconds in which every request must have ended; far more than one needs."""
SESSIONS = 3
RELAYED = 2
"""The session whose client is another gateway."""
FRUGAL = 1
"""The session in which one node stores what nobody wants."""

_CONTENTS = [b"hello world, this is some content", b"", bytes(range(256)) * 1200]
_DATA = {key_of(content): content for content in _CONTENTS}
_DATA[Key.parse(b"WORM-s4--worm")] = b"worm"
_WORDS = ("present", "timestamp", "remove", "get", "put", "accept", "adopt")

_KEYS = list(_DATA)
KEYS = st.integers(0, len(_KEYS) - 1)
POINTS = st.none() | st.sampled_from([0, 1, 10, 32, 70_000, 300_000])
WHICH = st.integers(0, len(NODES) - 1)
SPACES = st.sampled_from([None, None, 0, 10, 1000, 1 << 20])
WORDS = st.frozensets(st.sampled_from(_WORDS), max_size=2)
MISHAPS = st.builds(
    Faults,
    unreachable=st.sampled_from([False, False, False, True]),
    refuses=st.sampled_from([False, False, False, True]),
    full=st.booleans(),
    hangs=WORDS,
    loses=WORDS,
    dies_at=POINTS,
    stalls_at=POINTS,
    rate=st.sampled_from([0, 0, 5, 1000]),
    late=st.sampled_from([0, 0, 1, 9, 11, 1000]),
    old=st.booleans(),
)
LIES = st.builds(
    Faults,
    rots=st.booleans(),
    short=st.sampled_from([0, 1, 50]),
    claims=st.sampled_from([(), (FAR, C, STRANGER), NODES, (UUID(b"made-up"), FAR)]),
    pretends=st.booleans(),
)


@attrs.frozen
class Op:
    """One request: ``how`` it goes, and seconds ``before`` it and ``between`` its parts.

    Its client leaves in the middle where it is "gone".
    """

    word: str
    which: int
    how: str = "VALID"
    before: float = 0
    between: float = 0
    number: int = 0

    @property
    def key(self) -> Key:
        return _KEYS[self.which]


PAUSES = st.sampled_from([0, 0, 0, 0.3, 5, 40])
PUTS = st.sampled_from(
    ["VALID"] * 4 + ["INVALID", "garbage", "short", "withdrawn", "gone"]
)
NUMBERS = st.sampled_from([0, 1, 5, 33, 100, 1 << 20])


def _op(words: list[str], how: st.SearchStrategy[str]) -> st.SearchStrategy[Op]:
    return st.builds(Op, st.sampled_from(words), KEYS, how, PAUSES, PAUSES, NUMBERS)


OPS = _op(["put", "put", "put", "adopt"], PUTS) | _op(
    ["get", "get", "present", "remove", "lock"],
    st.sampled_from(["VALID"] * 5 + ["gone"]),
)

TIMED = st.builds(
    Op,
    st.just("timed"),
    KEYS,
    st.just("VALID"),
    PAUSES,
    st.sampled_from([0, 4, 5, 9]),
    st.sampled_from([0, 5, 10, 1000]),
)
OPS = OPS | TIMED

_limit: ContextVar[float] = ContextVar("limit", default=float("inf"))
"""The time of the gateway's clock from which on the request at hand may not remove."""


@attrs.define(eq=False)
class Member:
    """A node as it really is."""

    uuid: UUID
    inner: MemoryStore = attrs.field(factory=MemoryStore)
    faults: Faults = attrs.field(factory=Faults)
    clock: NodeClock = attrs.field(factory=NodeClock)


@attrs.define
class Step:
    """What happened within one step of the machine."""

    lied: set[tuple[UUID, Key]] = attrs.field(factory=set)
    claimed: set[UUID] = attrs.field(factory=set)
    listed: set[tuple[Key, UUID]] = attrs.field(factory=set)
    told: set[tuple[UUID, Key]] = attrs.field(factory=set)
    """Removed, and the answer was heard."""
    ops: tuple[Op, ...] = ()

    calm: bool = True
    """Nothing breaks meanwhile."""

    @property
    def alone(self) -> bool:
        return len(self.ops) == 1 and self.calm


class ClusterMachine(RuleBasedStateMachine):
    """Sessions of one gateway, the nodes that they share, and what must be true."""

    @initialize(count=st.integers(2, 4))
    def start(self, count: int) -> None:
        self.top = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        without_threads(self.patch)
        self.clock = trio.testing.MockClock(autojump_threshold=0)
        self.members = [Member(uuid) for uuid in NODES[:count]]
        self.by_uuid = {member.uuid: member for member in self.members}
        self.log = memory_of(*self.by_uuid)
        self.log.seen = self.recorded
        self.excused: set[tuple[UUID, Key]] = set()
        self.step = Step()
        self.placer = MemoryPlacer(self.wants)
        self.preferences: dict[Key, frozenset[UUID]] = {}
        self.disks: dict[UUID, int] = {}
        self.failed: dict[int, Key] = {}
        self.views = [self.view() for _ in range(SESSIONS)]
        self.sessions = [
            cluster_store(
                partial(list, view),
                self.log,
                self.top,
                relayed=partial(_is_relayed, number),
                placer=self.placer,
                unwanted=Unwanted.ONE if number == FRUGAL else Unwanted.ALL,
                timeout=UNIT,
            )
            for number, view in enumerate(self.views)
        ]

    def view(self) -> list[Node]:
        """The nodes as one session has them."""
        nodes = []
        for number, member in enumerate(self.members):
            store = FaultyStore(
                f"n{number}",
                member.inner,
                member.faults,
                LIMITS,
                member.clock,
                self.watched(member.uuid),
            )
            room = partial(self.disks.get, member.uuid)
            nodes.append(Node(store.name, member.uuid, store, room=room))
        return nodes

    def teardown(self) -> None:
        if hasattr(self, "top"):
            self.patch.undo()
            remove_tree(self.top)

    # -- the truth -----------------------------------------------------------------------

    def watched(self, uuid: UUID) -> Watched:
        def removed(key: Key) -> None:
            assert gateway_time() < _limit.get(), "removed after its time"
            words = {op.word for op in self.step.ops if op.key == key}
            assert words & {"remove", "timed"}, "nobody wanted it removed"
            self.step.told.add((uuid, key))
            if self.log.broken:
                self.excused.add((uuid, key))

        def unsaid(key: Key) -> None:
            self.step.told.discard((uuid, key))
            self.excused.add((uuid, key))

        def lied(key: Key) -> None:
            self.step.lied.add((uuid, key))

        return Watched(removed, unsaid, lied)

    def has(self, uuid: UUID, key: Key) -> bool:
        content = self.by_uuid[uuid].inner.contents.get(key)
        assert content is None or is_content(key, content), "kept what is not the key's"
        return content is not None

    def recorded(self, key: Key, uuid: UUID, present: bool) -> None:
        """The log changes: that must be true now, unless somebody lied about it."""
        assert uuid != C and uuid != b"made-up"
        if uuid not in self.by_uuid:
            assert uuid in self.step.claimed, "nobody spoke of it"
            return
        if self.on_a_liars_word(key, uuid):
            self.excused.add((uuid, key))
            return
        assert self.has(uuid, key) == present, f"{uuid!r} recorded as {present}"
        self.excused.discard((uuid, key))

    def on_a_liars_word(self, key: Key, uuid: UUID) -> bool:
        """Whether the node lied itself: nobody else is believed about it."""
        return (uuid, key) in self.step.lied

    @invariant()
    def the_log_over_claims_nothing(self) -> None:
        if not hasattr(self, "top"):
            return
        for key, uuid in self.log.places:
            if uuid in self.by_uuid and (uuid, key) not in self.excused:
                assert self.has(uuid, key)

    def sound(self, session: int) -> list[Member]:
        """The nodes that nothing is wrong with, as far as this session can know too."""
        if not self.step.alone:
            return []
        nodes = [
            n for n in self.views[session] if n.missing_until <= trio.current_time()
        ]
        members = [self.by_uuid[node.uuid] for node in nodes]
        return [member for member in members if not member.faults.any]

    def readable(self, session: int, key: Key) -> list[Member]:
        """The sound ones that have the content, and of which the log says so."""
        return [
            member
            for member in self.sound(session)
            if (key, member.uuid) in self.log.places and self.has(member.uuid, key)
        ]

    def named(self, op: Op, uuids: tuple[UUID, ...], present: bool) -> None:
        """Those for which an answer says that it became true."""
        assert len(set(uuids)) == len(uuids) and C not in uuids
        against = ("remove", "timed") if present else ("put", "adopt")
        if any(o.word in against and o.key == op.key for o in self.step.ops):
            return
        for uuid in uuids:
            if uuid not in self.by_uuid:
                assert uuid in self.step.claimed
            elif not self.on_a_liars_word(op.key, uuid):
                assert self.has(uuid, op.key) == present, f"{uuid!r} named"
            if self.step.alone and not self.log.broken:
                assert ((op.key, uuid) in self.log.places) == present

    # -- where content belongs -----------------------------------------------------------

    def wants(self, uuid: UUID, key: Key, name: bytes = b"") -> bool:
        return uuid in self.preferences.get(key, self.by_uuid)

    def has_room(self, uuid: UUID, key: Key) -> bool:
        spaces = (self.disks.get(uuid), self.placer.space.get(uuid))
        return all(space is None or space >= (key.size or 0) for space in spaces)

    def first(self, key: Key) -> set[UUID]:
        """Those that are to store it, as long as all is well."""
        listed = {uuid for place, uuid in self.log.places if place == key}
        wanting = {uuid for uuid in self.by_uuid if self.wants(uuid, key)}
        lacking = {u for u in wanting - listed if self.has_room(u, key)}
        return lacking or wanting & listed

    def holding(self, key: Key) -> set[UUID]:
        return {uuid for uuid in self.by_uuid if self.has(uuid, key)}

    @invariant()
    def nothing_stays_reserved(self) -> None:
        assert not hasattr(self, "top") or self.placer.reserved == []

    def is_placed(self, session: int, key: Key) -> bool:
        """Whether all that want it have it, by the log too, and one of them can say so."""
        wanting = {uuid for uuid in self.by_uuid if self.wants(uuid, key)}
        if not all((key, u) in self.log.places and self.has(u, key) for u in wanting):
            return False
        return bool(self.readable(session, key))

    def moved(self, key: Key, before: set[UUID], listed: set[UUID]) -> None:
        """An upload, during which nothing else happened, has brought it to somebody."""
        gained = self.holding(key) - before
        wanting = {uuid for uuid in self.by_uuid if self.wants(uuid, key)}
        assert not gained & wanting or gained <= wanting, (
            "stored where it is not wanted"
        )
        if all(self.has_room(uuid, key) for uuid in self.by_uuid):
            # Those that had lost it get it back.
            gained -= wanting | listed
            assert len(gained) <= 1 or not wanting, "more copies than were lost"

    # -- what happens --------------------------------------------------------------------

    @rule(key=KEYS, which=st.frozensets(WHICH))
    def is_wanted_by(self, key: int, which: frozenset[int]) -> None:
        wanting = {self.members[n % len(self.members)].uuid for n in which}
        self.preferences[_KEYS[key]] = frozenset(wanting)

    @rule(key=KEYS)
    def is_wanted_by_all(self, key: int) -> None:
        self.preferences.pop(_KEYS[key], None)

    @rule(which=WHICH, space=SPACES, disk=SPACES)
    def fills(self, which: int, space: int | None, disk: int | None) -> None:
        uuid = self.members[which % len(self.members)].uuid
        for spaces, left in ((self.placer.space, space), (self.disks, disk)):
            spaces.pop(uuid, None)
            if left is not None:
                spaces[uuid] = left

    @rule(
        key=KEYS,
        which=st.frozensets(WHICH, max_size=2),
        lost=st.none() | WHICH,
        down=st.none() | WHICH,
        session=st.integers(0, SESSIONS - 1),
    )
    def is_stored_anew(
        self,
        key: int,
        which: frozenset[int],
        lost: int | None,
        down: int | None,
        session: int,
    ) -> None:
        """Nobody has it, save that the log is wrong of one and another is down; then it
        is offered again, and again when both are as they should be."""
        self.all_heal()
        self.is_wanted_by(key, which)
        for member in self.members:
            member.inner.contents.pop(_KEYS[key], None)
            self.log.places.discard((_KEYS[key], member.uuid))
        if down is not None:
            self.breaks(down, Faults(unreachable=True))
        self.run(Op("put", key), first=session)
        self.all_heal()
        if lost is not None:
            uuid = self.members[lost % len(self.members)].uuid
            self.log.places.add((_KEYS[key], uuid))
            self.excused.add((uuid, _KEYS[key]))
        for _ in range(2):
            self.run(Op("put", key), first=session)

    @rule(which=WHICH, faults=MISHAPS)
    def breaks(self, which: int, faults: Faults) -> None:
        self.members[which % len(self.members)].faults.become(faults)

    @rule(which=WHICH, faults=LIES)
    def turns_bad(self, which: int, faults: Faults) -> None:
        self.members[which % len(self.members)].faults.become(faults)

    @rule(which=WHICH)
    def heals(self, which: int) -> None:
        self.members[which % len(self.members)].faults.become(Faults())

    @rule()
    def all_heal(self) -> None:
        for member in self.members:
            member.faults.become(Faults())

    @rule(which=WHICH)
    def boots(self, which: int) -> None:
        self.run(boot=self.members[which % len(self.members)])

    @rule(key=KEYS)
    def comes_from_far_away(self, key: int) -> None:
        """git brought it: a node that is not ours to ask has the content."""
        self.log.places.add((_KEYS[key], FAR))

    @rule(which=WHICH, key=KEYS)
    def comes_by_another_way(self, which: int, key: int) -> None:
        """Somebody stored it at the node itself."""
        contents = self.members[which % len(self.members)].inner.contents
        contents[_KEYS[key]] = _DATA[_KEYS[key]]

    @rule(broken=st.booleans())
    def journal(self, broken: bool) -> None:
        self.log.broken = broken

    @rule(seconds=st.sampled_from([1, 10, 400]))
    def time_passes(self, seconds: float) -> None:
        self.run(pause=seconds)

    @rule(op=OPS, session=st.integers(0, SESSIONS - 1))
    def one(self, op: Op, session: int) -> None:
        self.run(op, first=session)

    @rule(key=KEYS, session=st.integers(0, SESSIONS - 1))
    def is_stored(self, key: int, session: int) -> None:
        self.run(Op("put", key), first=session)

    @rule(key=KEYS, session=st.integers(0, SESSIONS - 1))
    def is_removed(self, key: int, session: int) -> None:
        self.run(Op("remove", key), first=session)

    @rule(ops=st.lists(OPS, min_size=2, max_size=SESSIONS))
    def several(self, ops: list[Op]) -> None:
        self.run(*ops)

    @rule(key=KEYS, which=WHICH, before=st.sampled_from([0.1, 1, 4.9, 5]))
    def is_removed_while_it_is_stored(
        self, key: int, which: int, before: float
    ) -> None:
        """One node has it, and says so before the removal that the upload outlives."""
        self.comes_by_another_way(which, key)
        self.run(Op("put", key, between=5), Op("remove", key, before=before))

    @rule(ops=st.lists(OPS, min_size=2, max_size=SESSIONS), key=KEYS)
    def several_with_one_key(self, ops: list[Op], key: int) -> None:
        self.run(*(attrs.evolve(op, which=key) for op in ops))

    @rule(
        ops=st.lists(OPS, min_size=1, max_size=SESSIONS),
        which=WHICH,
        faults=MISHAPS | LIES | st.just(Faults()),
        after=st.sampled_from([0, 0.1, 1, 7, 30]),
    )
    def several_while_one_breaks(
        self, ops: list[Op], which: int, faults: Faults, after: float
    ) -> None:
        member = self.members[which % len(self.members)]
        self.run(*ops, breaking=(member, faults, after))

    @precondition(lambda self: hasattr(self, "top") and not self.log.broken)
    @rule(key=KEYS)
    def everybody_can_read_what_a_sound_node_has(self, key: int) -> None:
        for session in range(SESSIONS):
            self.run(Op("get", key), first=session)

    def run(
        self,
        *ops: Op,
        first: int = 0,
        pause: float = 0,
        boot: Member | None = None,
        breaking: tuple[Member, Faults, float] | None = None,
    ) -> None:
        self.step = Step(ops=ops, calm=not breaking, listed=set(self.log.places))
        for member in self.members:
            self.step.claimed |= set(member.faults.claims)
        if breaking:
            self.step.claimed |= set(breaking[1].claims)
        before = open_descriptors()

        async def main() -> None:
            with trio.fail_after(BOUND):
                async with trio.open_nursery() as nursery:
                    for number, op in enumerate(ops):
                        nursery.start_soon(self.perform, op, first + number)
                    if breaking:
                        nursery.start_soon(_break, *breaking)
                    if boot:
                        boot.clock.boot()
                    await trio.sleep(pause)

        on_a_clock(main, clock=self.clock)
        assert open_descriptors() == before

    async def perform(self, op: Op, session: int) -> None:
        await trio.sleep(op.before)
        leaving = op.number / 10 if op.how == "gone" else BOUND
        with trio.move_on_after(leaving):
            await getattr(self, f"_{op.word}")(op, session)

    async def _put(self, op: Op, session: int) -> None:
        sound = [m for m in self.sound(session) if _can_go_on(m, op.key)]
        first = self.first(op.key)
        due = [member for member in sound if member.uuid in first]
        again = self.failed.get(session) == op.key
        placed = self.step.alone and self.is_placed(session, op.key)
        before = self.holding(op.key)
        listed = {uuid for key, uuid in self.log.places if key == op.key}
        outcome = Outcome(False)
        try:
            async with self.sessions[session].put(op.key, b"f") as intake:
                await trio.sleep(op.between)
                if isinstance(intake, AlreadyHave):
                    assert intake.others, "nobody has it"
                    self.named(op, intake.others, True)
                    return
                assert not placed, "asked for again"
                outcome = await _send(op, intake)
        except (RequestError, LinkError) as error:
            assert not sound or op.how != "VALID", error
            return
        if not outcome.ok:
            self.failed[session] = op.key
        # Who let it fail a moment ago is asked last.
        assert outcome.ok or not due or again or op.how != "VALID"
        assert bool(outcome.others) == outcome.ok
        self.named(op, outcome.others, True)
        if self.step.alone and not again:
            self.moved(op.key, before, listed)

    async def _adopt(self, op: Op, session: int) -> None:
        try:
            async with self.sessions[session].put(op.key, b"f") as intake:
                await trio.sleep(op.between)
                if isinstance(intake, AlreadyHave):
                    outcome = Outcome(True, intake.others)
                else:
                    outcome = await intake.adopt()
        except RequestError:
            return
        assert bool(outcome.others) == outcome.ok
        self.named(op, outcome.others, True)

    async def _remove(self, op: Op, session: int) -> None:
        await self._removed(op, session, None)

    async def _timed(self, op: Op, session: int) -> None:
        limit = await self.sessions[session].timestamp() + op.number
        assert limit - op.number <= gateway_time()
        _limit.set(limit)
        await trio.sleep(op.between)
        await self._removed(op, session, limit)

    async def _removed(self, op: Op, session: int, limit: int | None) -> None:
        far = (op.key, FAR) in self.log.places
        sound = len(self.sound(session)) == len(self.members) and not far
        in_time = limit is None or limit > gateway_time() + 2
        try:
            outcome = await self.sessions[session].remove(op.key, limit)
        except RequestError as error:
            assert not (sound and in_time), error
            assert not (self.step.alone and self.step.told), "removed, and not named"
            return
        assert outcome.ok or not (sound and in_time)
        self.named(op, outcome.others, False)
        if not self.step.alone:
            return
        assert {uuid for uuid, _ in self.step.told} <= set(outcome.others)
        if outcome.ok:
            assert not far or FAR in outcome.others or session == RELAYED
            for uuid in self.by_uuid:
                assert (uuid, op.key) in self.step.lied or not self.has(uuid, op.key)

    async def _lock(self, op: Op, session: int) -> None:
        async with self.sessions[session].lock(op.key) as held:
            assert held is None

    async def _present(self, op: Op, session: int) -> None:
        readable = self.readable(session, op.key)
        listed = {uuid for key, uuid in self.log.places if key == op.key}
        listed &= set(self.by_uuid)
        try:
            there = await self.sessions[session].present(op.key)
        except RequestError as error:
            assert not readable, error
            return
        assert there or not readable
        if not self.step.alone or self.step.lied:
            return
        holders = {
            uuid for uuid in listed & set(self.by_uuid) if self.has(uuid, op.key)
        }
        assert holders or not there
        assert there or not holders and FAR not in listed

    async def _get(self, op: Op, session: int) -> None:
        readable = self.readable(session, op.key)
        # Each liar is found out once, and asked last from then on.
        for _ in range(2 * len(self.members) if readable else 1):
            if await self._got(op, session, bool(readable)):
                return
        assert not readable, "cannot be read"

    async def _got(self, op: Op, session: int, due: bool) -> bool:
        """Whether the content came; of bytes that are not the key's, a liar is to blame."""
        wanted = _DATA[op.key][op.number :]
        got = bytearray()

        async def take(piece: memoryview) -> None:
            got.extend(piece)

        try:
            async with self.sessions[session].get(op.key, op.number, b"f") as payload:
                await trio.sleep(op.between)
                await moving.feed(payload, take)
                verdict = await payload.verdict()
                payload.kept = bytes(got) == wanted and verdict is Validity.VALID
                if bytes(got) == wanted and (wanted or verdict is Validity.VALID):
                    payload.kept = True
                    return True
        except (RequestError, LinkError) as error:
            assert not due, error
            return False
        liars = {uuid for uuid, key in self.step.lied if key == op.key}
        assert not got or liars, "wrong bytes"
        if verdict is Validity.VALID:
            assert liars or op.number > len(_DATA[op.key])
            flipped = bytes(byte ^ 1 for byte in wanted)
            assert wanted.startswith(got) or flipped.startswith(got), "a mixture"
        elif not got and not liars:
            assert not due, "called absent"
        return False


def _is_relayed(session: int) -> bool:
    return session == RELAYED


async def _break(member: Member, faults: Faults, after: float) -> None:
    await trio.sleep(after)
    member.faults.become(faults)


def _can_go_on(member: Member, key: Key) -> bool:
    """Whether what it has of the content is the beginning of it."""
    return _DATA[key].startswith(member.inner.partial.get(key, b""))


async def _send(op: Op, intake: Intake) -> Outcome:
    """Be the client that sends what the intake asks for."""
    if op.how == "withdrawn":
        return Outcome(False)
    rest = _DATA[op.key][intake.offset :]
    if op.how == "garbage" and op.key.backend != b"WORM":
        rest = bytes(byte ^ 1 for byte in rest)
    prefix = rest[: op.number]
    sent = rest[len(prefix) :]
    if op.how == "short":
        sent = sent[: len(sent) // 2]
    verdict = Validity.INVALID if op.how == "INVALID" else Validity.VALID

    async def said() -> Validity:
        return verdict

    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_write, writing, sent)
            payload = Payload(len(rest), reading, prefix, verdict=said)
            try:
                outcome = await intake.accept(payload)
                await moving.drain(payload)
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise first_of(group) from None
    finally:
        os.close(reading)
    return outcome


async def _write(fd: int, data: bytes) -> None:
    try:
        await syscalls.write_all(fd, data)
    finally:
        os.close(fd)


TestCluster = ClusterMachine.TestCase
# As many requests as a few seconds allow; HYPOTHESIS_PROFILE=deep makes more.
TestCluster.settings = settings(
    settings(), stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow]
)
