"""Generated repositories: who is in which group, has how much room, wants what."""

from __future__ import annotations

import base64
import hashlib
import random
from collections import Counter
from collections.abc import Sequence

import attrs

from annexshell.logs.equivalent import equivalent_path
from annexshell.logs.location import location_path
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from tests.support.expressions import FIELDS, FOLDERS, KINDS, NAMES, VALUES, Terms
from tests.support.preferred import HERE, Line, Question, Scenario

WEB = UUID(b"00000000-0000-0000-0000-000000000001")
GROUPS = (
    *("A", "B", "archive", "smallarchive", "backup", "client", "transfer", "manual"),
    *("incrementalbackup", "source", "public", "unwanted", "trusted", "dead", "+"),
    *(
        "semitrusted+",
        "Trusted",
        "b\u00e4r",
        "x=y",
        "g:1",
        "bad\udcff",
        "lackingcopies",
    ),
)
BACKENDS = (
    *(b"SHA256E", b"SHA256E", b"SHA256E", b"SHA256", b"SHA1", b"MD5E", b"WORM", b"URL"),
    *(b"VURL", b"VURL", b"SHA3_256E", b"SKEIN256", b"BLAKE2B256E", b"BLAKE3", b"XXH3"),
    *(
        b"XFOO",
        b"FOO",
        b"SHA512E",
        b"BLAKE2SP224",
        b"SHA224",
        b"SHA3_384",
        b"GITBUNDLE",
    ),
)
KEY_SIZES = (0, 1, 9, 10, 50, 99, 100, 101, 1000, 1001, 5000, 10**6, 2**40, 10**21)
CLOCKS = (b"1000s", b"1700000000s", b"1700000000.157237s", b"5s", b"1000s", b"-5.25s")
URLS = (
    b"http://example.com/foo",
    b"https://example.com/a b",
    b"yt:http://x.example/v",
    b":ipfs:xyz",
    b"quvi:http://example.com/q",
    b"HTTP://EXAMPLE.COM/",
    b"magnet:?xt=\\it's",
    b"http://\xc3\xa9.example/[a]",
)
THRESHOLDS = ("90", "50", "0", "100", "12.5", "150", "99.9")
NUMCOPIES = (b"1", b"2", b"2", b"3", b"0", b"-1", b" 3", b"3x", b"0x2", b"foo", b"3.5")
ATTRIBUTES = ("=2", "=3", "=0", "=-1", "=x", "=2x", "", "=1", "=4")


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@attrs.define
class Maker:
    """What is made so far of one repository."""

    dice: random.Random
    nodes: list[UUID] = attrs.field(factory=list)
    unknown: list[UUID] = attrs.field(factory=list)
    clusters: list[UUID] = attrs.field(factory=list)
    groups: list[str] = attrs.field(factory=list)
    keys: list[Key] = attrs.field(factory=list)
    lines: list[Line] = attrs.field(factory=list)
    held: dict[UUID, int] = attrs.field(factory=dict)
    sizes: Sequence[int | None] = KEY_SIZES
    fields: Sequence[str] = FIELDS
    values: Sequence[str] = VALUES

    def often(self, chance: float) -> bool:
        return self.dice.random() < chance

    def some(self, many: Sequence[UUID], chance: float) -> list[UUID]:
        return [uuid for uuid in many if self.often(chance)]

    @property
    def everybody(self) -> list[UUID]:
        return [*self.nodes, HERE, *self.unknown]

    def make_uuids(self) -> None:
        def new() -> bytes:
            text = f"{self.dice.getrandbits(128):032x}"
            return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}".encode()

        def cluster() -> bytes:
            text = new()
            return b"ac" + text[2:14] + b"8" + text[15:]

        self.nodes = [UUID(new()) for _ in range(self.dice.randrange(3, 7))]
        self.unknown = [UUID(new()) for _ in range(self.dice.randrange(3))]
        count = self.dice.choice((0, 0, 1, 1, 2))
        self.clusters = [UUID(cluster()) for _ in range(count)]

    def old_map(self, path: bytes, uuid: UUID, value: bytes) -> None:
        """A line of the old form, at times with older ones that lose to it, or no clock."""
        if self.often(0.05):
            self.lines.append((path, uuid + b" stale timestamp=0.5s"))
        if self.often(0.05):
            self.lines.append((path, uuid + b" " + value))
            return
        clock = self.dice.choice(CLOCKS[:3])
        self.lines.append((path, b"%b %b timestamp=%b" % (uuid, value, clock)))
        if self.often(0.03):
            self.lines.append((path, b"garbage"))

    def new_map(self, path: bytes, field: bytes, value: bytes) -> None:
        """A line of the new form, at times with one that loses to it."""
        if self.often(0.05):
            self.lines.append((path, b"0.5s %b 7" % field))
        clock = self.dice.choice(CLOCKS[:3])
        self.lines.append((path, b"%b %b %b" % (clock, field, value)))
        if self.often(0.02):
            self.lines.append((path, b"1e3 %b 9" % field))

    def make_repositories(self) -> None:
        for uuid in [*self.nodes, HERE, *self.some(self.clusters, 0.7)]:
            self.lines.append((b"uuid.log", uuid + b" described timestamp=1s"))
        chance = self.dice.choice((0.0, 0.2, 0.5))
        for uuid in self.some([*self.everybody, *self.clusters], chance):
            level = self.dice.choice((b"1", b"0", b"X", b"?", b"X", b"", b"z", b"1 1"))
            self.old_map(b"trust.log", uuid, level)
        for cluster in self.clusters:
            members = self.some([*self.everybody, *self.clusters], 0.45)
            self.new_map(b"cluster.log", cluster, b" ".join(members))

    def make_tastes(self) -> None:
        """A repository has few sizes and values, so that terms meet what they look for."""
        if self.often(0.8):
            self.sizes = self.dice.choice(
                ((100, 101, 10, 0, None), (1000, 1001), (50, 1))
            )
        self.fields = self.dice.sample(FIELDS, 2)
        self.values = self.dice.sample(VALUES, 6)

    def make_terms(self, paths: Sequence[str]) -> Terms:
        kinds: Sequence[str] = KINDS
        if self.often(0.7):
            kinds = self.dice.sample(KINDS, self.dice.randrange(2, 6))
        backends = [key.backend.decode() for key in self.keys]
        return Terms(
            self.dice, self.groups, paths, kinds, backends, self.fields, self.values
        )

    def make_groups(self) -> None:
        self.groups = ["G", *self.dice.sample(GROUPS, self.dice.randrange(1, 5))]
        chance = self.dice.choice((0.3, 0.5, 0.7, 0.9))
        for uuid in [*self.everybody, *self.some(self.clusters, 0.2)]:
            chosen = [group for group in self.groups if self.often(chance)]
            if chosen or self.often(0.2):
                space = b"  " if self.often(0.05) else b" "
                self.old_map(b"group.log", uuid, space.join(map(raw, chosen)))

    def make_key(self) -> Key:
        backend = self.dice.choice(BACKENDS)
        size = self.dice.choice(self.sizes)
        name = hashlib.sha256(self.dice.randbytes(8)).hexdigest().encode()
        if backend in (b"WORM", b"URL", b"XFOO", b"FOO") and self.often(0.7):
            odd = (
                b"a b",
                b"x/y%z",
                b"caf\xc3\xa9",
                b"&a:b",
                b"bad\xff",
                b"--x",
                b"it's",
            )
            name = name[:6] + self.dice.choice(odd)
        elif backend.endswith(b"E"):
            name += self.dice.choice((b".dat", b".mp3", b"", b".tar.gz"))
        mtime = 1700000000 if backend == b"WORM" and self.often(0.5) else None
        return Key(backend=backend, name=name, size=size, mtime=mtime)

    def make_locations(self) -> None:
        self.keys = [self.make_key() for _ in range(self.dice.randrange(4, 11))]
        ballast = [self.make_key() for _ in range(self.dice.randrange(4))]
        for key in self.keys + ballast:
            chance = self.dice.choice((0.0, 0.2, 0.4, 0.4, 0.7, 1.0))
            holders = self.some([*self.everybody, WEB], chance)
            holders += self.some(self.clusters, 0.05)
            path = location_path(key)
            for uuid in holders:
                self._locate(path, uuid, key)
            if key in self.keys:
                self._describe(path, key)

    def _locate(self, path: bytes, uuid: UUID, key: Key) -> None:
        status = self.dice.choice((b"1",) * 8 + (b"0", b"X"))
        clock = self.dice.choice(CLOCKS)
        self.lines.append((path, b"%b %b %b" % (clock, status, uuid)))
        if self.often(0.06):
            other = self.dice.choice((b"0", b"1"))
            clock = self.dice.choice(CLOCKS)
            self.lines.append((path, b"%b %b %b" % (clock, other, uuid)))
        if status == b"1":
            self.held[uuid] = self.held.get(uuid, 0) + (key.size or 0)

    def _describe(self, path: bytes, key: Key) -> None:
        if self.often(0.6):
            for _ in range(self.dice.randrange(1, 4)):
                self.lines.append((path + b".met", self._metadata()))
        if self.often(0.35) or key.backend in (b"URL", b"VURL"):
            for url in self.dice.sample(URLS, self.dice.randrange(3)):
                status = self.dice.choice((b"1", b"1", b"1", b"0"))
                self.lines.append((path + b".web", b"1000s %b %b" % (status, url)))
        if key.backend == b"VURL" and self.often(0.6):
            for _ in range(self.dice.randrange(1, 3)):
                status = self.dice.choice((b"1", b"1", b"1", b"0"))
                text = self.make_key().text
                line = b"1000s %b %b" % (status, text)
                self.lines.append((equivalent_path(key), line))

    def _metadata(self) -> bytes:
        words = [self.dice.choice(CLOCKS)]
        for _ in range(self.dice.randrange(1, 4)):
            field = raw(self.dice.choice(self.fields))
            words.append(self.dice.choice((field, field, field.upper())))
            for _ in range(self.dice.choice((1, 1, 2, 3))):
                sign = self.dice.choice((b"+", b"+", b"+", b"-"))
                words.append(sign + self._value())
        return b" ".join(words)

    def _value(self) -> bytes:
        value = raw(self.dice.choice((*self.values, "Jane Smith", "two\nlines")))
        if b" " in value or b"\n" in value or value.startswith(b"!") or self.often(0.1):
            return b"!" + base64.b64encode(value)
        return value

    def make_room(self) -> None:
        """Limits near to what is there, or to what would be with one key more."""
        sizes = [key.size or 0 for key in self.keys]
        chance = self.dice.choice((0.0, 0.4, 0.8, 1.0))
        for uuid in self.some([*self.everybody, *self.clusters], chance):
            held = self.held.get(uuid, 0)
            limit = self.dice.choice(
                (
                    held,
                    held + self.dice.choice(sizes),
                    held + self.dice.choice(sizes) - 1,
                    held + self.dice.choice(sizes),
                    held * 2 + 100,
                    held * 3 + 1000,
                    held * 3 // 2 + 300,
                    1000,
                    held + 10**6,
                    10**22,
                    self.dice.choice((0, 0, -5, 1)),
                )
            )
            text = b"%d" % limit
            if self.often(0.03):
                text = self.dice.choice(
                    (b"0x10", b"100k", b" 100", b"1.5", b"1e3", b"x")
                )
            self.new_map(b"maxsize.log", uuid, text)

    def make_numcopies(self) -> None:
        for _ in range(self.dice.choice((0, 1, 1, 1, 2))):
            clock, number = self.dice.choice(CLOCKS), self.dice.choice(NUMCOPIES)
            self.lines.append((b"numcopies.log", clock + b" " + number))

    def make_directories(self) -> None:
        names = ("docs", "public", "doc&32;s", "b\u00e4r", "a", "", "it's", "a/public")
        for uuid in self.some(self.nodes, 0.25):
            value = b"encryption=none name=n%b type=directory" % uuid[:4]
            if self.often(0.8):
                value = (
                    b"encryption=none exporttree=yes name=n%b preferreddir=%b type=directory"
                    % (
                        uuid[:4],
                        raw(self.dice.choice(names)),
                    )
                )
            self.old_map(b"remote.log", uuid, value)

    def make_paths(self) -> list[str]:
        found: list[str] = []
        for _ in range(self.dice.randrange(5, 13)):
            name = self.dice.choice(NAMES)
            path = f"{self.dice.choice(FOLDERS)}/{name}" if self.often(0.5) else name
            taken = any(
                path == other
                or path.startswith(f"{other}/")
                or other.startswith(f"{path}/")
                for other in found
            )
            if not taken:
                found.append(path)
        return found

    def make_wishes(self, terms: Terms) -> None:
        for uuid in [*self.nodes, HERE, *self.some(self.clusters, 0.5)]:
            if self.often(0.95):
                self.old_map(b"preferred-content.log", uuid, raw(terms.expression()))
            if self.often(0.2):
                self.old_map(b"required-content.log", uuid, raw(terms.expression()))
        for group in self.groups:
            if self.often(0.5):
                text = raw(terms.expression())
                self.new_map(b"group-preferred-content.log", raw(group), text)

    def make_attributes(self) -> list[bytes]:
        patterns = (
            "*",
            "*.mp3",
            "foo",
            "a/**",
            "archive/*",
            "b\u00e4r",
            "/foo",
            "public/",
        )
        return [
            raw(
                f"{self.dice.choice(patterns)} {self.dice.choice(('', '', '', '', '-', '!'))}"
                f"annex.numcopies{self.dice.choice(ATTRIBUTES)}"
            )
            for _ in range(self.dice.choice((0, 0, 1, 2, 3)))
        ]


def scenario(seed: int) -> Scenario:
    """The repository that this number stands for."""
    maker = Maker(random.Random(seed))
    dice = maker.dice
    maker.make_uuids()
    maker.make_repositories()
    maker.make_tastes()
    maker.make_groups()
    maker.make_locations()
    maker.make_room()
    maker.make_numcopies()
    maker.make_directories()
    paths = maker.make_paths()
    maker.make_wishes(maker.make_terms(paths))
    branch, journal = divided(maker)
    config = [("annex.alwayscommit", "false")] if dice.random() < 0.5 else []
    if dice.random() < 0.5:
        config.append(("annex.fullybalancedthreshhold", dice.choice(THRESHOLDS)))
    return Scenario(
        branch=tuple(branch),
        journal=tuple(journal),
        files=tuple((raw(path), dice.choice(maker.keys)) for path in paths),
        attributes=tuple(maker.make_attributes()),
        objects=tuple(key for key in maker.keys if dice.random() < 0.3),
        config=tuple(config),
        rebalance=dice.random() < 0.3,
    )


def divided(maker: Maker) -> tuple[list[Line], list[Line]]:
    """What the branch has, and what waits in the journal: newer texts of some logs.

    A journal file has all that the branch has, and lines of another time. What two lines
    of one time say is for git-annex the journal's word, and for us what both come to.
    """
    dice = maker.dice
    if dice.random() < 0.6:
        return maker.lines, []
    paths = sorted({path for path, _ in maker.lines} - {b"uuid.log"})
    waiting = {path for path in paths if dice.random() < 0.3}
    told = Counter((path, text[-36:]) for path, text in maker.lines)
    branch = [
        (path, text)
        for path, text in maker.lines
        if path not in waiting or (told[path, text[-36:]] == 1 and dice.random() < 0.5)
    ]
    return branch, [line for line in maker.lines if line[0] in waiting]


def questions(made: Scenario) -> list[Question]:
    """Those who are asked: all that are described, to get and to drop."""
    described = [text[:36] for path, text in made.branch if path == b"uuid.log"]
    return [Question(UUID(uuid), drop) for uuid in described for drop in (False, True)]
