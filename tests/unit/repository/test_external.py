"""External backends: the program's word, and what happens if it breaks (spec 02 §3.4)."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from annexshell.errors import BackendFailed, InsecureKey, NotVerifiable
from annexshell.model.key import Key
from annexshell.model.payload import Validity
from annexshell.repository.content import Content
from annexshell.repository.hashing import check_of
from annexshell.repository.objects import status_of
from annexshell.repository.open import Repository
from tests.support.backends import VERIFY, asked, md5_name, write_backend
from tests.support.content import (
    HELLO,
    begin,
    interrupt,
    make_repository,
    put,
    tmp_path_of,
)

KEY = Key.parse(f"XFOO-s6--{md5_name(HELLO)}".encode())
EXTENDED = Key.parse(f"XFOOE-s6--{md5_name(HELLO)}.txt".encode())
WRONG = b"hallo\n"
QUESTIONS = ["GETVERSION  ", "CANVERIFY  ", "ISCRYPTOGRAPHICALLYSECURE  "]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is first in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "r", more={"annexshell_backend-timeout": "60"})


@pytest.fixture
def content(repository: Repository) -> Content:
    return Content(repository)


def partial_is_kept(repository: Repository, key: Key) -> bool:
    return status_of(str(tmp_path_of(repository, key))) is not None


# -- a program that works -----------------------------------------------------------------------


def test_the_program_decides(
    content: Content, repository: Repository, programs: Path
) -> None:
    program = write_backend(programs, "XFOO")
    assert not put(content, KEY, WRONG)
    assert not partial_is_kept(repository, KEY)
    assert put(content, KEY, HELLO)
    assert content.present(KEY)
    path = tmp_path_of(repository, KEY)
    verification = ["GETVERSION  ", f"VERIFYKEYCONTENT {KEY} {path}"]
    assert asked(program) == QUESTIONS + verification * 2


def test_an_extension_is_not_the_programs_concern(
    content: Content, repository: Repository, programs: Path
) -> None:
    program = write_backend(programs, "XFOO")
    assert put(content, EXTENDED, HELLO)
    path = tmp_path_of(repository, EXTENDED)
    assert asked(program)[-1] == f"VERIFYKEYCONTENT {KEY} {path}"


def test_the_size_counts_whatever_the_program_says(
    content: Content, programs: Path
) -> None:
    program = write_backend(
        programs, "XFOO", verify="echo VERIFYKEYCONTENT-SUCCESS", verifies="YES"
    )
    assert not put(content, KEY, HELLO[:-1])
    assert asked(program) == QUESTIONS


def test_what_the_program_can_verify_is_resumed_and_needs_no_voucher(
    content: Content, programs: Path
) -> None:
    write_backend(programs, "XFOO")
    interrupt(content, KEY, HELLO[:3])
    with begin(content, KEY) as intake:
        assert intake.offset == 3
        intake.write(HELLO[3:])
        assert intake.finish(Validity.INVALID, lambda: None)


def test_a_wrong_prefix_is_found_out(
    content: Content, repository: Repository, programs: Path
) -> None:
    write_backend(programs, "XFOO")
    interrupt(content, KEY, WRONG[:3])
    assert not put(content, KEY, HELLO)
    assert put(content, KEY, HELLO)


def test_it_gets_neither_our_streams_nor_our_locks(
    content: Content, repository: Repository, programs: Path
) -> None:
    program = write_backend(programs, "XFOO")
    assert put(content, KEY, HELLO)
    held = Path(f"{program}.descriptors").read_text()
    assert "pipe:" in held
    assert repository.annex_dir not in held


def test_a_program_that_verifies_nothing(content: Content, programs: Path) -> None:
    write_backend(programs, "XFOO", verifies="NO")
    interrupt(content, KEY, WRONG[:3])
    with begin(content, KEY) as intake:
        assert intake.offset == 0
    assert put(content, KEY, WRONG)


@pytest.mark.parametrize("secure", ["YES", "NO"])
def test_the_program_says_whether_it_is_secure(
    tmp_path: Path, programs: Path, secure: str
) -> None:
    write_backend(programs, "XFOO", secure=secure)
    repository = make_repository(tmp_path / "s", annex_securehashesonly="true")
    if secure == "YES":
        assert put(Content(repository), KEY, HELLO)
    else:
        with pytest.raises(InsecureKey):
            begin(Content(repository), KEY)


def test_objects_of_a_repository_with_thin_files_are_verified(
    tmp_path: Path, programs: Path
) -> None:
    write_backend(programs, "XFOO")
    repository = make_repository(tmp_path / "t", bare=False, annex_thin="true")
    content = Content(repository)
    assert put(content, KEY, HELLO)
    place = Path(content.annex.paths.places(KEY)[0].object)
    place.chmod(0o644)
    place.write_bytes(HELLO)
    assert Content(repository).present(KEY)
    place.write_bytes(WRONG)
    assert not Content(repository).present(KEY)


# -- no program ------------------------------------------------------------------------------


def test_without_the_program_only_the_size_counts(
    content: Content, programs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert not put(content, KEY, HELLO[:-1])
        assert put(content, KEY, WRONG)
    assert "cannot run git-annex-backend-XFOO: it is not installed" in caplog.text


def test_without_the_program_the_sender_has_to_vouch_and_to_start_again(
    content: Content, programs: Path
) -> None:
    interrupt(content, KEY, WRONG[:3])
    with begin(content, KEY) as intake:
        assert intake.offset == 0
        intake.write(HELLO)
        assert not intake.finish(Validity.INVALID, lambda: None)


def test_without_the_program_nothing_is_secure(tmp_path: Path, programs: Path) -> None:
    repository = make_repository(tmp_path / "s", annex_securehashesonly="true")
    with pytest.raises(InsecureKey):
        begin(Content(repository), KEY)


@pytest.mark.parametrize(
    "key", ["X--x", "XE--x", "Xfoo--x", "X/../XFOO--x", "XA.B--x", "X F--x", "X\xe9--x"]
)
def test_names_that_no_program_can_have(
    repository: Repository, programs: Path, key: str
) -> None:
    for name in ("X", "Xfoo", "XA.B", "X F"):
        write_backend(programs, name)
    with pytest.raises(NotVerifiable, match="can have this name"):
        check_of(repository, Key.parse(key.encode()))


@pytest.mark.parametrize("space", [" ", "\t", "\x0b"])
def test_a_key_cannot_choose_the_file_that_is_verified(
    repository: Repository, programs: Path, tmp_path: Path, space: str
) -> None:
    """git-annex sends it, and the program verifies the file that the client named."""
    program = write_backend(programs, "XFOO")
    good = tmp_path / "good"
    good.write_bytes(HELLO)
    key = Key.parse(f"XFOO-s6--{md5_name(HELLO)}{space}{good}".encode())
    with pytest.raises(NotVerifiable, match="a space"):
        check_of(repository, key)
    assert asked(program) == []


# -- a program that does not work ------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "exit 0",
        "kill -9 $$",
        "echo VERSION 2",
        "echo ERROR no",
        "echo PROGRESS 5",
        "printf %70000d 1",
        "exec sleep 1000 >&-",
    ],
)
def test_a_broken_program_is_noticed_before_content_comes(
    content: Content, programs: Path, answer: str
) -> None:
    write_backend(programs, "XFOO", version=answer)
    with pytest.raises(BackendFailed, match="git-annex-backend-XFOO"):
        begin(content, KEY)


def test_a_file_that_is_no_program(content: Content, programs: Path) -> None:
    path = write_backend(programs, "XFOO")
    path.write_text("#!/nonexistent/interpreter\n")
    with pytest.raises(BackendFailed):
        begin(content, KEY)


@pytest.mark.parametrize("answer", ["exit 0", "echo VERIFYKEYCONTENT-MAYBE", "echo"])
def test_a_program_that_breaks_at_the_end_neither_accepts_nor_costs_the_content(
    content: Content, repository: Repository, programs: Path, answer: str
) -> None:
    write_backend(programs, "XFOO", verify=answer)
    with pytest.raises(BackendFailed):
        put(content, KEY, HELLO)
    assert not content.present(KEY)
    write_backend(programs, "XFOO")
    with begin(content, KEY) as intake:
        assert intake.offset == len(HELLO)
        assert intake.finish(Validity.VALID, lambda: None)


def test_an_error_is_a_no(
    content: Content,
    repository: Repository,
    programs: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_backend(programs, "XFOO", verify="echo ERROR the disk is on fire")
    assert not put(content, KEY, HELLO)
    assert not partial_is_kept(repository, KEY)
    assert "the disk is on fire" in caplog.text


def test_a_program_that_hangs_is_ended(tmp_path: Path, programs: Path) -> None:
    more = {"annexshell_backend-timeout": "1"}
    repository = make_repository(tmp_path / "h", more=more)
    hanging = f"echo $$ >{tmp_path}/pid; exec sleep 1000"
    write_backend(programs, "XFOO", verify=hanging)
    with pytest.raises(BackendFailed, match="silent for 1 seconds"):
        put(Content(repository), KEY, HELLO)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("patience", ["-1", "0", "9" * 30, "soon", "1m", "never"])
def test_any_number_may_be_set(tmp_path: Path, programs: Path, patience: str) -> None:
    more = {"annexshell_backend-timeout": patience}
    repository = make_repository(tmp_path / "n", more=more)
    write_backend(programs, "XFOO")
    assert put(Content(repository), KEY, HELLO)


def test_a_slow_program_may_take_its_time(tmp_path: Path, programs: Path) -> None:
    more = {"annexshell_backend-timeout": "3"}
    repository = make_repository(tmp_path / "h", more=more)
    slow = "for n in 1 2 3 4 5 6 7 8; do sleep 0.5; echo PROGRESS $n; done; "
    write_backend(programs, "XFOO", verify=slow + VERIFY)
    assert put(Content(repository), KEY, HELLO)


def test_a_repository_whose_path_would_end_the_line(
    tmp_path: Path, programs: Path
) -> None:
    write_backend(programs, "XFOO")
    content = Content(make_repository(tmp_path / "line\nfeed"))
    with pytest.raises(NotVerifiable, match="line feed"):
        put(content, KEY, HELLO)
