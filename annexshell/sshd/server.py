"""A small ssh server for forced commands, where no sshd is at hand.

A client may do one thing: start the command that the operator chose for its key. What
it asks for itself only becomes SSH_ORIGINAL_COMMAND. Terminals, forwarding of any kind,
sftp, scp and passwords are refused by asyncssh before a command runs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import asyncssh
import attrs

from annexshell.sshd.authorized import AuthorizedKey, read_authorized_keys
from annexshell.sshd.child import run_child
from annexshell.sshd.session import WINDOW, Session

Log = Callable[[str], None]


@attrs.frozen
class Settings:
    """What the operator decides. ``command`` is forced where a key has none."""

    host: str
    port: int
    host_key: str
    authorized_keys: str
    environ: dict[str, str]
    command: str | None = None
    log: Log = lambda line: None


class Server(asyncssh.SSHServer):
    """One connection: which line let it in decides what it runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: asyncssh.SSHServerConnection | None = None
        self._keys: list[AuthorizedKey] = []
        self._candidate: AuthorizedKey | None = None
        self._entry: AuthorizedKey | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Read authorized_keys anew, as sshd does, so that a removed key is out at once."""
        self._connection = conn
        self._keys = load_keys(self._settings)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether a line accepts this key. Asked again when its signature is checked."""
        address = str(self._peer("peername")[0])
        accepted = (line for line in self._keys if line.accepts(key, address))
        self._candidate = next(accepted, None)
        return self._candidate is not None

    def auth_completed(self) -> None:
        """The key asked for last is the one that signed."""
        self._entry = self._candidate

    def session_requested(self) -> asyncssh.SSHServerSession[bytes] | bool:
        if self._entry is None:
            return False
        return Session(self._serve)

    async def _serve(self, session: Session) -> None:
        entry = self._entry
        command = None if entry is None else entry.command or self._settings.command
        if entry is None or command is None:
            session.channel.write_stderr(
                b"annexshell: no command is set for this key\n"
            )
            session.channel.exit(1)
            return
        try:
            await run_child(session, command, self._environment(entry, session))
        except (OSError, ValueError) as error:
            # A ValueError is a NUL, or text the locale cannot spell, in what was asked.
            self._settings.log(f"the command cannot be run: {error}")
            session.channel.exit(1)

    def _environment(self, entry: AuthorizedKey, session: Session) -> dict[str, str]:
        client, server = self._peer("peername"), self._peer("sockname")
        environ = {**self._settings.environ, **dict(entry.environment)}
        for name in ("GIT_PROTOCOL", "SSH_ORIGINAL_COMMAND"):
            environ.pop(name, None)
        environ["SSH_CONNECTION"] = f"{client[0]} {client[1]} {server[0]} {server[1]}"
        asked = session.channel.get_command()
        if asked is not None:
            environ["SSH_ORIGINAL_COMMAND"] = asked
        protocol = session.channel.get_environment().get("GIT_PROTOCOL")
        if protocol is not None:
            environ["GIT_PROTOCOL"] = protocol
        return environ

    def _peer(self, which: str) -> tuple[object, ...]:
        if self._connection is None:
            raise RuntimeError("asked before the connection was made")
        found: tuple[object, ...] = self._connection.get_extra_info(which)
        return found


def load_keys(settings: Settings) -> list[AuthorizedKey]:
    """The usable lines of authorized_keys; what is wrong goes to the log."""
    path, log = settings.authorized_keys, settings.log
    try:
        with open(path, encoding="utf-8") as lines:
            text = lines.read()
    except (OSError, UnicodeDecodeError) as error:
        log(f"nobody can log in ({path}): {error}")
        return []
    return read_authorized_keys(
        text, lambda number, reason: log(f"line {number} is refused ({path}): {reason}")
    )


def host_key(path: str) -> asyncssh.SSHKey:
    """The private key at ``path``, which is made if it does not exist.

    Raises OSError and asyncssh.KeyImportError, also for a key that others may read: they
    could pass for this server. sshd refuses such a key too.
    """
    try:
        if os.stat(path).st_mode & 0o077:
            raise asyncssh.KeyImportError("others may read it; run chmod 600 on it")
        return asyncssh.read_private_key(path)
    except FileNotFoundError:
        key = asyncssh.generate_private_key("ssh-ed25519")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as new:
        new.write(key.export_private_key("openssh"))
    return key


async def listen(settings: Settings) -> asyncssh.SSHAcceptor:
    """Start serving; the caller keeps the event loop running. Raises OSError."""
    load_keys(settings)
    return await asyncssh.listen(
        settings.host,
        settings.port,
        server_factory=lambda: Server(settings),
        server_host_keys=[host_key(settings.host_key)],
        encoding=None,
        window=WINDOW,
        allow_pty=False,
        agent_forwarding=False,
        x11_forwarding=False,
        allow_scp=False,
        gss_host=None,
        config=[],
        login_timeout=60,
        keepalive_interval=30,
        keepalive_count_max=3,
    )


async def serve(settings: Settings, ready: Callable[[str, int], None]) -> None:
    """Serve until cancelled; ``ready`` is told the address and the port in use."""
    acceptor = await listen(settings)
    try:
        ready(settings.host, acceptor.get_port())
        await asyncio.get_running_loop().create_future()
    finally:
        acceptor.close()
        await acceptor.wait_closed()


def run(settings: Settings, ready: Callable[[str, int], None]) -> int:
    """Serve until interrupted; the exit code if that is not what ends it. Raises OSError."""
    try:
        asyncio.run(serve(settings, ready))
    except asyncssh.KeyImportError as error:
        settings.log(f"the host key cannot be used ({settings.host_key}): {error}")
    return 1
