"""annexshell.auditlog and annexshell.log in sessions of the program itself."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.support.audit import lines_of, told
from tests.support.rsync import rsync
from tests.support.session import CLIENT_UUID, Session, sha256_key
from tests.support.shell import (
    UUID_HERE,
    Done,
    environment,
    git,
    make_annex,
    run_shell,
    shell_argv,
    write_identity,
)
from tests.support.world import write_program

pytestmark = pytest.mark.usefixtures("both_ways")

CONTENT = b"hello world"
KEY = sha256_key(CONTENT)
SSH = "192.0.2.1 50000 192.0.2.2 22"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path.resolve()
    make_annex(made / "r.git")
    (made / "r.git/annex").mkdir()
    return made


def configure(home: Path, setting: str, value: str) -> None:
    git("-C", home / "r.git", "config", setting, value)


def started(home: Path, *options: str, start: str | None = None, **env: str) -> Session:
    words = " ".join(("git-annex-shell p2pstdio r.git", CLIENT_UUID, *options))
    argv = (
        shell_argv("-c", words)
        if start is None
        else [sys.executable, "-c", start, "-c", words]
    )
    return Session(argv, cwd=home, env=environment(home, **env))


def test_a_session_by_somebody(home: Path) -> None:
    configure(home, "annexshell.auditlog", "annexshell-audit.jsonl")
    who = {"ANNEXSHELL_USER": "ann", "SSH_CONNECTION": SSH}
    with started(home, **who) as session:
        session.greet()
        assert session.put(KEY, CONTENT, b"hello.txt") == b"SUCCESS"
        assert session.get(KEY) == (CONTENT, b"VALID")
        assert session.ask(b"REMOVE " + KEY) == b"SUCCESS"
        assert session.end().err == ""
    file = home / "r.git/annexshell-audit.jsonl"
    assert told(file) == ["PUT stored", "GET delivered", "REMOVE removed"]
    first, *others = lines_of(file)
    assert first["user"] == "ann" and first["connection"] == SSH
    assert first["client"] == CLIENT_UUID and first["uuid"] == UUID_HERE
    assert first["repository"] == str(home / "r.git") and "proxied" not in first
    assert {line["session"] for line in others} == {first["session"]}
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("both_ways", ["cold"], indirect=True)
def test_what_was_answered_is_in_the_log_already(home: Path) -> None:
    """Also if the session is killed next. A launcher's death would be no such end."""
    configure(home, "annexshell.auditlog", "annexshell-audit.jsonl")
    with started(home) as session:
        session.greet()
        assert session.put(KEY, CONTENT) == b"SUCCESS"
        assert session.ask(b"LOCKCONTENT " + KEY) == b"SUCCESS"
        session.process.kill()
        session.process.wait(timeout=60)
    file = home / "r.git/annexshell-audit.jsonl"
    assert told(file) == ["PUT stored", "LOCKCONTENT locked"]


@pytest.mark.parametrize("mode", ["READONLY", "APPENDONLY"])
def test_attempts_that_a_restriction_stops(home: Path, mode: str) -> None:
    configure(home, "annexshell.auditlog", "annexshell-audit.jsonl")
    with started(home, **{f"GIT_ANNEX_SHELL_{mode}": "1"}) as session:
        session.greet()
        assert session.ask(b"REMOVE " + KEY).startswith(b"ERROR ")
        session.end()
    (line,) = told(home / "r.git/annexshell-audit.jsonl")
    assert line.startswith("REMOVE refused: this repository is ")


# -- commands on single keys ---------------------------------------------------------------


@pytest.fixture
def file(home: Path) -> Path:
    configure(home, "annexshell.auditlog", "annexshell-audit.jsonl")
    configure(home, "annex.diskreserve", "1")
    write_identity(home)
    return home / "r.git/annexshell-audit.jsonl"


FIELD = f"remoteuuid={CLIENT_UUID}"
NAME = KEY.decode()


def run(home: Path, command: str, *words: str, **env: str) -> Done:
    return run_shell(command, "r.git", *words, env=environment(home, **env))


def carry(home: Path, command: str, *files: str, **env: str) -> int:
    """A transfer with rsync at both ends; the exit code of ours."""
    words = f"git-annex-shell {command} r.git {NAME} -- {FIELD} --"
    return rsync(words, *files, place=home, env=environment(home, **env))[0]


def test_content_carried_by_rsync(home: Path, file: Path) -> None:
    (home / "source").write_bytes(CONTENT)
    who = {"ANNEXSHELL_USER": "ann", "SSH_CONNECTION": SSH}
    assert carry(home, "sendkey", "dummy:", "target", **who) == 1
    assert carry(home, "recvkey", "source", "dummy:", **who) == 0
    assert carry(home, "sendkey", "dummy:", "target", **who) == 0
    assert run(home, "dropkey", "--force", NAME, "bad", NAME, **who).returncode == 1
    assert told(file) == [
        "sendkey absent",
        "recvkey stored",
        "sendkey delivered",
        "dropkey removed",
        "dropkey removed",
    ]
    lines = lines_of(file)
    assert [line["bytes"] for line in lines] == [0, 11, 11, 0, 0]
    assert {line["key"] for line in lines} == {NAME}
    assert {line["user"] for line in lines} == {"ann"}
    assert {line["connection"] for line in lines} == {SSH}
    assert [line.get("client") for line in lines] == [CLIENT_UUID] * 3 + [None] * 2
    assert lines[3]["session"] == lines[4]["session"] != lines[2]["session"]


def test_a_broken_transfer_by_rsync_counts_what_came(home: Path, file: Path) -> None:
    (home / "fake").mkdir()
    write_program(
        home / "fake/rsync", 'for last; do :; done; printf hel >"$last"; exit 12'
    )
    path = f"{home}/fake:{environment(home)['PATH']}"
    assert run(home, "recvkey", NAME, PATH=path).returncode == 1
    assert run(home, "recvkey", NAME, "--", "remoteuuid=../x", PATH=path).returncode
    first, second = lines_of(file)
    assert first["outcome"] == "failed" and "exit code 12" in first["reason"]
    assert (first["bytes"], first.get("offset")) == (3, None)
    assert (second["bytes"], second["offset"]) == (0, 3)
    assert "client" not in second


@pytest.mark.parametrize(
    ("mode", "command"),
    [("READONLY", "dropkey"), ("READONLY", "recvkey"), ("APPENDONLY", "dropkey")],
)
def test_commands_that_a_restriction_stops(
    home: Path, file: Path, mode: str, command: str
) -> None:
    """The line is there, and the client hears what it would hear anyway."""
    restricted = {f"GIT_ANNEX_SHELL_{mode}": "1", "GIT_ANNEX_SHELL_DIRECTORY": "r.git"}
    words = (NAME, "--force", "--uuid", UUID_HERE, "--", FIELD)
    done = run(home, command, *words, **restricted)
    assert done.returncode == 1
    (line,) = lines_of(file)
    assert (line["request"], line["outcome"]) == (command, "refused")
    assert f"GIT_ANNEX_SHELL_{mode}" in line["reason"]
    assert line["key"] == NAME and line["client"] == CLIENT_UUID
    file.unlink()
    configure(home, "annexshell.auditlog", "")
    assert run(home, command, *words, **restricted).stderr == done.stderr


@pytest.mark.parametrize(
    ("directory", "words"),
    [
        ("other", (NAME,)),
        ("r.git", (NAME, "--uuid", CLIENT_UUID)),
        ("r.git", ("bad", "--bogus")),
        ("r.git", ("bad",)),
    ],
)
def test_what_is_refused_anyway_is_not_logged(
    home: Path, file: Path, directory: str, words: tuple[str, ...]
) -> None:
    """A confined client can neither write to others' logs nor find out about them."""
    allowed = make_annex(home / "other")
    restricted = {
        "GIT_ANNEX_SHELL_READONLY": "1",
        "GIT_ANNEX_SHELL_DIRECTORY": directory,
    }
    done = run(home, "dropkey", "--force", *words, **restricted)
    assert done.returncode == 1 and b"READONLY" in done.stderr
    assert not file.exists() and not list(allowed.glob("annexshell*"))


def test_a_broken_log_keeps_no_command_from_its_work(home: Path) -> None:
    configure(home, "annexshell.auditlog", "none/audit.jsonl")
    warning = b"annexshell: annexshell.auditlog cannot be written"
    done = run(home, "dropkey", "--force", NAME)
    assert done.returncode == 0 and done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(warning)
    done = run(home, "dropkey", "--force", NAME, GIT_ANNEX_SHELL_READONLY="1")
    assert done.returncode == 1 and done.stderr.count(warning) == 1
    assert b"Action blocked" in done.stderr


def test_the_hook_runs_after_commands_that_changed_content(home: Path) -> None:
    """hooks/annex-content: once, when the content is there, and not for nothing."""
    write_identity(home)
    configure(home, "annex.diskreserve", "1")
    log, source = home / "ran", home / "source"
    source.write_bytes(CONTENT)
    (home / "r.git/hooks").mkdir(exist_ok=True)
    hook = f'echo "$PWD $(find annex/objects -type f | wc -l)" >>{log}'
    write_program(home / "r.git/hooks/annex-content", hook)
    source.write_bytes(b"other content")
    assert carry(home, "recvkey", "source", "dummy:") == 1
    assert run(home, "dropkey", "--force", NAME).returncode == 0
    assert not log.exists()
    source.write_bytes(CONTENT)
    assert carry(home, "recvkey", "source", "dummy:") == 0
    assert log.read_text() == f"{home}/r.git 1\n"
    log.unlink()
    assert run(home, "dropkey", "--force", NAME, NAME).returncode == 0
    assert log.read_text() == f"{home}/r.git 0\n"


# -- both ----------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["/dev/null", "config", "none/audit.jsonl"])
def test_a_broken_log_is_one_warning_and_harms_nothing(home: Path, broken: str) -> None:
    configure(home, "annexshell.auditlog", broken)
    before = (home / "r.git/config").read_bytes()
    with started(home) as session:
        session.greet()
        assert session.put(KEY, CONTENT) == b"SUCCESS"
        assert session.get(KEY) == (CONTENT, b"VALID")
        ended = session.end()
    assert ended.code == 0
    assert ended.err.count("annexshell.auditlog cannot be written to") == 1
    assert ended.err.count("\n") == 1
    assert (home / "r.git/config").read_bytes() == before


def test_debug_output_in_a_file(home: Path) -> None:
    """Each line has the time and the session; the client sees nothing of it."""
    configure(home, "annexshell.log", "annexshell-debug.log")
    configure(home, "annexshell.auditlog", "annexshell-audit.jsonl")
    with started(home) as session:
        session.greet()
        assert session.ask(b"CHECKPRESENT WORM-s1--a\rb") == b"FAILURE"
        assert session.ask(b"REMOVE " + KEY) == b"SUCCESS"
        assert session.end().err == ""
    text = (home / "r.git/annexshell-debug.log").read_text()
    name = lines_of(home / "r.git/annexshell-audit.jsonl")[0]["session"]
    form = (
        rf"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ {name} [A-Z]+ annexshell\.\S+: .+"
    )
    lines = text.splitlines()
    assert all(re.fullmatch(form, line) for line in lines), text
    assert any("asked for Remove(" in line for line in lines)
    assert r"name=b'a\rb'" in text


def test_debug_output_on_stderr_only_when_asked(home: Path) -> None:
    with started(home, "--debug") as session:
        session.greet()
        ended = session.end()
    form = r"\S+Z [0-9a-f]{12} DEBUG annexshell\.serve: .+"
    assert ended.err and all(re.fullmatch(form, x) for x in ended.err.splitlines())


def test_a_debug_file_that_cannot_be_written_is_one_warning(home: Path) -> None:
    configure(home, "annexshell.log", "objects/debug.log")
    with started(home) as session:
        session.greet()
        assert session.ask(b"REMOVE " + KEY) == b"SUCCESS"
        ended = session.end()
    assert ended.err.count("annexshell.log cannot be written to") == 1
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("on", [False, True])
def test_nothing_is_loaded_for_a_log_that_is_not_kept(home: Path, on: bool) -> None:
    if on:
        configure(home, "annexshell.auditlog", "annexshell-audit.jsonl")
    seen = home / "seen"
    start = (
        "import sys; from annexshell.cli.shell import main; code = main();"
        f"open({str(seen)!r}, 'w').write(' '.join(sys.modules)); sys.exit(code)"
    )
    with started(home, start=start) as session:
        session.greet()
        assert session.ask(b"REMOVE " + KEY) == b"SUCCESS"
        session.end()
    loaded = set(seen.read_text().split())
    needed = {"json", "annexshell.repository.logfile"}
    assert loaded & needed == (needed if on else set())
    assert not loaded & {"inotify_simple", "annexshell.repository.watching"}
