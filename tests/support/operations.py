"""What a client may do in a session, as values that show how to do it again."""

from __future__ import annotations

import glob
import hashlib
import os
from typing import NamedTuple

import attrs
from hypothesis import strategies as st

from tests.support.twins import CLOSED, Talk, annex_dir

Answers = list[bytes]

SMALL = b"what is stored here\n"
MIDDLE = bytes((7 * number + 3) % 256 for number in range(5000))
LARGE = MIDDLE * 14 + b"end"


class Keyed(NamedTuple):
    """A key and the content that it is the key of, or passes for it."""

    text: bytes
    content: bytes

    @property
    def file_name(self) -> str:
        escaped = self.text
        for char, code in ((b"&", b"&a"), (b"%", b"&s"), (b":", b"&c"), (b"/", b"%")):
            escaped = escaped.replace(char, code)
        return os.fsdecode(escaped)


def digest_key(backend: str, content: bytes, size: int | None = None) -> bytes:
    length = len(content) if size is None else size
    name = backend.removesuffix("E").lower()
    return f"{backend}-s{length}--{hashlib.new(name, content).hexdigest()}".encode()


#: The first three have files in the work tree, where there is one.
KEYS = {
    "sha256e": Keyed(digest_key("SHA256E", SMALL), SMALL),
    "sha256e-middle": Keyed(digest_key("SHA256E", MIDDLE), MIDDLE),
    "sha256e-large": Keyed(digest_key("SHA256E", LARGE), LARGE),
    "empty": Keyed(digest_key("SHA256", b""), b""),
    "sha1": Keyed(digest_key("SHA1", MIDDLE), MIDDLE),
    "md5-unsized": Keyed(b"MD5--" + hashlib.md5(SMALL).hexdigest().encode(), SMALL),
    "worm": Keyed(b"WORM-s20-m1--a name", SMALL),
    "url": Keyed(b"URL--http://example.com/a%b", MIDDLE),
    "unknown": Keyed(b"FOO-s20--bar", SMALL),
    "chunk": Keyed(b"SHA256E-s5000-S20-C2--" + b"0" * 64, SMALL),
    "wrong-size": Keyed(digest_key("SHA256", SMALL, size=21), SMALL),
    "empty-worm": Keyed(b"WORM-s0-m1--nothing", b""),
}


#: The files of a work tree, the unlocked one last.
FILES = {
    "sha256e": ("d/locked", "unlocked"),
    "sha256e-middle": ("exec",),
    "sha256e-large": ("absent",),
}


class Facts(NamedTuple):
    """What one copy has of a key; None and an empty tuple where there is nothing.

    A partial file without a byte counts as none.
    """

    object: bytes | None
    partial: bytes | None
    promises: tuple[str, ...]
    files: tuple[bytes, ...]

    @classmethod
    def of(cls, talk: Talk, keyed: Keyed, files: tuple[str, ...] = ()) -> Facts:
        name, annex = keyed.file_name, annex_dir(talk.repo)
        found = list((annex / "objects").glob(f"**/{glob.escape(name)}*"))
        objects = [p.read_bytes() for p in found if p.name == name and p.is_file()]
        partial = annex / "tmp" / name
        stamps = (p.name.removeprefix(name) for p in found if p.is_file())
        paths = (talk.repo.path / file for file in files)
        return cls(
            objects[0] if objects else None,
            partial.read_bytes() or None if partial.exists() else None,
            tuple(sorted(stamp for stamp in stamps if stamp)),
            tuple(p.read_bytes() for p in paths if p.is_file()),
        )


@attrs.frozen
class Operation:
    """Something to do; ``key`` is a name in KEYS, or empty."""

    key: str

    @property
    def keyed(self) -> Keyed:
        return KEYS[self.key]

    def play(self, talk: Talk) -> Answers:
        """Do it, and give back what was answered."""
        raise NotImplementedError


@attrs.frozen
class Ask(Operation):
    """A request that is answered in one line."""

    word: str

    def play(self, talk: Talk) -> Answers:
        return [talk.ask(self.word.encode() + b" " + self.keyed.text)]


@attrs.frozen
class RemoveBefore(Operation):
    """REMOVE-BEFORE, so many seconds from the server's time."""

    seconds: int

    def play(self, talk: Talk) -> Answers:
        told = talk.ask(b"GETTIMESTAMP")
        now = int(told.removeprefix(b"TIMESTAMP "))
        # Nothing but the request itself is compared: the clock goes on.
        deadline = now + self.seconds
        return [talk.ask(b"REMOVE-BEFORE %d %b" % (deadline, self.keyed.text))]


@attrs.frozen
class Lock(Operation):
    """LOCKCONTENT, and what comes after it; perhaps somebody else's REMOVE meanwhile."""

    then: str
    contended: bool

    def play(self, talk: Talk) -> Answers:
        answers = [talk.ask(b"LOCKCONTENT " + self.keyed.text)]
        if answers != [b"SUCCESS"]:
            return answers
        if self.contended:
            with talk.another() as other:
                told = other.ask(b"REMOVE " + self.keyed.text) or CLOSED
                talk.note("<< (another)", told)
                answers.append(told)
        if self.then == "unlock":
            talk.say(b"UNLOCKCONTENT")
        elif self.then == "another request":
            answers.append(talk.ask(b"CHECKPRESENT " + self.keyed.text))
        else:
            talk.end()
        # The next answer shows that what came before is over.
        return [*answers, talk.ask(b"CHECKPRESENT " + self.keyed.text)]


@attrs.frozen
class Get(Operation):
    """GET from a part of the content, in thousandths."""

    part: int
    acknowledge: bytes

    def play(self, talk: Talk) -> Answers:
        offset = len(self.keyed.content) * self.part // 1000
        answer = talk.ask(b"GET %d a%%file %b" % (offset, self.keyed.text))
        if not answer.startswith(b"DATA "):
            return [answer]
        answers = [answer, talk.take(int(answer.split()[1]))]
        if talk.version > 0:
            answers.append(talk.hear())
        if answers[-1] != CLOSED:
            talk.say(self.acknowledge)
            if not self.acknowledge.startswith((b"SUCCESS", b"FAILURE")):
                answers.append(talk.hear())
        return answers


PUTS = (
    "good",
    "good",
    "good",
    "bad",
    "short",
    "long",
    "invalid",
    "bad and invalid",
    "no verdict",
    "nothing",
    "present",
    "error",
    "out of turn",
    "lost",
    "lost",
    "lost verdict",
)


@attrs.frozen
class Put(Operation):
    """PUT, with data that is right or wrong in some way."""

    how: str

    def play(self, talk: Talk) -> Answers:
        offer = talk.ask(b"PUT a%%file %b" % self.keyed.text)
        if not offer.startswith(b"PUT-FROM "):
            if offer.startswith(b"ERROR "):
                # As git-annex's clients answer it.
                talk.say(b"ERROR expected PUT_FROM or ALREADY_HAVE")
                return [offer, talk.ask(b"CHECKPRESENT " + self.keyed.text)]
            return [offer]
        rest = self.data()[int(offer.split()[1]) :]
        return [offer, *self._send(talk, rest)]

    def data(self) -> bytes:
        """All that would be sent from offset 0."""
        good = self.keyed.content
        if self.how in ("bad", "bad and invalid"):
            return good[:-1] + b"!" if good else b"!"
        if self.how == "short":
            return good[: len(good) // 2]
        return good + b"more" if self.how == "long" else good

    def _send(self, talk: Talk, rest: bytes) -> Answers:
        if self.how == "present":
            return [talk.ask(b"DATA-PRESENT")]
        if self.how == "out of turn":
            return [talk.ask(b"CHECKPRESENT " + self.keyed.text)]
        if self.how == "error":
            talk.say(b"ERROR cannot read it")
            return []
        if self.how == "nothing":
            rest = b""
        talk.send(b"DATA %d\n" % len(rest))
        if self.how == "lost":
            talk.send(rest[: len(rest) * 2 // 3])
            talk.end()
            return []
        talk.send(rest)
        return self._verdict(talk)

    def _verdict(self, talk: Talk) -> Answers:
        if talk.version == 0:
            return [talk.hear()]
        if self.how == "lost verdict":
            talk.end()
            return []
        if self.how == "no verdict":
            # Two answers: about the line, and about the content.
            return [talk.ask(b"CHECKPRESENT " + self.keyed.text), talk.hear()]
        doubted = self.how in ("invalid", "bad and invalid", "nothing")
        return [talk.ask(b"INVALID" if doubted else b"VALID")]


@attrs.frozen
class Again(Operation):
    """The session ends in order, and a new one of some version begins."""

    version: int

    def play(self, talk: Talk) -> Answers:
        talk.end()
        talk.version = self.version
        return [talk.ask(b"GETTIMESTAMP")[:9]]


@attrs.frozen
class Edit(Operation):
    """Somebody writes to an unlocked file, which with annex.thin is the object."""

    file: str
    content: bytes

    def play(self, talk: Talk) -> Answers:
        path = talk.repo.path / self.file
        if path.is_symlink() or not path.exists():
            return []
        if path.read_bytes().startswith(b"/annex/objects/"):
            # git-annex would take an edited pointer in when it refreshes the index.
            return []
        talk.note(
            "##", b"somebody writes %b to %b" % (self.content, self.file.encode())
        )
        with path.open("r+b") as file:
            file.write(self.content)
        # As git-annex's own tests do it: a change within the same second is seen.
        os.utime(path, (1_700_000_000, 1_700_000_000))
        return []


@attrs.frozen
class Damage(Operation):
    """A disk loses the end of an object."""

    def play(self, talk: Talk) -> Answers:
        name = glob.escape(self.keyed.file_name)
        for path in annex_dir(talk.repo).glob(f"objects/**/{name}"):
            if path.is_file() and len(self.keyed.content) > 1:
                talk.note("##", b"the object is cut short")
                mode = path.stat().st_mode
                path.chmod(0o644)
                os.truncate(path, 1)
                path.chmod(mode)
        return [talk.ask(b"CHECKPRESENT " + self.keyed.text)]


_names = st.sampled_from(list(KEYS))
_usual = st.sampled_from(["sha256e", "sha256e", "sha256e-middle", "sha256e-large"])
_keys = st.one_of(_usual, _names)
_asks = st.builds(Ask, _keys, st.sampled_from(["CHECKPRESENT", "REMOVE", "REMOVE"]))
_puts = st.builds(Put, _keys, st.sampled_from(PUTS))
_gets = st.builds(
    Get,
    _keys,
    st.sampled_from([0, 0, 500, 1000, 2000]),
    st.sampled_from([b"SUCCESS", b"SUCCESS", b"FAILURE", b"VALID", b"nonsense"]),
)
_locks = st.builds(
    Lock,
    _keys,
    st.sampled_from(["unlock", "unlock", "unlock", "another request", "end"]),
    st.sampled_from([False, False, True]),
)
_others = st.one_of(
    st.builds(RemoveBefore, _keys, st.sampled_from([0, 600])),
    st.builds(Again, st.just("sha256e"), st.sampled_from([0, 1, 2, 3, 4, 4])),
    st.builds(Damage, _keys),
    st.builds(
        lambda key, content: Edit(key, FILES[key][-1], content),
        st.sampled_from(["sha256e", "sha256e-middle"]),
        st.sampled_from([b"WHAT IS STORED HERE\n", b"edited"]),
    ),
)
operations: st.SearchStrategy[Operation] = st.one_of(
    _puts, _puts, _puts, _asks, _asks, _gets, _locks, _others
)
