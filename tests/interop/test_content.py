"""Our object store and git-annex's, on one repository (spec 02, Appendix A)."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from annexshell.errors import ContentLocked, TransferInProgress
from annexshell.model.payload import Validity
from annexshell.repository.content import Content
from annexshell.repository.filelock import holder_of
from annexshell.repository.open import Repository, open_repository
from tests.support.content import (
    HELLO,
    PEER,
    Log,
    begin,
    drop,
    files_below,
    git,
    interrupt,
    mode_of,
    object_path,
    put,
    sha256_key,
    tmp_path_of,
    write_object,
)
from tests.support.faults import every_death

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("git-annex") is None, reason="no git-annex"),
]

KEY = sha256_key(HELLO)
BIG = b"0123456789abcdef" * 4096


@attrs.frozen
class GitAnnex:
    """git-annex at work in one repository."""

    directory: Path

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "-C", str(self.directory), "annex", *words],
            capture_output=True,
            text=True,
            check=check,
            timeout=60,
        )

    def open(self) -> Repository:
        return open_repository(os.path.realpath(self.directory))

    def content(self) -> Content:
        return Content(self.open())

    def log(self, present: bool) -> None:
        """Records in git-annex's own way."""
        uuid = os.fsdecode(self.open().uuid)
        self.run("setpresentkey", str(KEY), uuid, "1" if present else "0")

    def dropkey(self) -> str:
        """The complaint; empty if the key was dropped."""
        done = self.run("dropkey", "--force", str(KEY), check=False)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def fsck(self) -> str:
        """What is not in order."""
        done = self.run("fsck", "--all", "--quiet", check=False)
        return done.stdout + done.stderr

    def shell(self, *words: str) -> int:
        done = subprocess.run(
            ["git-annex-shell", *words], capture_output=True, check=False, timeout=60
        )
        return done.returncode

    def inannex(self) -> int:
        return self.shell("inannex", str(self.directory), str(KEY))

    def session(self) -> Session:
        return Session(self)

    def leftovers(self) -> list[str]:
        annex = Path(self.open().annex_dir)
        return [
            str(path.relative_to(annex))
            for path in files_below(annex)
            if path.suffix in (".rtm", ".rtl")
            or path.name.endswith(f"{KEY}.lck")
            or path.relative_to(annex).parts[0] in ("tmp", "transfer")
        ]


class Session:
    """A p2pstdio server of git-annex that we are the client of."""

    def __init__(self, annex: GitAnnex) -> None:
        uuid = os.fsdecode(PEER)
        self._process = subprocess.Popen(
            ["git-annex-shell", "p2pstdio", str(annex.directory), uuid],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.hear().startswith("AUTH-SUCCESS")
        self.say("VERSION 1")
        assert self.hear() == "VERSION 1"

    def say(self, line: str, data: bytes = b"") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n" + data)
        self._process.stdin.flush()

    def hear(self) -> str:
        """A line; empty when the server has gone."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().rstrip("\n")

    def ask(self, line: str) -> str:
        self.say(line)
        return self.hear()

    def put(self, data: bytes) -> str:
        answer = self.ask(f"PUT  {KEY}")
        if not answer.startswith("PUT-FROM"):
            return answer
        offset = int(answer.split()[1])
        self.say(f"DATA {len(data) - offset}", data[offset:] + b"VALID\n")
        return self.hear()

    def kill(self) -> None:
        self._process.kill()
        self._close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()

    def _close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # The server went first, which some tests are about.
        self._process.stdout.close()
        self._process.wait(timeout=60)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = t\n\temail = t@example.com\n")
    monkeypatch.setenv("HOME", str(home))


def make_annex(path: Path, version: str = "10", *, bare: bool = True) -> GitAnnex:
    words = ["--bare"] if bare else []
    subprocess.run(["git", "init", "--quiet", *words, str(path)], check=True)
    annex = GitAnnex(path)
    annex.run("init", "test")
    git(path, "config", "annex.version", version)
    git(path, "config", "annex.autoupgraderepository", "false")
    git(path, "config", "annex.diskreserve", "0")
    return annex


@pytest.fixture(params=["9", "10"])
def annex(tmp_path: Path, request: pytest.FixtureRequest) -> GitAnnex:
    return make_annex(tmp_path / "r", request.param)


@pytest.fixture
def annex10(tmp_path: Path) -> GitAnnex:
    return make_annex(tmp_path / "r")


def stored(annex: GitAnnex) -> Content:
    content = annex.content()
    with begin(content, KEY) as intake:
        intake.write(HELLO)
        assert intake.finish(Validity.VALID, lambda: annex.log(True))
    return content


def test_what_we_store_and_remove_is_in_order(annex: GitAnnex) -> None:
    content = stored(annex)
    assert annex.inannex() == 0
    assert annex.fsck() == ""
    assert content.remove(
        KEY, None, lambda: 0, prepare=Log().prepare, record=lambda: annex.log(False)
    )
    assert annex.inannex() == 1
    # Its log has it nowhere, which is the truth.
    assert "No known copies" in annex.fsck()
    assert annex.leftovers() == []


def test_what_git_annex_stores_we_serve_and_remove(annex: GitAnnex) -> None:
    with annex.session() as session:
        assert session.put(HELLO) == "SUCCESS"
    content = annex.content()
    opened = content.open_for_get(KEY, 2)
    assert opened is not None
    with opened:
        assert os.pread(opened.fd, opened.length, opened.offset) == HELLO[2:]
        assert opened.still_valid()
        assert annex.dropkey() == ""
        assert not opened.still_valid()
    assert not content.present(KEY)


def test_git_annex_respects_our_lock(annex: GitAnnex) -> None:
    lock = stored(annex).lock_shared(KEY)
    assert lock is not None
    assert "content is locked" in annex.dropkey()
    assert annex.inannex() == 0
    with annex.session() as session:
        assert session.ask(f"LOCKCONTENT {KEY}") == "SUCCESS"
        lock.unlock()
        session.say("UNLOCKCONTENT")
    assert annex.dropkey() == ""
    assert annex.leftovers() == []


def test_git_annex_sees_our_removal(annex: GitAnnex) -> None:
    content = stored(annex)
    seen: list[object] = []

    def clock() -> int:
        seen.append(annex.inannex())
        with annex.session() as session:
            seen.append(session.ask(f"LOCKCONTENT {KEY}"))
        return 2

    assert not content.remove(KEY, 1, clock, prepare=Log().prepare, record=Log().absent)
    assert seen == [100, "FAILURE"]
    assert annex.inannex() == 0
    assert annex.fsck() == ""


def test_we_respect_git_annexs_lock(annex: GitAnnex) -> None:
    content = stored(annex)
    with annex.session() as session:
        assert session.ask(f"LOCKCONTENT {KEY}") == "SUCCESS"
        with pytest.raises(ContentLocked):
            drop(content, KEY)
        session.say("UNLOCKCONTENT")
    assert drop(content, KEY)
    assert annex.leftovers() == []


@pytest.mark.parametrize("ours_first", [True, False])
def test_locks_of_both_at_once_are_safe(annex10: GitAnnex, ours_first: bool) -> None:
    content = stored(annex10)
    with annex10.session() as session:
        assert session.ask(f"LOCKCONTENT {KEY}") == "SUCCESS"
        lock = content.lock_shared(KEY)
        assert lock is not None
        if ours_first:
            lock.unlock()
        with pytest.raises(ContentLocked):
            drop(content, KEY)
        session.say("UNLOCKCONTENT")
    if not ours_first:
        assert "content is locked" in annex10.dropkey()
        lock.unlock()
    # Neither can tell whether the other's promise still counts, so it does.
    with pytest.raises(ContentLocked, match="promised"):
        drop(content, KEY)


def test_we_respect_the_promise_of_a_killed_git_annex(annex10: GitAnnex) -> None:
    content = stored(annex10)
    with annex10.session() as session:
        assert session.ask(f"LOCKCONTENT {KEY}") == "SUCCESS"
        session.kill()
    with pytest.raises(ContentLocked, match="promised"):
        drop(content, KEY)
    # Ours on top of it, unlocked in order, must not end it.
    lock = content.lock_shared(KEY)
    assert lock is not None
    lock.unlock()
    with pytest.raises(ContentLocked, match="promised"):
        drop(content, KEY)
    assert "content is locked" in annex10.dropkey()


def test_git_annex_respects_our_promise(annex10: GitAnnex) -> None:
    content = stored(annex10)
    lock = content.lock_shared(KEY)
    assert lock is not None
    lock.close()
    assert "content is locked" in annex10.dropkey()
    stamp = Path(lock.place.retention)
    stamp.write_text(f"{time.time() - 1:.3f}s")
    assert annex10.dropkey() == ""
    assert annex10.leftovers() == []


def test_upgraders_wait_for_our_lock(tmp_path: Path) -> None:
    annex = make_annex(tmp_path / "r", "9")
    lock = stored(annex).lock_shared(KEY)
    assert lock is not None and lock.guard is not None
    assert lock.guard.path == str(Path(annex.open().annex_dir, "sentinal"))
    lock.unlock()


def test_transfers_exclude_each_other(annex10: GitAnnex) -> None:
    content = annex10.content()
    with begin(content, KEY) as intake, annex10.session() as session:
        assert session.put(HELLO) == ""
        info = annex10.run("info").stdout
        assert "downloading" in info
        intake.write(HELLO)
        assert intake.finish(Validity.VALID, lambda: annex10.log(True))
    assert annex10.fsck() == ""
    key = sha256_key(BIG)
    with annex10.session() as session:
        assert session.ask(f"PUT  {key}") == "PUT-FROM 0"
        session.say(f"DATA {len(BIG)}", BIG[: len(BIG) // 2])
        lock = content.annex.paths.download_lock(key)
        deadline = time.monotonic() + 60
        # The file is there a moment before it is locked.
        while holder_of(lock) is None:
            assert time.monotonic() < deadline, "git-annex took no transfer lock"
            os.sched_yield()
        with pytest.raises(TransferInProgress):
            content.begin_intake(key, peer=PEER)
        session.kill()
    assert put(content, key, BIG)


def test_each_resumes_what_the_other_began(annex10: GitAnnex) -> None:
    interrupt(annex10.content(), KEY, b"hel")
    with annex10.session() as session:
        assert session.ask(f"PUT  {KEY}") == "PUT-FROM 3"
        session.say("DATA 3", b"lo\nVALID\n")
        assert session.hear() == "SUCCESS"
    assert annex10.fsck() == ""
    assert not tmp_path_of(annex10.open(), KEY).exists()


SHARING = ["false", "group", "all", "0660", "0640", "0664", "0644", "660"]


@pytest.mark.parametrize("setting", SHARING)
def test_modes_are_git_annexs_own(annex: GitAnnex, setting: str) -> None:
    git(annex.directory, "config", "core.sharedRepository", setting)
    modes = []
    for store in (lambda: stored(annex), lambda: theirs(annex)):
        store()
        path = object_path(annex.open(), KEY)
        modes.append([mode_of(p) for p in (path, path.parent, path.parent.parent)])
        # By us: git-annex's own dropkey fails for all but root where the setting is octal.
        assert drop(annex.content(), KEY)
    assert modes[0] == modes[1]


def theirs(annex: GitAnnex) -> None:
    with annex.session() as session:
        assert session.put(HELLO) == "SUCCESS"


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[GitAnnex]:
    """A work tree with one unlocked and one locked file, both without content."""
    annex = make_annex(tmp_path / "w", bare=False)
    for name in ("unlocked", "locked"):
        (annex.directory / name).write_bytes(HELLO)
    git(annex.directory, "config", "annex.backend", "SHA256")
    annex.run("add", "locked")
    git(annex.directory, "config", "annex.addunlocked", "true")
    annex.run("add", "unlocked")
    git(annex.directory, "commit", "--quiet", "-m", "add")
    yield annex


def test_work_tree_files_follow_what_we_remove_and_store(clone: GitAnnex) -> None:
    content = clone.content()
    assert content.present(KEY)
    assert content.remove(
        KEY, None, lambda: 0, prepare=Log().prepare, record=lambda: clone.log(False)
    )
    pointer = f"/annex/objects/{KEY}\n".encode()
    assert (clone.directory / "unlocked").read_bytes() == pointer
    stored(clone)
    assert (clone.directory / "locked").read_bytes() == HELLO
    assert (clone.directory / "unlocked").read_bytes() == HELLO
    # The object is another file than before, and git-annex finds it recorded.
    assert clone.fsck() == ""


def test_d1_thin_content_edited_and_put_again(clone: GitAnnex) -> None:
    git(clone.directory, "config", "annex.thin", "true")
    clone.run("fix")
    content = clone.content()
    path = object_path(clone.open(), KEY)
    assert path.stat().st_nlink == 2
    assert content.present(KEY)
    with (clone.directory / "unlocked").open("r+b") as file:
        file.write(b"H")
    content = clone.content()
    assert not content.present(KEY)
    assert put(content, KEY, HELLO)
    assert (clone.directory / "unlocked").read_bytes() == b"Hello\n"
    assert path.read_bytes() == HELLO
    assert clone.inannex() == 0


def test_git_annex_recovers_from_our_death_while_receiving(annex: GitAnnex) -> None:
    recorded = annex.directory / "recorded"

    def receive() -> None:
        with begin(annex.content(), KEY) as intake:
            intake.prehash()
            intake.write(HELLO[intake.offset :])
            intake.finish(Validity.VALID, recorded.touch)

    for _ in every_death(receive):
        if recorded.exists():
            assert annex.inannex() == 0
            recorded.unlink()
        with annex.session() as session:
            assert session.put(HELLO) in ("SUCCESS", "ALREADY-HAVE")
        annex.fsck()
        assert annex.fsck() == ""
        assert object_path(annex.open(), KEY).read_bytes() == HELLO
        assert annex.dropkey() == ""
        # Listing the transfers sweeps the info files; lock files without lock are inert.
        annex.run("info", "--fast")
        assert [name for name in annex.leftovers() if "/lck." not in name] == []


def test_git_annex_recovers_from_our_death_while_removing(annex: GitAnnex) -> None:
    def remove() -> None:
        drop(annex.content(), KEY, before=1)

    stored(annex)
    for _ in every_death(remove):
        with annex.session() as session:
            assert session.put(HELLO) in ("SUCCESS", "ALREADY-HAVE")
        annex.fsck()
        assert annex.fsck() == ""
    assert annex.inannex() == 1


def test_a_damaged_object_is_replaced(annex: GitAnnex) -> None:
    write_object(annex.open(), KEY, b"hel")
    assert put(annex.content(), KEY, HELLO)
    annex.log(True)
    assert annex.fsck() == ""
