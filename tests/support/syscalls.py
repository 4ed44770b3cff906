"""Counting the system calls of sessions with strace.

``python -m tests.support.syscalls`` measures and prints the ceilings of
``tests/shell/test_syscalls.py`` as they could be now.

A session's calls are cut into laps by CHECKPRESENT of keys that say so. What a lap without
requests costs is taken off; what remains, divided by the number of requests, is what one of
them costs in the middle of a session: threads are started, and what is read once has been
read. Threads and children count.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.by_path import CLUSTER, N1, N2, make_gateway
from tests.support.session import CLIENT_UUID, Session, sha256_key
from tests.support.shell import UUID_HERE, environment, shell_argv, write_identity

#: Whom the session is with, by the name in the table.
TOPOLOGIES = {"local": UUID_HERE, "proxied": N1, "cluster": CLUSTER}
REQUESTS = 8
"""Requests of one kind in a lap."""
MIB = 1 << 20
LARGE = 32 * MIB
MARK = b"WORM-s1--lap-%d"

#: How threads wait for each other, and memory: it hangs on who was faster.
NOISE = frozenset(
    "futex sched_yield brk mmap munmap mprotect madvise mremap restart_syscall".split()
)
SYNCS = frozenset("fsync fdatasync syncfs sync sync_file_range".split())
WAITS = frozenset(
    "epoll_wait epoll_pwait epoll_pwait2 poll ppoll select pselect6".split()
)
"""Each is one wake-up of the process."""
_CALL = re.compile(rb"^\d+ +(\w+)\(")


@dataclass(frozen=True)
class Cost:
    """Of one request, or of one MiB: the calls that count, syncs to the disk, wake-ups."""

    calls: float
    syncs: float
    waits: float

    def worst(self, other: Cost) -> Cost:
        return Cost(
            max(self.calls, other.calls),
            max(self.syncs, other.syncs),
            max(self.waits, other.waits),
        )


Table = dict[tuple[str, str], Cost]
"""By topology and request."""
A_MIB = " a MiB"
"""The end of a row's name whose cost is that of a MiB of large content."""


class Client(Session):
    """A client that says what has no answer together with what it says next.

    Else it would hang on who is faster whether they are read by one call or by two.
    """

    _later = b""

    def later(self, line: bytes) -> None:
        self._later += line + b"\n"

    def write(self, raw: bytes) -> int:
        raw, self._later = self._later + raw, b""
        return super().write(raw)


Request = Callable[[Client, bytes, bytes], None]
Contents = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Lap:
    """Its name, what is asked for each content, and what the cost is divided by."""

    name: str
    request: Request
    contents: Contents
    shares: int = REQUESTS


def need_strace() -> None:
    """Without strace, or where it may not trace, the test is skipped; on CI it fails."""
    strace = shutil.which("strace")
    why = "strace is missing: apt-get install strace"
    if strace is not None:
        tried = subprocess.run(
            [strace, "-f", "-o", os.devnull, "true"], capture_output=True, timeout=60
        )
        if tried.returncode == 0:
            return
        why = f"strace may not trace here: {tried.stderr.decode(errors='replace')}"
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(why)
    pytest.skip(why)


# -- what is done in a session -------------------------------------------------------------


def _small(prefix: str) -> Contents:
    contents = [f"{prefix} {number}".encode() for number in range(REQUESTS)]
    return [(sha256_key(content), content) for content in contents]


def _put(client: Client, key: bytes, content: bytes) -> None:
    answer = client.put(key, content)
    assert answer.startswith(b"SUCCESS"), (answer, client.stderr)


def _get(client: Client, key: bytes, content: bytes) -> None:
    assert client.ask(b"GET 0 f " + key) == b"DATA %d" % len(content)
    client.skip(len(content))
    assert client.hear() == b"VALID"
    client.later(b"SUCCESS")


def _check(client: Client, key: bytes, content: bytes) -> None:
    assert client.ask(b"CHECKPRESENT " + key) == b"SUCCESS"


def _lock(client: Client, key: bytes, content: bytes) -> None:
    """A cluster locks nothing, and says so."""
    if client.ask(b"LOCKCONTENT " + key) == b"SUCCESS":
        client.later(b"UNLOCKCONTENT")


def _remove(client: Client, key: bytes, content: bytes) -> None:
    answer = client.ask(b"REMOVE " + key)
    assert answer.startswith(b"SUCCESS"), (answer, client.stderr)


SMALL: dict[str, Request] = {
    "PUT": _put,
    "CHECKPRESENT": _check,
    "GET": _get,
    "LOCKCONTENT": _lock,
    "REMOVE": _remove,
}


def _laps(topology: str) -> Iterator[Lap]:
    first, then = _small(f"{topology} first"), _small(topology)
    for request in SMALL.values():
        yield Lap("", request, first)
    yield Lap("nothing", _check, [])
    for name, request in SMALL.items():
        yield Lap(name, request, then)
    content = hashlib.shake_128(topology.encode()).digest(LARGE)
    large = [(sha256_key(content), content)]
    yield Lap("PUT" + A_MIB, _put, large, LARGE // MIB)
    yield Lap("GET" + A_MIB, _get, large, LARGE // MIB)


def _traced(home: Path, topology: str) -> tuple[list[Lap], Path]:
    """All laps, and the trace of a session that went through them."""
    trace = home / f"trace-{topology}"
    command = f"git-annex-shell p2pstdio gw {CLIENT_UUID} --uuid {TOPOLOGIES[topology]}"
    strace = ["strace", "-f", "-o", str(trace), "-s", "64", "-e", "signal=none"]
    argv = [*strace, *shell_argv("-c", command)]
    laps = list(_laps(topology))
    with Client(argv, cwd=home, env=environment(home)) as client:
        client.greet()
        for number, lap in enumerate(laps):
            assert client.ask(b"CHECKPRESENT " + MARK % number) == b"FAILURE"
            for key, content in lap.contents:
                lap.request(client, key, content)
        client.ask(b"CHECKPRESENT " + MARK % len(laps))
        ended = client.end()
        assert (ended.code, ended.err) == (0, ""), ended
    return laps, trace


# -- what it cost --------------------------------------------------------------------------


def _counted(trace: Path) -> list[Counter[str]]:
    """The calls of each lap by name; a lap begins with the call that reads its mark."""
    laps: list[Counter[str]] = [Counter()]
    with trace.open("rb") as lines:
        for line in lines:
            if MARK % (len(laps) - 1) in line:
                laps.append(Counter())
            call = _CALL.match(line)
            if call:
                laps[-1][call[1].decode()] += 1
    return laps[1:-1]


def _total(lap: Counter[str], names: frozenset[str]) -> int:
    return sum(count for name, count in lap.items() if name in names)


def _cost(lap: Counter[str], nothing: Counter[str], shares: int) -> Cost:
    def each(names: frozenset[str]) -> float:
        return (_total(lap, names) - _total(nothing, names)) / shares

    every = frozenset(lap | nothing) - NOISE
    return Cost(each(every - SYNCS), each(SYNCS), each(WAITS))


def make_home(home: Path) -> Path:
    """A home directory with a gateway of two nodes by path."""
    write_identity(home)
    make_gateway(home, {"n1": N1, "n2": N2})
    return home


def measured(home: Path, topology: str) -> Table:
    """What each request costs in a session with the gateway of ``make_home``."""
    laps, trace = _traced(home, topology)
    counts = _counted(trace)
    assert len(counts) == len(laps), counts
    named = {
        lap.name: (count, lap.shares)
        for lap, count in zip(laps, counts, strict=True)
        if lap.name
    }
    nothing, _ = named.pop("nothing")
    return {
        (topology, name): _cost(count, nothing, shares)
        for name, (count, shares) in named.items()
    }


# -- lowering the ceilings -----------------------------------------------------------------


def with_room(cost: Cost, name: str) -> tuple[float, float]:
    """The ceilings for a row: calls and syncs of a request; calls and waits of a MiB.

    A little above what was measured: who is faster decides about some calls. It decides
    about most of a MiB's: whoever finds the pipe full once a MiB waits once.
    """
    if name.endswith(A_MIB):
        calls, waits = cost.calls * 1.2 + 1, cost.waits * 1.2
        return max(8, math.ceil(calls)), max(1.5, math.ceil(waits * 10) / 10)
    return math.ceil(cost.calls * 1.1 + 1), math.ceil(cost.syncs)


def main(times: int = 3) -> None:
    """Print the ceilings that the most of some runs allows, and that beside them."""
    worst: Table = {}
    for _ in range(times):
        with tempfile.TemporaryDirectory() as place:
            home = make_home(Path(place).resolve())
            for topology in TOPOLOGIES:
                for row, cost in measured(home, topology).items():
                    worst[row] = cost.worst(worst.get(row, cost))
    for (topology, name), cost in worst.items():
        room = ", ".join(f"{number:g}" for number in with_room(cost, name))
        seen = f"{cost.calls:.1f}, {cost.syncs:.1f} syncs, {cost.waits:.1f} waits"
        print(f'    ("{topology}", "{name}"): ({room}),  # {seen}')


if __name__ == "__main__":
    main()
