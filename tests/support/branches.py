"""git-annex branches with generated logs: many files in one commit, by fast-import.

Each file is one case of merging, so that a single run of git-annex decides hundreds.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

import attrs

from annexshell.logs.location import location_path
from annexshell.model.key import Key
from tests.support.repositories import U1, U2, U3, Repo

Files = Mapping[bytes, bytes | None]
"""Contents by path; None where the file is deleted."""

CLOCKS = (
    b"1000s",
    b"1000s",
    b"1000.0s",
    b"+01000s",
    b"1000",
    b"999.5s",
    b"1000.000000000001s",
    b"1000.0000000000019s",
    b"1001s",
    b"0s",
    b"-5.25s",
    b"1700000000.157237s",
    b"99999999999999999999s",
)
UUIDS = (U1, U2, U3)
ODD = (
    b"garbage",
    b"1000s 1",
    b"1000s 1 ",
    b"1000.s 1 %b" % U1,
    b"1e3 1 %b" % U2,
    b" 1000s 1 %b" % U3,
    b"1000s  1 %b" % U1,
    b"1000s 2 %b" % U2,
    b"\xff\xfe caf\xc3\xa9",
    b"",
)


def presence_line(dice: random.Random) -> bytes:
    status = dice.choice((b"1", b"0", b"1", b"0", b"X"))
    return b"%b %b %b" % (dice.choice(CLOCKS), status, dice.choice(UUIDS))


def new_map_line(dice: random.Random) -> bytes:
    value = dice.choice((b"", b"a", b"a b", b" a", b"b", b"%b:node" % U2, U3))
    return b"%b %b %b" % (dice.choice(CLOCKS), dice.choice(UUIDS), value)


def old_map_line(dice: random.Random) -> bytes:
    value = dice.choice(
        (b"", b"a", b"a timestamp=3s", b"X", b"1", b"name=a encryption=none")
    )
    line = b"%b %b" % (dice.choice(UUIDS), value)
    stamp = dice.choice((b" timestamp=%b" % dice.choice(CLOCKS), b"", b" timestamp=x"))
    return line + (stamp or b" timestamp=%b" % dice.choice(CLOCKS))


def single_line(dice: random.Random) -> bytes:
    return b"%b %d" % (dice.choice(CLOCKS), dice.randrange(4))


LINES = (presence_line, new_map_line, old_map_line, single_line)


@attrs.frozen
class Case:
    """One file of the branch: at the fork, on our side, and on the others'."""

    base: bytes | None
    sides: tuple[bytes | None, ...]


def text(dice: random.Random, kind: int, pool: list[bytes]) -> bytes:
    """A log that shares some lines with ``pool``, which it adds its own to."""
    lines = [line for line in pool if dice.random() < 0.6]
    for _ in range(dice.randrange(4)):
        lines.append(LINES[kind](dice) if dice.random() < 0.8 else dice.choice(ODD))
    dice.shuffle(lines)
    pool += lines
    end = dice.choice((b"\n", b"\n", b"\n", b"\r\n"))
    whole = b"".join(line + end for line in lines)
    return whole[: -len(end)] if whole and dice.random() < 0.15 else whole


def case(dice: random.Random, kind: int, sides: int) -> Case:
    """A file that some of the sides have, have changed, or have deleted."""
    pool: list[bytes] = []
    base = text(dice, kind, pool) if dice.random() < 0.6 else None
    found: list[bytes | None] = []
    for _ in range(sides):
        fate = dice.random()
        if fate < 0.2:
            found.append(base)
        elif fate < 0.3:
            found.append(None)
        else:
            found.append(text(dice, kind, pool))
    return Case(base, tuple(found))


def keys(count: int) -> list[Key]:
    return [Key(b"WORM", b"generated-%d" % number, size=1) for number in range(count)]


def cases(seed: int, count: int, sides: int) -> dict[bytes, Case]:
    """Location logs of ``keys(count)``, as many other logs, and some of the root's own."""
    dice = random.Random(seed)
    found = {location_path(key): case(dice, 0, sides) for key in keys(count)}
    for number in range(count):
        kind = number % len(LINES)
        suffix = (b".log.web", b".log.rmt", b".log.odd", b".log.cnk")[kind]
        path = b"%03d/%03d/case-%d%b" % (number, number, number, suffix)
        found[path] = case(dice, kind, sides)
    root = {b"uuid.log": 2, b"group.log": 2, b"proxy.log": 1, b"numcopies.log": 3}
    return found | {path: case(dice, kind, sides) for path, kind in root.items()}


def import_commit(repo: Repo, ref: str, files: Files, parent: str | None) -> str:
    """A commit on ``ref`` with the parent's files, changed as told; its id."""
    start = [b"commit %b\n" % ref.encode(), b"committer peer <p@example.com> 1 +0000\n"]
    start.append(b"data 4\npeer\n")
    if parent is not None:
        start.append(b"from %b\n" % parent.encode())
    stream = b"".join([*start, *_changes(files.items()), b"\ndone\n"])
    repo.git("fast-import", "--quiet", "--force", "--done", stdin=stream)
    return repo.tip(ref)


def _changes(files: Iterable[tuple[bytes, bytes | None]]) -> Iterable[bytes]:
    for path, content in files:
        if content is None:
            yield b"D %b\n" % path
        else:
            yield b"M 100644 inline %b\ndata %d\n%b\n" % (path, len(content), content)


def contents(repo: Repo, ref: str) -> dict[bytes, bytes]:
    """Every file of a branch."""
    listed = repo.git("ls-tree", "-r", "-z", "--full-tree", ref).split(b"\0")
    entries = [entry.partition(b"\t") for entry in listed if entry]
    ids = [about.split()[2] for about, _, _ in entries]
    raw = repo.git("cat-file", "--batch", stdin=b"".join(i + b"\n" for i in ids))
    found = {}
    for _, _, path in entries:
        head, _, raw = raw.partition(b"\n")
        size = int(head.split()[2])
        found[path], raw = raw[:size], raw[size + 1 :]
    return found
