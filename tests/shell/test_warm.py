"""Sessions by a resident: the same as cold ones, and cold where there is any doubt."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.process import LIMIT, Result, run
from tests.support.session import CLIENT_UUID, Session, p2pstdio, sha256_key
from tests.support.shell import UUID_HERE, environment, git, make_annex, write_identity
from tests.support.warm import Residents, ended, is_warm, kill, sessions_of

CONTENT = b"hello"
KEY = sha256_key(CONTENT)


class Server:
    """A repository, and sessions with it by way of the launcher."""

    def __init__(self, home: Path, residents: Residents) -> None:
        self.home = home
        self.path = home / "r.git"
        self.residents = residents
        self.env = environment(home, **residents.variables)

    def start(self) -> int:
        return self.residents.start(self.env)

    def argv(self, *options: str) -> list[str]:
        command = " ".join((p2pstdio(self.path, UUID_HERE), *options))
        return [str(self.residents.program), "-c", command]

    def session(self, *options: str, **env: str) -> Session:
        return Session(self.argv(*options), cwd=self.home, env={**self.env, **env})

    def config(self, name: str, value: str) -> None:
        git("-C", self.path, "config", name, value)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    home = tmp_path.resolve() / "h"
    home.mkdir()
    make_annex(home / "r.git")
    write_identity(home)
    with Residents(home / "run") as residents:
        yield Server(home, residents)


def conversation(session: Session) -> tuple[bytes, bytes, bytes, bytes, int, str]:
    """Store, ask, get and leave."""
    greeted = session.greet()
    stored = session.put(KEY, CONTENT)
    present = session.ask(b"CHECKPRESENT " + KEY)
    content, verdict = session.get(KEY)
    assert verdict == b"VALID"
    removed = session.ask(b"REMOVE " + KEY)
    done = session.end()
    return greeted, stored + removed, present, content, done.code, done.err


def one_cold(server: Server) -> None:
    """A session goes on without anybody's help, and without a complaint."""
    with server.session() as session:
        session.greet()
        assert not is_warm(session.pid)
        assert session.ask(b"CHECKPRESENT " + KEY) == b"FAILURE"
        assert (session.end().code, session.stderr) == (0, "")


# -- the same ------------------------------------------------------------------------------


def test_a_conversation_is_the_same_and_leaves_the_same(server: Server) -> None:
    server.config("annexshell.warm", "false")
    with server.session() as session:
        cold = conversation(session)
    server.config("annexshell.warm", "true")
    server.start()
    with server.session() as session:
        session.hear()
        assert is_warm(session.pid)
        session.end()
    with server.session() as session:
        assert conversation(session) == cold
    journal = server.path / "annex" / "journal"
    assert not journal.exists() or list(journal.iterdir()) == []


@pytest.mark.parametrize(
    "words, env",
    [
        (["p2pstdio", "nowhere", CLIENT_UUID], {}),
        (["p2pstdio", "r.git"], {}),
        (["p2pstdio", "r.git", "a/b"], {}),
        (["p2pstdio", "r.git", CLIENT_UUID, "--bogus"], {}),
        (["p2pstdio", "r.git", CLIENT_UUID, "--help"], {}),
        (["p2pstdio", "r.git", CLIENT_UUID], {"GIT_ANNEX_SHELL_DIRECTORY": "/srv"}),
        (["p2pstdio", "r.git", CLIENT_UUID], {"ANNEXSHELL_DIRECTORY_BELOW": "/srv"}),
        (["p2pstdio", "r.git", CLIENT_UUID, "--uuid", CLIENT_UUID], {}),
        (["configlist", "r.git", "p2pstdio"], {}),
        (["-c", "rm -rf p2pstdio"], {}),
        (["p2pstdio"], {}),
    ],
    ids=lambda value: " ".join(value)[-30:] if isinstance(value, list) else None,
)
def test_what_is_refused_is_refused_in_the_same_words(
    server: Server, words: list[str], env: dict[str, str]
) -> None:
    def refused() -> Result:
        argv = [str(server.residents.program), *words]
        return run(argv, cwd=server.home, env={**server.env, **env}, check=False)

    server.config("annexshell.warm", "false")
    cold = refused()
    server.config("annexshell.warm", "true")
    server.start()
    warm = refused()
    assert (warm.code, warm.stdout, warm.stderr) == (
        cold.code,
        cold.stdout,
        cold.stderr,
    )


@pytest.mark.parametrize("variable", ["READONLY", "APPENDONLY"])
def test_restrictions_are_those_of_the_session_alone(
    server: Server, variable: str
) -> None:
    server.start()
    with server.session() as session:
        session.greet()
        assert session.put(KEY, CONTENT).startswith(b"SUCCESS")
    with server.session(**{f"GIT_ANNEX_SHELL_{variable}": "1"}) as session:
        session.greet()
        assert is_warm(session.pid)
        assert session.ask(b"REMOVE " + KEY).startswith(b"ERROR ")
    with server.session() as session:
        session.greet()
        assert is_warm(session.pid)
        assert session.ask(b"REMOVE " + KEY).startswith(b"SUCCESS")


def test_environment_directory_and_umask_are_the_launchers(server: Server) -> None:
    resident = server.start()
    place = server.home / "elsewhere"
    place.mkdir()
    argv = ["sh", "-c", 'umask 027; exec "$@"', "sh", *server.argv()]
    env = {**server.env, "SOME": "thing"}
    with Session(argv, cwd=place, env=env) as session:
        session.greet()
        assert is_warm(session.pid)
        (serving,) = sessions_of(resident)
        assert os.readlink(f"/proc/{serving}/cwd") == str(place)
        status = Path(f"/proc/{serving}/status").read_text()
        assert "Umask:\t0027\n" in status
        assert session.put(KEY, CONTENT).startswith(b"SUCCESS")
    assert "SOME" not in Path(f"/proc/{resident}/environ").read_text()
    assert "HOME" not in Path(f"/proc/{resident}/environ").read_text()


# -- ends ----------------------------------------------------------------------------------


def test_the_death_of_the_launcher_ends_the_session_and_the_journal_is_settled(
    server: Server,
) -> None:
    resident = server.start()
    with server.session() as session:
        session.greet()
        assert session.put(KEY, CONTENT).startswith(b"SUCCESS")
        assert session.ask(b"LOCKCONTENT " + KEY) == b"SUCCESS"
        (serving,) = sessions_of(resident)
        fd = os.pidfd_open(serving)
        os.kill(session.pid, signal.SIGKILL)
        assert ended(fd)
        os.close(fd)
    assert list((server.path / "annex" / "journal").iterdir()) == []
    log = git("-C", server.path, "ls-tree", "-r", "--name-only", "git-annex")
    assert f"{os.fsdecode(KEY)}.log" in log
    with server.session() as session:
        session.greet()
        assert session.ask(b"REMOVE " + KEY).startswith(b"ERROR ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_mean_the_session(server: Server, number: signal.Signals) -> None:
    codes = []
    for warm in (False, True):
        server.config("annexshell.warm", str(warm).lower())
        if warm:
            server.start()
        with server.session() as session:
            session.greet()
            assert is_warm(session.pid) is warm
            # The answer to a second request: by then signals are listened for.
            assert session.put(KEY, CONTENT)
            assert session.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS"
            os.kill(session.pid, number)
            codes.append(session.process.wait(timeout=LIMIT))
    assert codes[0] == codes[1] == 1


def test_a_killed_session_is_an_error_that_asks_for_another_try(server: Server) -> None:
    resident = server.start()
    with server.session() as session:
        session.greet()
        (serving,) = sessions_of(resident)
        os.kill(serving, signal.SIGKILL)
        assert session.process.wait(timeout=LIMIT) == 255
        assert "was killed" in session.stderr


def test_a_session_does_not_need_its_resident(server: Server) -> None:
    resident = server.start()
    with server.session() as session:
        session.greet()
        assert is_warm(session.pid)
        kill(resident)
        assert session.put(KEY, CONTENT).startswith(b"SUCCESS")
        assert session.end().code == 0
    assert server.residents.sockets() != []
    # What a killed one left is nobody, and is replaced.
    with server.residents.awaiting(), server.session() as session:
        session.greet()
        assert not is_warm(session.pid)
        assert session.end().code == 0


def test_the_client_sees_the_end_though_launcher_and_resident_live(
    server: Server,
) -> None:
    server.start()
    with server.session() as session:
        session.greet()
        assert session.process.stdin is not None
        os.kill(session.pid, signal.SIGSTOP)
        session.process.stdin.close()
        assert session.hear() == b""
        os.kill(session.pid, signal.SIGCONT)
        assert session.process.wait(timeout=LIMIT) == 0
    assert len(server.residents.pids()) == 1


def test_the_first_session_starts_a_resident_that_holds_none_of_its_pipes(
    server: Server,
) -> None:
    reading, writing = os.pipe()
    with server.residents.awaiting():
        process = run_on(server, writing)
        os.close(writing)
        assert select.select([reading], [], [], LIMIT)[0]
        assert os.read(reading, 100).startswith(b"AUTH-SUCCESS ")
        assert select.select([reading], [], [], LIMIT)[0]
        assert os.read(reading, 100) == b""
        assert os.waitpid(process, 0)[1] == 0
    os.close(reading)
    assert len(server.residents.pids()) == 1


def run_on(server: Server, fd: int) -> int:
    """A launcher that has the pipe as stdout and stderr, and no input."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, fd, 1),
        (os.POSIX_SPAWN_DUP2, fd, 2),
    ]
    argv = server.argv()
    return os.posix_spawn(argv[0], argv, server.env, file_actions=actions)


def test_fifty_at_once(server: Server) -> None:
    server.start()
    with ExitStack() as stack:
        sessions = [stack.enter_context(server.session()) for _ in range(50)]
        for session in sessions:
            session.greet()
        for session in sessions:
            assert session.ask(b"CHECKPRESENT " + KEY) == b"FAILURE"
        assert any(is_warm(session.pid) for session in sessions)
        assert {session.end().code for session in sessions} == {0}


# -- cold where there is any doubt -----------------------------------------------------------


def test_the_config_of_a_repository_turns_it_off(server: Server) -> None:
    server.config("annexshell.warm", "false")
    one_cold(server)
    assert server.residents.sockets() == []
    server.start()
    one_cold(server)


def test_a_change_of_the_config_is_seen_by_the_next_session(server: Server) -> None:
    server.start()
    for _ in range(4):  # what git said of it is known from one to the next
        with server.session() as session:
            session.greet()
            assert is_warm(session.pid)
            assert session.end().code == 0
    server.config("annexshell.warm", "false")
    one_cold(server)
    server.config("annexshell.warm", "true")
    server.config("annex.version", "11")
    with server.session() as session:
        assert session.hear() == b""
        assert session.end().code != 0
        assert "11" in session.stderr


def test_a_resident_works_without_its_stage(server: Server) -> None:
    server.start()
    (stage,) = server.residents.folder.glob("*.stage")
    shutil.rmtree(stage)
    for _ in range(4):
        with server.session() as session:
            session.greet()
            assert is_warm(session.pid)
            assert session.end().code == 0


def test_nobody_listens_any_more(server: Server) -> None:
    server.start()
    server.residents.stop()
    server.config("annexshell.warm", "false")
    one_cold(server)


def test_whoever_listens_never_accepts(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    (path,) = server.residents.sockets()
    server.residents.stop()
    path.unlink()
    monkeypatch.chdir(path.parent)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as deaf:
        deaf.bind(path.name)
        deaf.listen(5)
        one_cold(server)


@pytest.mark.parametrize("said", [b"X", b"H", b"HX"], ids=os.fsdecode)
def test_whoever_listens_speaks_otherwise(
    server: Server, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    (path,) = server.residents.sockets()
    server.residents.stop()
    path.unlink()
    monkeypatch.chdir(path.parent)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        other.bind(path.name)
        other.listen(5)
        with server.session() as session:
            link, _ = other.accept()
            link.send(said[:1])
            if said[:1] == b"H":
                assert link.recv(1 << 20)
                if said[1:]:
                    link.send(said[1:])
            link.close()
            session.greet()
            assert not is_warm(session.pid)
            assert (session.end().code, session.stderr) == (0, "")


@pytest.mark.parametrize("fault", ["mode", "link", "file"])
def test_a_folder_that_others_could_have_made(server: Server, fault: str) -> None:
    server.start()
    folder = server.residents.folder
    away = folder.with_name("away")
    if fault == "mode":
        folder.chmod(0o755)
    else:
        folder.rename(away)
        if fault == "link":
            folder.symlink_to(away)
        else:
            folder.write_text("")
    one_cold(server)
    if fault != "mode":
        folder.unlink()
        away.rename(folder)
    folder.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
@pytest.mark.parametrize("what", ["folder", "socket"])
def test_another_user_is_not_believed(server: Server, what: str) -> None:
    server.start()
    (path,) = server.residents.sockets()
    if what == "folder":
        os.chown(server.residents.folder, 65534, 65534)
        one_cold(server)
        os.chown(server.residents.folder, 0, 0)
        return
    server.residents.stop()
    path.unlink()
    reading, writing = os.pipe()
    pid = os.posix_spawn(
        sys.executable,
        [
            *(sys.executable, "-c", LISTEN_AS_NOBODY),
            *(str(path.parent), path.name, str(writing)),
        ],
        server.env,
        file_actions=[(os.POSIX_SPAWN_DUP2, writing, writing)],
    )
    os.close(writing)
    assert os.read(reading, 1) == b"l"
    one_cold(server)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(reading)


LISTEN_AS_NOBODY = """
import os, socket, sys
link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
os.chdir(sys.argv[1])
link.bind(sys.argv[2])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
link.listen(5)
os.write(int(sys.argv[3]), b"l")
one = link.accept()[0]
assert one.recv(1 << 20) == b"", "something was sent to another user"
os._exit(0)
"""


@pytest.mark.parametrize(
    "before", ["ulimit -n 200", "nice -n 5", "trap '' INT"], ids=lambda b: b.split()[0]
)
def test_a_launcher_with_other_limits_serves_by_itself(
    server: Server, before: str
) -> None:
    server.start()
    script = f'{before} "$@"' if before.startswith("nice") else f'{before}; exec "$@"'
    argv = ["sh", "-c", script, "sh", *server.argv()]
    with Session(argv, cwd=server.home, env=server.env) as session:
        session.greet()
        assert not is_warm(session.pid)
        assert session.end().code == 0


@pytest.mark.parametrize("variable", ["LC_ALL", "TZ", "PYTHONUTF8"])
def test_another_locale_is_another_resident(server: Server, variable: str) -> None:
    server.start()
    server.config("annexshell.warm", "false")
    with server.session(**{variable: "1"}) as session:
        session.greet()
        assert not is_warm(session.pid)


def test_a_closed_descriptor_of_the_launcher(server: Server) -> None:
    server.start()
    argv = ["sh", "-c", 'exec "$@" 2>&-', "sh", *server.argv()]
    with Session(argv, cwd=server.home, env=server.env) as session:
        session.greet()
        assert session.end().code == 0


# -- leaving ---------------------------------------------------------------------------------


def test_leaves_when_it_was_idle(server: Server) -> None:
    server.config("annexshell.warm-idle", "1")
    pid = server.start()
    fd = os.pidfd_open(pid)
    with server.session() as session:
        session.greet()
        assert is_warm(session.pid)
        assert session.end().code == 0
    assert ended(fd)
    os.close(fd)
    assert list(server.residents.folder.iterdir()) == []


def test_leaves_when_somebody_took_its_place(server: Server) -> None:
    pid = server.start()
    fd = os.pidfd_open(pid)
    (path,) = server.residents.sockets()
    away = path.with_name("away")
    path.rename(away)
    folder = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.connect(f"/proc/self/fd/{folder}/away")
        assert ended(fd)
    os.close(folder)
    os.close(fd)
    away.unlink()
    assert list(server.residents.folder.iterdir()) == []


def test_a_debugged_session_says_who_forked_it(server: Server) -> None:
    pid = server.start()
    with server.session("--debug") as session:
        session.greet()
        assert session.end().code == 0
        assert f"warm start, by the resident process {pid}" in session.stderr
