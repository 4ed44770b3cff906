"""Removing content (spec 02 §11)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from annexshell.errors import ContentLocked, JournalFailed, RemovalRefused
from annexshell.model.key import Key
from annexshell.repository.content import Content
from annexshell.repository.dropping import Dropping, Trash
from annexshell.repository.filelock import try_lock
from annexshell.repository.locking import Locking
from annexshell.repository.objects import OpenObject
from annexshell.repository.open import Repository
from annexshell.repository.paths import ObjectPlace
from tests.support.content import (
    HELLO,
    Log,
    drop,
    files_below,
    make_repository,
    object_path,
    put,
    sha256_key,
    write_object,
)

KEY = sha256_key(HELLO)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "r")


@pytest.fixture
def content(repository: Repository) -> Content:
    content = Content(repository)
    assert put(content, KEY, HELLO)
    return content


def no_clock() -> int:
    raise AssertionError("the clock was looked at")


def test_content_goes_and_that_is_recorded(
    repository: Repository, content: Content
) -> None:
    log = Log()
    assert content.remove(KEY, None, no_clock, prepare=log.prepare, record=log.absent)
    assert not content.present(KEY)
    assert log.entries == ["absent"]
    assert os.listdir(content.annex.paths.objects) == []


def test_absent_content_needs_no_lock_and_no_record(content: Content) -> None:
    log = Log(fails=AssertionError("nothing is to be recorded"))
    key = sha256_key(b"other")
    assert content.remove(key, 0, no_clock, prepare=log.prepare, record=log.absent)
    assert not os.path.exists(content.annex.paths.places(key)[0].directory)


@pytest.mark.parametrize(("now", "removed"), [(9, True), (10, False), (11, False)])
def test_the_deadline_is_exclusive(content: Content, now: int, removed: bool) -> None:
    assert drop(content, KEY, before=10, now=now) is removed
    assert content.present(KEY) is not removed


@pytest.mark.parametrize("version", ["9", "10"])
def test_the_clock_is_compared_under_the_lock(tmp_path: Path, version: str) -> None:
    content = Content(make_repository(tmp_path / "r", version=version))
    put(content, KEY, HELLO)
    held = []

    def clock() -> int:
        held.append(content.being_removed(KEY))
        return 0

    log = Log()
    assert content.remove(KEY, 1, clock, prepare=log.prepare, record=log.absent)
    assert held == [True]


def test_the_clock_is_compared_after_thawing(
    repository: Repository, content: Content
) -> None:
    """A command that thaws may take longer than the time that is left."""
    path = object_path(repository, KEY)

    def clock() -> int:
        return 10 if path.parent.stat().st_mode & 0o200 else 0

    log = Log()
    assert not content.remove(KEY, 5, clock, prepare=log.prepare, record=log.absent)
    assert content.present(KEY) and log.entries == []
    assert path.parent.stat().st_mode & 0o222 == 0 == path.stat().st_mode & 0o222


def test_after_the_deadline_nothing_is_left_but_the_object(
    repository: Repository, content: Content
) -> None:
    assert not drop(content, KEY, before=1, now=2)
    path = object_path(repository, KEY)
    assert os.listdir(path.parent) == [path.name]
    assert path.parent.stat().st_mode & 0o222 == 0


def test_what_cannot_be_recorded_is_not_removed(content: Content) -> None:
    log = Log(fails=JournalFailed(where="journal", detail="disk full"))
    with pytest.raises(JournalFailed):
        content.remove(KEY, None, no_clock, prepare=log.prepare, record=log.absent)
    assert content.present(KEY)


def test_the_record_is_written_under_the_lock_and_after_the_removal(
    content: Content,
) -> None:
    seen = []

    def record() -> None:
        seen.append((content.present(KEY), content.being_removed(KEY)))

    content.remove(KEY, None, no_clock, prepare=Log().prepare, record=record)
    assert seen == [(False, True)]


def test_a_trash_bin_is_never_ignored(tmp_path: Path) -> None:
    content = Content(make_repository(tmp_path / "r", annex_trashbin="bin"))
    put(content, KEY, HELLO)
    with pytest.raises(RemovalRefused, match="annex.trashbin"):
        drop(content, KEY)
    assert content.present(KEY)
    assert drop(content, sha256_key(b"absent"))


def drop_into(
    content: Content, trash: Trash, *, before: int | None = None, times: str = ""
) -> bool:
    """A REMOVE with a trash bin; the clock tells ``times``, one digit at each look."""
    clock = iter(times)
    return content.remove(
        KEY,
        before,
        lambda: int(next(clock)),
        prepare=Log().prepare,
        record=Log().absent,
        trash=trash,
    )


@pytest.fixture
def binned(tmp_path: Path) -> Content:
    content = Content(make_repository(tmp_path / "b", annex_trashbin="bin"))
    put(content, KEY, HELLO)
    return content


def test_the_trash_gets_the_content_under_the_lock(binned: Content) -> None:
    seen = []

    def trash(key: Key, found: OpenObject) -> None:
        seen.append((key, os.pread(found.fd, 100, 0), binned.being_removed(key)))

    assert drop_into(binned, trash)
    assert seen == [(KEY, HELLO, True)]
    assert not binned.present(KEY)


def test_what_the_trash_does_not_take_stays(binned: Content) -> None:
    def trash(key: Key, found: OpenObject) -> None:
        raise RemovalRefused(key=key, detail="the bin is full")

    with pytest.raises(RemovalRefused, match="the bin is full"):
        drop_into(binned, trash)
    assert binned.present(KEY)
    assert not binned.being_removed(KEY)


def test_the_deadline_is_looked_at_before_and_after_the_trash(binned: Content) -> None:
    kept = []

    def trash(key: Key, found: OpenObject) -> None:
        kept.append(key)

    assert not drop_into(binned, trash, before=5, times="5")
    assert kept == []
    assert not drop_into(binned, trash, before=5, times="45")
    assert kept == [KEY]
    assert binned.present(KEY)
    assert drop_into(binned, trash, before=5, times="44")


def test_content_that_changes_while_it_is_kept_stays(
    tmp_path: Path, binned: Content
) -> None:
    path = object_path(binned.annex.repository, KEY)

    def trash(key: Key, found: OpenObject) -> None:
        path.chmod(0o644)
        path.write_bytes(b"edit!\n")
        os.utime(path, ns=(1, 1))

    with pytest.raises(RemovalRefused, match="changed"):
        drop_into(binned, trash)
    assert path.read_bytes() == b"edit!\n"


def test_damaged_content_is_nothing_for_the_trash(binned: Content) -> None:
    path = object_path(binned.annex.repository, KEY)
    path.chmod(0o644)
    path.write_bytes(b"he")
    with pytest.raises(RemovalRefused, match="git annex fsck"):
        drop_into(binned, lambda key, found: None)
    assert path.exists()


def test_damaged_objects_can_be_removed(
    repository: Repository, content: Content
) -> None:
    key = sha256_key(b"whole")
    path = write_object(repository, key, b"who")
    assert drop(content, key)
    assert not path.exists()


def second_copy(content: Content) -> Path:
    """The content in the other of the two places where it may be (spec 02 §4.5)."""
    path = Path(content.annex.paths.places(KEY)[1].object)
    path.parent.mkdir(parents=True)
    path.write_bytes(HELLO)
    return path


def test_a_copy_in_the_other_place_goes_too(content: Content) -> None:
    log, other = Log(), second_copy(content)
    assert content.remove(KEY, None, no_clock, prepare=log.prepare, record=log.absent)
    assert not content.present(KEY) and not other.exists()
    assert log.entries == ["absent"]
    assert os.listdir(content.annex.paths.objects) == []


def test_a_copy_that_somebody_locked_in_the_other_place_is_not_logged_as_absent(
    content: Content,
) -> None:
    log, other = Log(), second_copy(content)
    held = try_lock(content.annex.paths.places(KEY)[1].lock, exclusive=False)
    assert held is not None
    with held, pytest.raises(ContentLocked):
        content.remove(KEY, None, no_clock, prepare=log.prepare, record=log.absent)
    assert other.read_bytes() == HELLO and content.present(KEY)
    assert log.entries == []


def test_content_that_comes_again_and_again_is_not_said_to_be_gone(
    content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a git-annex would store it that asks for no lock."""
    log, places = Log(), content.annex.paths.places(KEY)
    delete = Dropping._delete

    def stored_again(dropping: Dropping, *words: Any) -> os.stat_result | None:
        removed = delete(dropping, *words)
        os.chmod(places[0].directory, 0o755)
        Path(places[0].object).write_bytes(HELLO)
        return removed

    monkeypatch.setattr(Dropping, "_delete", stored_again)
    with pytest.raises(RemovalRefused, match="stored again"):
        content.remove(KEY, None, no_clock, prepare=log.prepare, record=log.absent)
    assert content.present(KEY) and log.entries == []


def test_work_tree_files_are_never_touched(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", bare=False)
    content = Content(repository)
    put(content, KEY, HELLO)
    unlocked = tmp_path / "r" / "file"
    unlocked.write_bytes(HELLO)
    linked = tmp_path / "r" / "link"
    os.link(object_path(repository, KEY), linked)
    assert drop(content, KEY)
    assert unlocked.read_bytes() == HELLO
    assert linked.read_bytes() == HELLO


def test_a_thin_object_that_is_being_edited_stays(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", bare=False, annex_thin="true")
    edited = write_object(repository, KEY, b"edits\n")
    log = Log()
    content = Content(repository)
    assert content.remove(KEY, None, no_clock, prepare=log.prepare, record=log.absent)
    assert edited.read_bytes() == b"edits\n"
    assert log.entries == []


def test_an_unmodified_thin_object_goes(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", bare=False, annex_thin="true")
    content = Content(repository)
    put(content, KEY, HELLO)
    linked = tmp_path / "r" / "file"
    os.link(object_path(repository, KEY), linked)
    assert drop(content, KEY)
    assert linked.read_bytes() == HELLO
    assert not content.present(KEY)


# -- the operator's commands ---------------------------------------------------------------


def note(tmp_path: Path, word: str, mark: str) -> str:
    """A command that notes its path and the mode it found."""
    return f'"echo {word} $(stat -c %a {mark}) {mark} >> {tmp_path}/notes"'


def notes(tmp_path: Path) -> list[str]:
    path = tmp_path / "notes"
    if not path.exists():
        return []
    lines = path.read_text().splitlines()
    path.unlink()
    return lines


def test_freezing_and_thawing_commands_are_run(tmp_path: Path) -> None:
    settings = {
        "annex_freezecontent-command": note(tmp_path, "froze", "%path"),
        "annex_thawcontent-command": note(tmp_path, "thaw", "%path"),
    }
    repository = make_repository(tmp_path / "a b", more=settings)
    content = Content(repository)
    put(content, KEY, HELLO)
    place = content.annex.paths.places(KEY)[0]
    after_put = notes(tmp_path)
    assert after_put[-1] == f"froze 555 {place.directory}"
    assert f"froze 444 {place.object}" in after_put
    assert drop(content, KEY)
    after_drop = notes(tmp_path)
    assert f"thaw 644 {place.object}" in after_drop
    assert [line for line in after_drop if line.startswith("froze 444")] == []


def test_a_hook_script_takes_precedence(tmp_path: Path) -> None:
    settings = {"annex_freezecontent-command": note(tmp_path, "command", "%path")}
    repository = make_repository(tmp_path / "r", more=settings)
    hook = Path(repository.git_dir, "hooks", "freezecontent-annex")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\necho "hook $1" >> {tmp_path}/notes\nexit 1\n')
    hook.chmod(0o755)
    put(Content(repository), KEY, HELLO)
    assert {line.split()[0] for line in notes(tmp_path)} == {"hook"}


def test_secure_erasure_never_happens_under_the_objects_name(tmp_path: Path) -> None:
    settings = {"annex_secure-erase-command": note(tmp_path, "erase", "%file")}
    repository = make_repository(tmp_path / "r", more=settings)
    content = Content(repository)
    put(content, KEY, HELLO)
    assert drop(content, KEY)
    assert notes(tmp_path) == [f"erase 644 {content.annex.paths.bad(KEY)}"]
    assert list(files_below(Path(repository.annex_dir, "bad"))) == []


def test_secure_erasure_would_destroy_linked_files_and_is_refused(
    tmp_path: Path,
) -> None:
    settings = {"annex_secure-erase-command": note(tmp_path, "erase", "%file")}
    repository = make_repository(tmp_path / "r", bare=False, more=settings)
    content = Content(repository)
    put(content, KEY, HELLO)
    os.link(object_path(repository, KEY), tmp_path / "r" / "file")
    with pytest.raises(RemovalRefused, match="other names"):
        drop(content, KEY)
    assert content.present(KEY)
    assert notes(tmp_path) == []


def test_content_that_moves_as_we_look_for_it_is_removed(
    repository: Repository, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As git annex fsck moves it between the hash directories of two schemes."""
    first, second = content.annex.paths.places(KEY)
    os.makedirs(os.path.dirname(second.directory))
    os.chmod(first.directory, 0o755)
    os.rename(first.directory, second.directory)
    lstat = os.lstat

    def moving(path: str) -> os.stat_result:
        if path == second.object and os.path.isdir(second.directory):
            os.rename(second.directory, first.directory)
        return lstat(path)

    monkeypatch.setattr(os, "lstat", moving)
    assert drop(content, KEY)
    assert list(files_below(Path(content.annex.paths.objects))) == []


def test_content_that_moves_before_it_is_locked_is_removed(
    repository: Repository, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = content.annex.paths.places(KEY)
    lock_file = Locking.lock_file

    def moving(locking: Locking, place: ObjectPlace, *, exclusive: bool) -> object:
        if place == first:
            os.makedirs(second.directory)
            os.rename(first.object, second.object)
        return lock_file(locking, place, exclusive=exclusive)

    monkeypatch.setattr(Locking, "lock_file", moving)
    assert drop(content, KEY)
    assert list(files_below(Path(content.annex.paths.objects))) == []


def test_after_a_removal_the_same_key_can_be_stored_and_removed_again(
    content: Content,
) -> None:
    """Nothing is remembered of a directory that is gone."""
    for _ in range(2):
        assert drop(content, KEY)
        assert put(content, KEY, HELLO)
    place = content.annex.paths.places(KEY)[0]
    assert os.stat(place.directory).st_mode & 0o222 == 0
