"""Ssh servers for tests: OpenSSH's sshd as an ordinary user, and the embedded server.

Each account is a key of its own with a forced command, as an operator writes it into
authorized_keys; the client reaches it under the account's name as host name.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.process import Word, descendants, kill_session, start
from tests.support.world import World, find

#: How often another port is tried when somebody took the one we had found free.
ATTEMPTS = 5


@dataclass(frozen=True)
class Account:
    """A key that may log in: its name, the program behind it, and its restrictions."""

    name: str
    program: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def line(self, public: str) -> str:
        """The account's line for authorized_keys."""
        chosen = {"LC_ALL": "C.UTF-8", **self.environment}
        settings = "".join(
            f'environment="{name}={value}",' for name, value in chosen.items()
        )
        command = f'{self.program} -c \\"$SSH_ORIGINAL_COMMAND\\"'
        return f'command="{command}",{settings}restrict {public}'


@dataclass(frozen=True)
class SshServer:
    """A running server: its kind ("openssh" or "embedded"), its port, its process."""

    kind: str
    port: int
    process: subprocess.Popen[bytes]
    world: World

    def host(self, account: str) -> str:
        """The host name under which the client reaches an account."""
        return f"{self.kind}-{account}"

    def url(self, account: str, path: Path) -> str:
        return f"ssh://{self.host(account)}{path}"


class ServerDidNotStart(AssertionError):
    """The server ended, or said something else than that it listens."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _sshd_config(world: World, port: int, env: Mapping[str, str]) -> str:
    settings = " ".join(
        shlex.quote(f"{name}={value}")
        for name, value in env.items()
        if name != "LC_ALL"
    )  # which the keys set themselves, and SetEnv would override
    return f"""\
Port {port}
ListenAddress 127.0.0.1
HostKey {world.keys / "host"}
AuthorizedKeysFile {world.place / "authorized_keys"}
PidFile none
StrictModes no
UsePAM no
UseDNS no
PermitRootLogin prohibit-password
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitUserEnvironment yes
PrintMotd no
PrintLastLog no
MaxStartups 1000
MaxSessions 1000
LogLevel INFO
SetEnv {settings}
"""


def _start_openssh(world: World, env: Mapping[str, str]) -> SshServer:
    sshd = find("sshd")
    if sshd is None:
        raise ServerDidNotStart("sshd is not installed")
    if os.getuid() == 0:
        # sshd started as root insists on this folder, which the service would have made.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    said = b""
    for _ in range(ATTEMPTS):
        port = _free_port()
        config = world.place / "sshd_config"
        config.write_text(_sshd_config(world, port, env))
        argv: list[Word] = [sshd, "-D", "-e", "-f", config]
        process = start(argv, cwd=world.place, env=env)
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if b"Server listening" in line:
                _keep_log(process, world.place / "sshd.log")
                return SshServer("openssh", port, process, world)
        kill_session(process)
    raise ServerDidNotStart(said.decode(errors="replace"))


def _start_embedded(world: World, env: Mapping[str, str]) -> SshServer:
    argv: list[Word] = [
        *("annexshell-admin", "ssh-server", "--listen", "127.0.0.1:0"),
        *("--host-key", world.keys / "host"),
        *("--authorized-keys", world.place / "authorized_keys"),
    ]
    log = open(world.place / "embedded.log", "wb")
    with log:
        process = start(argv, cwd=world.place, env=env, stderr=log.fileno())
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    digits = line.strip().rpartition(":")[2].rpartition(" ")[2]
    if not digits.isdigit():
        kill_session(process)
        said = (world.place / "embedded.log").read_text()
        raise ServerDidNotStart(f"{line!r}\n{said}")
    return SshServer("embedded", int(digits), process, world)


def _keep_log(process: subprocess.Popen[bytes], path: Path) -> None:
    """Copy sshd's log into a file from here on, so that the pipe never fills."""
    pipe = process.stderr
    assert pipe is not None

    def copy() -> None:
        with pipe, path.open("ab") as log:
            for line in pipe:
                log.write(line)
                log.flush()

    threading.Thread(target=copy, daemon=True).start()


STARTERS = {"openssh": _start_openssh, "embedded": _start_embedded}


def prepare(world: World, accounts: list[Account]) -> None:
    """Make the keys of the host and of all accounts, and write authorized_keys."""
    world.new_key("host")
    lines = []
    for account in accounts:
        public = world.new_key(account.name).with_suffix(".pub").read_text()
        lines.append(account.line(public))
    (world.place / "authorized_keys").write_text("".join(lines))


def _client_settings(server: SshServer, accounts: list[Account]) -> str:
    world = server.world
    public = (world.keys / "host.pub").read_text().split()[:2]
    known = world.place / f"known_hosts_{server.kind}"
    known.write_text(f"[127.0.0.1]:{server.port} {' '.join(public)}\n")
    return "".join(
        f"""\
Host {server.host(account.name)}
    HostName 127.0.0.1
    Port {server.port}
    User {getpass.getuser()}
    IdentityFile {world.keys / account.name}
    IdentitiesOnly yes
    IdentityAgent none
    BatchMode yes
    StrictHostKeyChecking yes
    UserKnownHostsFile {known}
    GlobalKnownHostsFile /dev/null
    LogLevel ERROR
    ConnectTimeout 60
"""
        for account in accounts
    )


@contextmanager
def running(
    kind: str, world: World, accounts: list[Account], env: Mapping[str, str]
) -> Iterator[SshServer]:
    """Run a server of that kind with its accounts reachable from the world."""
    server = STARTERS[kind](world, env)
    try:
        with world.ssh_config.open("a") as settings:
            settings.write(_client_settings(server, accounts))
        yield server
    finally:
        # sshd gives every connection a session of its own; without this those that a
        # killed client left behind, and the client's control masters, would live on.
        connections = descendants(server.process.pid)
        kill_session(server.process)
        for pid in connections:
            with contextlib.suppress(ProcessLookupError):  # it ended with the server
                os.kill(pid, signal.SIGKILL)
