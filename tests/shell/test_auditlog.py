"""annexshell.auditlog and annexshell.log in sessions of the program itself."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.support.audit import lines_of, told
from tests.support.session import CLIENT_UUID, Session, sha256_key
from tests.support.shell import UUID_HERE, environment, git, make_annex

_START = "import sys; from annexshell.cli.shell import main; sys.exit(main())"
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


def started(home: Path, *options: str, start: str = _START, **env: str) -> Session:
    words = " ".join(("git-annex-shell p2pstdio r.git", CLIENT_UUID, *options))
    argv = [sys.executable, "-c", start, "-c", words]
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


def test_what_was_answered_is_in_the_log_already(home: Path) -> None:
    """Also if the session is killed next."""
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
