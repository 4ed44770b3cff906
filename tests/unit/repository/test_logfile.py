"""Where an operator's log may be, and that no trouble with it is anybody else's."""

from __future__ import annotations

import errno
import logging
import os
import stat
from pathlib import Path

import pytest

from annexshell.repository import ownership
from annexshell.repository.logfile import LogFile, configured
from annexshell.repository.open import Repository, open_repository
from tests.support.shell import git, make_annex

SETTING = "annexshell.auditlog"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return make_annex(tmp_path.resolve() / "r", bare=False)


def opened(path: Path, value: str | None, **settings: str) -> Repository:
    if value is not None:
        git("-C", path, "config", SETTING, value)
    for name, setting in settings.items():
        git("-C", path, "config", name.replace("_", "."), setting)
    return open_repository(str(path))


def logged_to(path: Path, value: str, **settings: str) -> LogFile:
    found = configured(opened(path, value, **settings), SETTING)
    assert found is not None
    return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_unset_or_set_to_nothing(path: Path) -> None:
    assert configured(opened(path, None), SETTING) is None
    assert configured(opened(path, ""), SETTING) is None


def test_an_absolute_path(path: Path) -> None:
    target = path.parent / "audit.jsonl"
    log = logged_to(path, str(target))
    assert log.append(b"one\n") and log.append(b"two\n")
    assert target.read_bytes() == b"one\ntwo\n"


def test_a_path_in_the_home_directory(path: Path) -> None:
    log = logged_to(path, "~/audit.jsonl")
    assert log.append(b"one\n")
    assert (path.parent / "audit.jsonl").read_bytes() == b"one\n"


def test_a_relative_path_is_in_the_git_directory(path: Path) -> None:
    log = logged_to(path, "annexshell-audit.jsonl")
    assert log.append(b"one\n")
    assert (path / ".git/annexshell-audit.jsonl").read_bytes() == b"one\n"


def test_a_linked_worktree_shares_its_main_repositorys(path: Path) -> None:
    git("-C", path, "commit", "-q", "--allow-empty", "-m", "start")
    tree = path.parent / "tree"
    git("-C", path, "worktree", "add", "-q", tree)
    git("-C", path, "config", SETTING, "annexshell/audit")
    (path / ".git/annexshell").mkdir()
    log = configured(open_repository(str(tree)), SETTING)
    assert log is not None and log.append(b"one\n")
    assert (path / ".git/annexshell/audit").read_bytes() == b"one\n"


@pytest.mark.parametrize("umask", [0o000, 0o077])
@pytest.mark.parametrize(
    ("sharing", "expected"),
    [("false", 0o600), ("group", 0o660), ("all", 0o660), ("0640", 0o640)],
)
def test_only_the_group_may_share_it(
    path: Path, sharing: str, expected: int, umask: int
) -> None:
    target = path.parent / "audit.jsonl"
    log = logged_to(path, str(target), core_sharedRepository=sharing)
    before = os.umask(umask)
    try:
        assert log.append(b"one\n")
    finally:
        os.umask(before)
    assert mode(target) == expected


def test_a_mode_that_was_chosen_stays(path: Path) -> None:
    target = path.parent / "audit.jsonl"
    target.touch()
    target.chmod(0o644)
    assert logged_to(path, str(target)).append(b"one\n")
    assert mode(target) == 0o644


def test_a_rotated_file_is_left_at_once(path: Path) -> None:
    target = path.parent / "audit.jsonl"
    log = logged_to(path, str(target))
    log.append(b"one\n")
    target.rename(path.parent / "audit.jsonl.1")
    log.append(b"two\n")
    assert target.read_bytes() == b"two\n"
    assert (path.parent / "audit.jsonl.1").read_bytes() == b"one\n"


@pytest.mark.parametrize(
    "place",
    [
        "config",
        "objects/audit",
        "refs/heads/audit",
        "annex/objects/audit",
        "annex/journal/audit",
        "hooks/post-receive",
        "./config",
        "annexshell/../config",
        "../in-the-work-tree",
        "../annexshell-audit",
    ],
)
def test_neither_gits_files_nor_the_work_tree(path: Path, place: str) -> None:
    log = logged_to(path, place)
    before = (path / ".git/config").read_bytes()
    assert not log.append(b"one\n")
    assert log.refused
    assert (path / ".git/config").read_bytes() == before
    assert not (path / "in-the-work-tree").exists()


def test_a_link_into_the_repository_is_seen_through(path: Path) -> None:
    (path.parent / "elsewhere").symlink_to(path / ".git/hooks")
    log = logged_to(path, str(path.parent / "elsewhere/post-receive"))
    assert not log.append(b"one\n")
    assert not (path / ".git/hooks/post-receive").exists()


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_in_the_last_place_is_not_followed(path: Path, exists: bool) -> None:
    target = path.parent / "target"
    if exists:
        target.write_bytes(b"precious")
    (path.parent / "audit.jsonl").symlink_to(target)
    assert not logged_to(path, str(path.parent / "audit.jsonl")).append(b"one\n")
    assert target.exists() is exists
    assert not exists or target.read_bytes() == b"precious"


def test_a_fifo_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path.parent / "fifo")
    assert not logged_to(path, str(path.parent / "fifo")).append(b"one\n")


@pytest.mark.parametrize("place", ["", "none/audit.jsonl", "/dev/null"])
def test_what_cannot_be_written_is_one_warning(
    path: Path, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    log = logged_to(path, os.path.join(path.parent, place))
    with caplog.at_level(logging.WARNING):
        assert not log.append(b"one\n")
        assert not log.append(b"two\n")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"{SETTING} cannot be written to ({log.path})" in caplog.text


def test_half_a_line_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk takes what still fits."""
    target = path.parent / "audit.jsonl"
    log = logged_to(path, str(target))
    assert log.append(b"one\n")
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda fd, data: write(fd, data[:2]))
        assert not log.append(b"two\n")
    assert target.read_bytes() == b"one\n"
    assert log.append(b"three\n")
    assert target.read_bytes() == b"one\nthree\n"


def test_half_a_line_stays_if_somebody_wrote_behind_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = path.parent / "audit.jsonl"
    log = logged_to(path, str(target))
    write = os.write

    def partly(fd: int, data: bytes) -> int:
        written = write(fd, data[:2])
        with target.open("ab") as other:
            other.write(b"whole\n")
        return written

    with monkeypatch.context() as full:
        full.setattr(os, "write", partly)
        assert not log.append(b"two\n")
    assert target.read_bytes() == b"twwhole\n"


def test_a_disk_that_is_full_now_may_have_room_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = path.parent / "audit.jsonl"
    log = logged_to(path, str(target))

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as now:
        now.setattr(os, "write", full)
        assert not log.append(b"one\n")
    assert log.append(b"two\n")
    assert target.read_bytes() == b"two\n"


def test_many_processes_at_once(path: Path) -> None:
    """Each line arrives whole."""
    target = path.parent / "audit.jsonl"
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            log = LogFile(SETTING, str(target), 0o600)
            line = b"%d" % number * 5000 + b"\n"
            os._exit(0 if all([log.append(line) for _ in range(50)]) else 1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    lines = target.read_bytes().splitlines()
    assert len(lines) == 200
    assert set(lines) == {b"%d" % n * 5000 for n in range(4)}


class TestAnotherUsersRepository:
    @pytest.fixture(autouse=True)
    def foreign(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stranger = os.geteuid() + 12345
        monkeypatch.setattr(ownership, "owners_of", lambda git_dir: {0, stranger})

    @pytest.mark.parametrize("value", ["ABSOLUTE", "annexshell-audit"])
    def test_its_config_names_no_file_of_ours(
        self, path: Path, value: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        target = path.parent / "bashrc"
        log = logged_to(path, str(target) if value == "ABSOLUTE" else value)
        assert not log.append(b"one\n")
        assert "another user's" in caplog.text
        assert not target.exists() and not (path / ".git/annexshell-audit").exists()

    @pytest.mark.parametrize("theirs", [None, "", "/tmp/theirs"])
    def test_the_accounts_own_config_counts(
        self, path: Path, theirs: str | None
    ) -> None:
        target = path.parent / "audit.jsonl"
        own = path.parent / ".gitconfig"
        own.write_text(f"[annexshell]\n\tauditlog = {target}\n")
        log = configured(opened(path, theirs), SETTING)
        assert log is not None and log.append(b"one\n")
        assert target.read_bytes() == b"one\n"

    def test_but_not_for_a_path_that_its_owner_could_redirect(self, path: Path) -> None:
        own = path.parent / ".gitconfig"
        own.write_text("[annexshell]\n\tauditlog = annexshell/audit\n")
        (path.parent / "elsewhere").mkdir()
        (path / ".git/annexshell").symlink_to(path.parent / "elsewhere")
        log = configured(opened(path, None), SETTING)
        assert log is not None and not log.append(b"one\n")
        assert list((path.parent / "elsewhere").iterdir()) == []

    def test_unless_the_account_calls_it_safe(self, path: Path) -> None:
        own = path.parent / ".gitconfig"
        own.write_text(f"[safe]\n\tdirectory = {path}\n")
        assert logged_to(path, "annexshell-audit").append(b"one\n")


def test_a_repository_that_has_gone_is_no_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = opened(path, "annexshell-audit")
    path.rename(path.parent / "gone")
    log = configured(repository, SETTING)
    assert log is not None and not log.append(b"one\n")
