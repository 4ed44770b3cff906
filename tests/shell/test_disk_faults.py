"""Any call on the disk may fail: never a traceback, never "internal error"."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broken_disk import Conversation, Disk, Fault, every_fault
from tests.support.shell import UUID_HERE, git, make_annex, write_identity

CLIENT = "c1c1c1c1-0000-4000-8000-000000000001"
CONTENT = b"some content"
KEY = b"SHA256-s%d--%s" % (len(CONTENT), hashlib.sha256(CONTENT).hexdigest().encode())
SESSION = b"""VERSION 4
CHECKPRESENT %(key)s
PUT f %(key)s
DATA 12
%(content)sVALID
CHECKPRESENT %(key)s
GET 0 f %(key)s
SUCCESS
LOCKCONTENT %(key)s
UNLOCKCONTENT
REMOVE %(key)s
GETTIMESTAMP
""" % {
    b"key": KEY,
    b"content": CONTENT,
}
MISTAKES = (b"Traceback", b"internal error", b"Error:", b"[Errno")


class World:
    """A repository of which each run gets a fresh copy."""

    def __init__(self, home: Path) -> None:
        self.template = home / "template"
        self.repository = home / "r.git"
        write_identity(home)
        make_annex(self.template)

    def every(self, said: bytes, *words: str) -> Iterator[tuple[bytes, str]]:
        """Output and complaints of the program, which fails at this call and at that."""
        out = b""

        def play(disk: Disk) -> tuple[int, str, bool]:
            nonlocal out
            argv = [words[0], str(self.repository), *words[1:]]
            conversation = Conversation(argv, disk)
            conversation.say(said)
            out = conversation.rest()
            return conversation.end()

        for turn, code in enumerate(CODES):
            fault = Fault(errno.errorcode[code], code)
            found = every_fault(
                self.template,
                self.repository,
                fault,
                play,
                first=turn,
                stride=STRIDE * len(CODES),
            )
            for _, complaints in found:
                for word in MISTAKES:
                    assert word not in out + complaints.encode(), (out, complaints)
                yield out, complaints


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "C")
    return World(tmp_path.resolve())


CODES = (errno.EIO, errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EDQUOT)
STRIDE = int(os.environ.get("ANNEXSHELL_FAULT_STRIDE", "7"))
"""1 tries every call, which takes minutes."""


def test_a_session_survives_any_one_failure(world: World) -> None:
    runs = 0
    for out, complaints in world.every(
        SESSION, "p2pstdio", CLIENT, "--uuid", UUID_HERE
    ):
        last = out.splitlines()[-1:]
        if last in ([], [b"AUTH-SUCCESS " + UUID_HERE.encode()]):
            # It never came to a request: the client can connect again.
            assert complaints.startswith("annexshell: "), (out, complaints)
        else:
            assert last[0].startswith(b"TIMESTAMP "), (out, complaints)
        runs += 1
    assert runs > 100 // STRIDE


def test_configlist_never_has_the_remote_ignored(world: World) -> None:
    git("-C", world.template, "config", "--unset", "annex.uuid")
    git("-C", world.template, "config", "--unset", "annex.version")
    runs = 0
    for out, complaints in world.every(b"", "configlist", "--", "autoinit=1", "--"):
        assert out, complaints
        if b"annex.uuid=" not in out:
            assert out.startswith(b"annexshell: ") and out.count(b"\n") == 1, out
        runs += 1
    assert runs > 50 // STRIDE
