"""Many sessions with one gateway at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from tests.bench import processes
from tests.bench.contenders import Contender
from tests.bench.content import Small, check_absent
from tests.bench.measure import Once
from tests.bench.ratios import Cost
from tests.bench.scene import Scene
from tests.support.session import Session


def crowd(scene: Scene, uuid: str, count: int) -> Once:
    """``count`` sessions that all start before the first is greeted; each then stores 1 KiB,
    looks for it, gets it and removes it, step by step with all others.

    Until the last has ended. What they hold is read when all are idle, and takes no time of
    theirs.
    """
    small = Small(count)

    def once(contender: Contender) -> list[Cost]:
        scene.apply(contender)
        meter = scene.ground.meter
        cpu, clocks = processes.children_cpu(), meter.clocks(contender)
        begun = time.perf_counter()
        with ExitStack() as stack:
            sessions = [
                stack.enter_context(scene.ground.open(contender, scene.repo, uuid))
                for _ in range(count)
            ]
            _work(sessions, small)
            wall = time.perf_counter() - begun
            memory = meter.memory(contender, sessions)
            ending = time.perf_counter()
            last = meter.see_end(contender, sessions)
            wall += time.perf_counter() - ending
        used = processes.children_cpu() - cpu
        used += processes.spent(clocks, last | meter.clocks(contender))
        return [Cost(wall, used, memory.peak, memory.share)]

    return once


def _work(sessions: Sequence[Session], small: Small) -> None:
    for session in sessions:
        session.greet()
    for session in sessions:
        check_absent(session)
    contents = list(zip(sessions, small.keys, small.contents, strict=True))
    for session, key, _ in contents:
        session.say(b"PUT f " + key)
    for session, _, content in contents:
        assert session.hear() == b"PUT-FROM 0", session.stderr
        session.write(b"DATA %d\n%bVALID\n" % (len(content), content))
    for session in sessions:
        assert session.hear().startswith(b"SUCCESS"), session.stderr
    for request, answer in ((b"CHECKPRESENT ", b"SUCCESS"), (b"GET 0 f ", b"DATA ")):
        for session, key, _ in contents:
            session.say(request + key)
        for session in sessions:
            assert session.hear().startswith(answer), session.stderr
    for session, key, content in contents:
        assert session.take(len(content)) == content and session.hear() == b"VALID"
        session.say(b"SUCCESS", b"REMOVE " + key)
    for session in sessions:
        assert session.hear().startswith(b"SUCCESS"), session.stderr
