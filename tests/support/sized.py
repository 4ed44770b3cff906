"""Location logs, usual and odd ones, and what repositories hold by them, summed plainly."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

from annexshell.errors import MalformedKey
from annexshell.logs.location import holders, location_path
from annexshell.logs.mapped import descriptions
from annexshell.model.ids import UUID, is_cluster_uuid
from annexshell.model.key import Key, from_file_name
from tests.support.branches import ODD, presence_line
from tests.support.repositories import U1, U2, U3

U4 = UUID(b"44444444-4444-4444-8444-444444444444")
HASH = b"c0ffee" * 10

KEYS = [
    *(Key(b"SHA256E", HASH + b"%d.tar.gz" % n, size=10**n) for n in range(12)),
    Key(b"URL", b"http&c%%example.com%a"),
    Key(b"WORM", b"a/b:c&d%e", size=3 * 10**12),
    Key(b"WORM", b"chunked", size=5 * 10**12, chunk_size=1000, chunk_number=2),
    Key(b"WORM", b"dated", size=7 * 10**12, mtime=5),
    Key(b"odd Backend", b"\xff", size=9 * 10**12),
    Key(b"X", b"huge", size=10**30),
]
NO_LOGS = [
    b"000/000/WORM-s100000000000000--elsewhere.log",
    b"a/b/WORM-s200000000000000--elsewhere.log",
    b"205/WORM-s300000000000000--one-level.log",
    b"WORM-s400000000000000--top.log",
    b"a/b/c/WORM-s500000000000000--deep.log",
    b"123/456/garbage.log",
    b"000/000/WORM-s600000000000000--x.log.met",
    b"000/000/.log",
]
"""Paths whose files say nothing about any key."""


def log_text(dice: random.Random) -> bytes:
    """A location log: mostly of one plain line for each of some repositories."""
    fate = dice.random()
    if fate < 0.6:
        uuids = dice.sample((U1, U2, U3, U4), dice.randrange(5))
        return b"".join(
            b"%d%bs %d %b\n"
            % (dice.randrange(2000), dice.choice((b"", b".5")), dice.random() < 0.7, u)
            for u in uuids
        )
    odd = (dice.choice(ODD), b"\0", b"1s 1 %b x" % U1)
    lines = [
        presence_line(dice) if dice.random() < 0.8 else dice.choice(odd)
        for _ in range(dice.randrange(6))
    ]
    return b"\n".join(lines) + dice.choice((b"\n", b"\n", b"", b"\r\n"))


def branch_files(dice: random.Random, *, one_level: bool = False) -> dict[bytes, bytes]:
    """The files of a branch: any of ``KEYS`` and of ``NO_LOGS``, and a uuid.log."""
    paths = [location_path(key, one_level=one_level) for key in KEYS] + NO_LOGS
    some = dice.sample(paths, dice.randrange(len(paths) + 1))
    known = dice.sample((U1, U2, U3), dice.randrange(4))
    uuids = b"".join(b"%b described timestamp=1s\n" % uuid for uuid in known)
    return {path: log_text(dice) for path in some} | {b"uuid.log": uuids}


def plainly(
    files: Mapping[bytes, bytes], *, one_level: bool = False
) -> dict[UUID, int]:
    """What each repository holds, one log after the other."""
    sizes: Counter[UUID] = Counter()
    for path, content in files.items():
        try:
            key = from_file_name(path.rpartition(b"/")[2].removesuffix(b".log"))
        except MalformedKey:
            continue
        if location_path(key, one_level=one_level) == path:
            for uuid in holders(content):
                sizes[uuid] += 0 if is_cluster_uuid(uuid) else key.size or 0
    known = dict.fromkeys(descriptions(files.get(b"uuid.log", b"")), 0)
    return known | {uuid: size for uuid, size in sizes.items() if size}
