"""OpenSSH's client against the embedded server."""

from __future__ import annotations

import asyncio
import hashlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import attrs
import pytest

from tests.support.shell import Done, environment, make_annex

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client here"),
]
_START = "import sys; from annexshell.cli.admin import main; sys.exit(main())"
_PROGRAM = (
    f"{sys.executable} -c 'import sys; from annexshell.cli.shell import main;"
    ' sys.exit(main())\' -c "$SSH_ORIGINAL_COMMAND"'
)
MEGABYTE = 1 << 20


@attrs.frozen
class Running:
    """The server, and where its files are."""

    process: subprocess.Popen[bytes]
    port: int
    top: Path

    def argv(self, key: str, *words: str, options: tuple[str, ...] = ()) -> list[str]:
        settings = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "BatchMode": "yes",
            "SendEnv": "GIT_PROTOCOL LEAKED",
        }
        return [
            *("ssh", "-F", "/dev/null", "-p", str(self.port)),
            *("-i", str(self.top / key)),
            *(part for pair in settings.items() for part in ("-o", "=".join(pair))),
            *options,
            "127.0.0.1",
            *words,
        ]

    def ssh(
        self, key: str, *words: str, options: tuple[str, ...] = (), stdin: bytes = b""
    ) -> Done:
        env = {**os.environ, "GIT_PROTOCOL": "version=2", "LEAKED": "leak"}
        return subprocess.run(
            self.argv(key, *words, options=options),
            input=stdin,
            env=env,
            capture_output=True,
            timeout=120,
        )

    def peak_memory(self) -> int:
        """The most memory the server has had resident, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [x for x in status.splitlines() if x.startswith("VmHWM")]
        return int(line.split()[1]) * 1024


def _quote(command: str) -> str:
    return command.replace('"', '\\"')


KEYS = {
    "shell": f'command="{_quote(_PROGRAM)}",restrict',
    "cat": 'command="cat",restrict,no-pty',
    "env": 'command="env; exit 7",environment="MINE=1",restrict',
    "slow": 'command="sleep 1; cat",restrict',
    "signal": 'command="kill -TERM $$",restrict',
    "half": 'command="cat >seen; echo got; cat seen",restrict',
    "deaf": 'command="exec <&-; echo done",restrict',
    "life": 'command="echo $$; cat >/dev/null; echo ended >life",restrict',
    "stubborn": "command=\"trap '' HUP; echo $$; sleep 1000\",restrict",
    "elsewhere": 'from="192.0.2.1",command="echo in",restrict',
    "pty": 'command="echo in",pty',
    "bare": "restrict",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    top = tmp_path_factory.mktemp("sshd").resolve()
    (top / "home").mkdir()
    make_annex(top / "home" / "r.git")
    lines = []
    for name, options in [*KEYS.items(), ("stranger", "")]:
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(top / name)]
        subprocess.run(make, check=True)
        if options:
            lines.append(f"{options} {(top / name).with_suffix('.pub').read_text()}")
    (top / "ak").write_text("".join(lines))
    argv = ["--host-key", f"{top}/hk", "--authorized-keys", f"{top}/ak"]
    with open(top / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _START, "ssh-server", *argv],
            env=environment(top / "home"),
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    port = int(process.stdout.readline().rpartition(b":")[2])
    yield Running(process, port, top)
    process.terminate()
    process.wait(timeout=30)
    process.stdout.close()


def test_the_forced_command_runs_and_the_clients_words_are_data(
    server: Running,
) -> None:
    done = server.ssh("env", "touch /tmp/x; $(id) 'a b'")
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 7
    assert "SSH_ORIGINAL_COMMAND=touch /tmp/x; $(id) 'a b'" in lines
    assert "MINE=1" in lines
    assert "GIT_PROTOCOL=version=2" in lines
    assert any(x.startswith("SSH_CONNECTION=127.0.0.1 ") for x in lines)
    assert not any("LEAKED" in x for x in lines)


@pytest.mark.parametrize("where", ["command", "GIT_PROTOCOL"])
def test_a_nul_from_the_client_ends_its_request(server: Running, where: str) -> None:
    """OpenSSH's client cannot send one; nobody would ever have been answered."""

    async def ask() -> int | None:
        async with asyncssh.connect(
            "127.0.0.1",
            server.port,
            known_hosts=None,
            client_keys=[str(server.top / "cat")],
            config=[],
        ) as connection:
            done = await connection.run(
                "a\0b" if where == "command" else "a",
                env={"GIT_PROTOCOL": "a\0b"} if where != "command" else {},
                stdin=asyncssh.DEVNULL,
                timeout=60,
            )
            return done.exit_status

    assert asyncio.run(ask()) == 1
    assert "Traceback" not in (server.top / "log").read_text()


def test_without_words_there_is_no_original_command(server: Running) -> None:
    done = server.ssh("env", options=("-T",))
    assert done.returncode == 7
    assert b"SSH_ORIGINAL_COMMAND" not in done.stdout


def test_annexshell_answers(server: Running) -> None:
    done = server.ssh("shell", "git-annex-shell 'configlist' '/~/r.git'")
    assert done.returncode == 0
    assert done.stdout.startswith(b"annex.uuid=")
    done = server.ssh("shell", "true")
    assert done.returncode == 1
    assert b"not a command this account may run" in done.stderr
    done = server.ssh("shell", "git-upload-pack 'r.git'", stdin=b"0000")
    assert done.returncode == 0
    assert b"version 2" in done.stdout


def test_a_signal_is_passed_on(server: Running) -> None:
    assert server.ssh("signal", "x").returncode == 255


def test_each_direction_ends_by_itself(server: Running) -> None:
    done = server.ssh("half", "x", stdin=b"all of it")
    assert (done.returncode, done.stdout) == (0, b"got\nall of it")


def test_a_child_that_reads_nothing_does_not_block(server: Running) -> None:
    done = server.ssh("deaf", "x", stdin=bytes(20 * MEGABYTE))
    assert (done.returncode, done.stdout) == (0, b"done\n")


@pytest.mark.parametrize("key", ["cat", "slow"])
def test_a_hundred_megabytes_in_little_memory(server: Running, key: str) -> None:
    server.ssh("cat", "x", stdin=b"warm up")
    before = server.peak_memory()
    block = os.urandom(MEGABYTE)
    done = server.ssh(key, "x", stdin=block * 100)
    assert done.returncode == 0
    sent = hashlib.sha256(block * 100).hexdigest()
    assert hashlib.sha256(done.stdout).hexdigest() == sent
    assert server.peak_memory() - before < 24 * MEGABYTE


def test_a_terminal_is_refused(server: Running) -> None:
    done = server.ssh("cat", "x", options=("-tt",))
    assert b"PTY allocation request failed" in done.stderr


def test_sftp_is_refused(server: Running) -> None:
    done = server.ssh("cat", "sftp", options=("-s",))
    assert done.returncode == 255
    assert b"subsystem request failed" in done.stderr


def test_forwarding_to_somewhere_is_refused(server: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as target:
        where = f"127.0.0.1:{target.getsockname()[1]}"
        done = server.ssh("cat", options=("-W", where), stdin=b"x")
    assert done.returncode != 0
    assert done.stdout == b""


def test_forwarding_to_the_client_is_refused(server: Running) -> None:
    back = ("-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1")
    done = server.ssh("cat", "x", options=back)
    assert done.returncode == 255
    assert b"remote port forwarding failed" in done.stderr


@pytest.mark.parametrize("key", ["stranger", "elsewhere", "pty"])
def test_who_may_not_log_in(server: Running, key: str) -> None:
    done = server.ssh(key, "x")
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"Permission denied (publickey)" in done.stderr


def test_a_line_that_is_refused_is_named_in_the_log(server: Running) -> None:
    server.ssh("cat", "x")
    number = list(KEYS).index("pty") + 1
    said = (server.top / "log").read_text()
    assert f"line {number} is refused ({server.top}/ak): the option pty" in said


def test_a_key_without_a_command_runs_nothing(server: Running) -> None:
    done = server.ssh("bare", "echo ran")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"no command is set for this key" in done.stderr


def test_a_removed_key_is_out_at_once(server: Running) -> None:
    path = server.top / "ak"
    before = path.read_text()
    try:
        path.write_text("")
        assert server.ssh("cat", "x").returncode == 255
    finally:
        path.write_text(before)
    assert server.ssh("cat", "x", stdin=b"y").stdout == b"y"


def start(server: Running, key: str) -> tuple[subprocess.Popen[bytes], int]:
    """A client whose command has said its process number."""
    pipe = subprocess.PIPE
    client = subprocess.Popen(server.argv(key, "x"), stdin=pipe, stdout=pipe)
    assert client.stdout is not None
    return client, int(client.stdout.readline())


def wait_until_ended(pid: int) -> None:
    """Wait for a process that is not our child, and may have ended by now."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended, _, _ = select.select([watched], [], [], 60)
    os.close(watched)
    assert ended


def test_a_client_that_is_killed_ends_its_command_gently(server: Running) -> None:
    client, pid = start(server, "life")
    client.kill()
    client.communicate()
    wait_until_ended(pid)
    assert (server.top / "home" / "life").read_text() == "ended\n"


def test_a_command_that_ignores_its_end_is_killed(server: Running) -> None:
    client, pid = start(server, "stubborn")
    client.send_signal(signal.SIGKILL)
    client.communicate()
    wait_until_ended(pid)


def test_two_connections_do_not_wait_for_each_other(server: Running) -> None:
    client, _ = start(server, "life")
    assert server.ssh("cat", "x", stdin=b"y").stdout == b"y"
    client.communicate(b"")
    assert client.returncode == 0
