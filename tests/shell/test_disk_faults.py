"""Any call on the disk may fail: never a traceback, never "internal error"."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from annexshell.cli.shell import main
from tests.support.erring import Ended, Failing
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
    """A repository that is put back as it was before each run."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.repository = home / "r.git"
        self.scratch = home / "scratch"
        self.scratch.mkdir()
        write_identity(home)
        make_annex(self.repository)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("LC_ALL", "C")

    def failing(self, said: bytes, *words: str) -> Failing:
        """The shell run with ``words`` after the directory, on a fresh repository."""
        fresh = self.home / "fresh"
        if not fresh.exists():
            shutil.copytree(self.repository, fresh)

        def program() -> int:
            sys.argv = ["annexshell", words[0], str(self.repository), *words[1:]]
            return main()

        return Failing(program, self.repository, self.scratch, said)

    def restore(self) -> None:
        shutil.rmtree(self.repository)
        shutil.copytree(self.home / "fresh", self.repository)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path.resolve(), monkeypatch)


def no_mistake(ended: Ended) -> None:
    for word in MISTAKES:
        assert word not in ended.out + ended.err, ended


CODES = (errno.EIO, errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EDQUOT)
STRIDE = int(os.environ.get("ANNEXSHELL_FAULT_STRIDE", "7"))
"""1 tries every call, which takes minutes."""


def test_a_session_survives_any_one_failure(world: World) -> None:
    failing = world.failing(SESSION, "p2pstdio", CLIENT, "--uuid", UUID_HERE)
    runs = 0
    for ended in failing.every(*CODES, stride=STRIDE):
        no_mistake(ended)
        if ended.code:
            # It never came to a request: the client can connect again.
            assert ended.code == 255 and ended.out.count(b"\n") <= 1, ended
            assert ended.err.startswith(b"annexshell: "), ended
        else:
            assert ended.out.splitlines()[-1].startswith(b"TIMESTAMP "), ended
        world.restore()
        runs += 1
    assert runs > 100 // STRIDE


def test_configlist_never_has_the_remote_ignored(world: World) -> None:
    git("-C", world.repository, "config", "--unset", "annex.uuid")
    git("-C", world.repository, "config", "--unset", "annex.version")
    failing = world.failing(b"", "configlist", "--", "autoinit=1", "--")
    runs = 0
    for ended in failing.every(*CODES, stride=STRIDE):
        no_mistake(ended)
        assert ended.code == 0 and ended.out, ended
        if b"annex.uuid=" not in ended.out:
            assert ended.out.startswith(b"annexshell: "), ended
            assert ended.out.count(b"\n") == 1, ended
        world.restore()
        runs += 1
    assert runs > 50 // STRIDE
