"""A P2P session spoken by hand: what a client says and hears, line by line.

Every wait has a limit: a server that hangs fails the test, it does not hang with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.client import Repo
from tests.support.process import LIMIT, Result, Word, kill_session, start, text
from tests.support.sshserver import SshServer
from tests.support.world import World

#: A client's uuid, as it stands in the p2pstdio command line.
CLIENT_UUID = "c1c1c1c1-0000-4000-8000-000000000001"
CHUNK = 1 << 20
#: Seconds without an answer after which a server is taken to hang.
WAIT = 60.0


class SessionHung(AssertionError):
    """The server neither answered nor closed within the limit."""


def sha256_key(content: bytes) -> bytes:
    """The SHA256 key of some content."""
    digest = hashlib.sha256(content).hexdigest()
    return f"SHA256-s{len(content)}--{digest}".encode()


def p2pstdio(path: Path, uuid: str, client: str = CLIENT_UUID) -> str:
    """The command line git-annex sends for a session (spec 01 §3)."""
    return f"git-annex-shell 'p2pstdio' '{path}' '{client}' --uuid {uuid}"


class Session:
    """A program that speaks the protocol on its stdin and stdout."""

    def __init__(
        self, argv: Sequence[Word], *, cwd: Path, env: Mapping[str, str]
    ) -> None:
        self.argv = tuple(text(os.fsencode(word)) for word in argv)
        self._log = cwd / f"stderr-{time.monotonic_ns()}"
        with self._log.open("wb") as log:
            self.process = start(argv, cwd=cwd, env=env, stderr=log.fileno())
        assert self.process.stdin is not None and self.process.stdout is not None
        self._in = self.process.stdin.fileno()
        self._out = self.process.stdout.fileno()
        os.set_blocking(self._in, False)
        self._held = b""
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        kill_session(self.process)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        return text(self._log.read_bytes())

    # -- speaking ------------------------------------------------------------------

    def write(self, raw: bytes) -> int:
        """Write bytes; how many went out before the server closed its end."""
        view = memoryview(raw)
        deadline = time.monotonic() + LIMIT
        while view:
            _, ready, _ = select.select([], [self._in], [], deadline - time.monotonic())
            if not ready:
                raise SessionHung(f"{self.argv} takes no more input\n{self.stderr}")
            try:
                view = view[os.write(self._in, view) :]
            except BrokenPipeError:
                break
        return len(raw) - len(view)

    def say(self, *lines: bytes) -> None:
        """Send lines."""
        self.write(b"".join(line + b"\n" for line in lines))

    # -- listening -----------------------------------------------------------------

    def _more(self, limit: float) -> bool:
        """Read more if it comes within ``limit`` seconds; False after the end."""
        if self._ended:
            return False
        ready, _, _ = select.select([self._out], [], [], limit)
        if not ready:
            raise SessionHung(f"{self.argv} said {self._held!r}\n{self.stderr}")
        raw = os.read(self._out, CHUNK)
        self._held += raw
        self._ended = not raw
        return bool(raw)

    def hear(self, limit: float = WAIT) -> bytes:
        """The next line without its LF; b"" if the server closed instead."""
        while b"\n" not in self._held:
            if not self._more(limit):
                return b""
        line, _, self._held = self._held.partition(b"\n")
        return line

    def take(self, count: int) -> bytes:
        """Exactly so many bytes of content, or fewer if the server closed."""
        while len(self._held) < count and self._more(WAIT):
            pass
        taken, self._held = self._held[:count], self._held[count:]
        return taken

    def swallow(self, count: int) -> "hashlib._Hash":
        """The hash of so many bytes of content, which are not kept."""
        digest = hashlib.sha256()
        while count > 0 and (self._held or self._more(WAIT)):
            part, self._held = self._held[:count], self._held[count:]
            digest.update(part)
            count -= len(part)
        return digest

    def skip(self, count: int) -> None:
        """Read so many bytes of content and keep nothing of them, nor copy them again."""
        used = min(count, len(self._held))
        self._held, count = self._held[used:], count - used
        room = memoryview(bytearray(CHUNK))
        while count > 0 and not self._ended:
            if not select.select([self._out], [], [], WAIT)[0]:
                raise SessionHung(f"{self.argv} sends no more\n{self.stderr}")
            got = os.readv(self._out, [room[:count]])
            self._ended, count = not got, count - got

    def ask(self, line: bytes) -> bytes:
        """Say a line and hear the answer."""
        self.say(line)
        return self.hear()

    # -- whole requests --------------------------------------------------------------

    def greet(self, version: int = 4) -> bytes:
        """Hear AUTH-SUCCESS and agree on a version; the uuid that was greeted with."""
        first = self.hear()
        assert first.startswith(b"AUTH-SUCCESS "), (first, self.stderr)
        assert self.ask(b"VERSION %d" % version).startswith(b"VERSION "), self.stderr
        return first.removeprefix(b"AUTH-SUCCESS ")

    def put(self, key: bytes, content: bytes, name: bytes = b"f") -> bytes:
        """PUT the content from the offset offered; the answer to it."""
        offer = self.ask(b"PUT %s %s" % (name, key))
        if not offer.startswith(b"PUT-FROM "):
            return offer
        rest = content[int(offer.split()[1]) :]
        self.write(b"DATA %d\n%sVALID\n" % (len(rest), rest))
        return self.hear()

    def get(self, key: bytes, offset: int = 0) -> tuple[bytes, bytes]:
        """GET from an offset; the bytes and the verdict (or the answer without bytes)."""
        answer = self.ask(b"GET %d f %s" % (offset, key))
        if not answer.startswith(b"DATA "):
            return b"", answer
        content = self.take(int(answer.split()[1]))
        verdict = self.hear()
        self.say(b"SUCCESS")
        return content, verdict

    # -- ending ----------------------------------------------------------------------

    def end(self) -> Result:
        """Close our side, wait for the program, and give back what it left."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        while self._more(WAIT):
            pass
        code = self.process.wait(timeout=LIMIT)
        return Result(self.argv, code, self._held, self._log.read_bytes())

    def memory_peak(self) -> int:
        """The most memory the program has held so far, in bytes (VmHWM)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no VmHWM for {self.argv}")


def over_ssh(
    server: SshServer, account: str, repo: Repo, uuid: str | None = None
) -> Session:
    """A session with a repository (or, with ``uuid``, a remote it proxies to) by ssh."""
    command = p2pstdio(repo.path, uuid or repo.uuid)
    argv = ["ssh", "-T", server.host(account), command]
    world = server.world
    return Session(argv, cwd=world.place, env=world.env())


def on_pipes(
    world: World,
    program: str,
    repo: Repo,
    uuid: str | None = None,
    client: str = CLIENT_UUID,
    **environment: str,
) -> Session:
    """The same without ssh: the program is our own child and can be killed or measured."""
    argv = [program, "-c", p2pstdio(repo.path, uuid or repo.uuid, client)]
    env = world.env(repo.client.bin, **environment)
    return Session(argv, cwd=world.place, env=env)
