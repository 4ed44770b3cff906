"""Inode caches, and what they say of content that people may edit (spec 02 §13.4)."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from annexshell.model.key import Key
from annexshell.repository.content import Content
from annexshell.repository.keysdb import Identity, InodeCache, inode_caches
from annexshell.repository.open import Repository
from tests.support.content import HELLO, make_repository, sha256_key, write_object

KEY = sha256_key(HELLO)
WORM = Key.parse(b"WORM-s6--x")


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("12 6 1795245750 603133051", 603133051),
        ("12 6 1795245750 05", 50000000),
        ("12 6 1795245750 ", 0),
        ("12 6 1795245750", None),
    ],
)
def test_recorded_identities(text: str, nanoseconds: int | None) -> None:
    assert InodeCache.parse(text) == InodeCache(12, 6, 1795245750, nanoseconds)


@pytest.mark.parametrize("text", ["", "1 2", "a b c", "1 2 3 x"])
def test_nonsense_is_no_identity(text: str) -> None:
    assert InodeCache.parse(text) is None


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (1795245750_603133051, "603133 17 1795245750 603133051"),
        (1700000000_050000000, "603133 17 1700000000 05"),
        (1700000000_000000000, "603133 17 1700000000 "),
    ],
)
def test_identities_are_written_as_git_annex_does(nanoseconds: int, text: str) -> None:
    identity = Identity(603133, 17, nanoseconds)
    assert identity.text == text
    cache = InodeCache.parse(text)
    assert cache is not None and cache.matches(identity, weak=False)


def test_weak_and_strong_matches() -> None:
    cache = InodeCache(12, 6, 100, 5)
    assert cache.matches(Identity(12, 6, 100 * 10**9 + 5), weak=False)
    assert not cache.matches(Identity(12, 6, 100 * 10**9 + 6), weak=False)
    assert not cache.matches(Identity(13, 6, 100 * 10**9 + 5), weak=False)
    assert cache.matches(Identity(13, 6, 101 * 10**9), weak=True)
    assert not cache.matches(Identity(13, 6, 102 * 10**9), weak=True)
    assert not cache.matches(Identity(13, 7, 100 * 10**9), weak=True)
    assert InodeCache(12, 6, 100, None).matches(
        Identity(12, 6, 100 * 10**9 + 5), weak=False
    )


def record(repository: Repository, key: Key, path: Path) -> None:
    """The row that git-annex writes."""
    top = Path(repository.annex_dir, "keysdb")
    top.mkdir(exist_ok=True)
    status = path.stat()
    seconds, fraction = divmod(status.st_mtime_ns, 10**9)
    digits = f"{fraction:09}".rstrip("0")
    text = f"{status.st_ino} {status.st_size} {seconds} {digits}"
    database = sqlite3.connect(top / "db")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(
        "CREATE TABLE IF NOT EXISTS content (id INTEGER PRIMARY KEY, key BLOB NOT NULL,"
        " inodecache VARCHAR NOT NULL, filesize VARCHAR NOT NULL, mtime INTEGER NOT NULL)"
    )
    row = (key.text, text, str(status.st_size), seconds)
    database.execute(
        "INSERT INTO content (key, inodecache, filesize, mtime) VALUES (?, ?, ?, ?)",
        row,
    )
    database.commit()
    database.close()
    sentinal = Path(repository.annex_dir, "sentinal")
    status = sentinal.stat()
    seconds, fraction = divmod(status.st_mtime_ns, 10**9)
    digits = f"{fraction:09}".rstrip("0")
    cache = f"{status.st_ino} {status.st_size} {seconds} {digits}"
    Path(str(sentinal) + ".cache").write_text(cache)


@pytest.fixture
def thin(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "r", bare=False, annex_thin="true")


def test_a_recorded_object_is_not_read(thin: Repository) -> None:
    path = write_object(thin, KEY, b"edits\n")
    record(thin, KEY, path)
    # The record is believed: nobody compares the bytes.
    assert Content(thin).present(KEY)
    assert len(inode_caches(Content(thin).annex, KEY)) == 1


def test_an_edit_is_found_by_reading(thin: Repository) -> None:
    path = write_object(thin, KEY, HELLO)
    record(thin, KEY, path)
    os.utime(path, ns=(0, 0))
    content = Content(thin)
    assert content.present(KEY)
    path.write_bytes(b"edits\n")
    assert not content.present(KEY)
    assert content.open_for_get(KEY) is None
    assert content.lock_shared(KEY) is None


def test_without_a_digest_the_record_decides(thin: Repository) -> None:
    path = write_object(thin, WORM, HELLO)
    assert Content(thin).present(WORM)
    record(thin, WORM, path)
    assert Content(thin).present(WORM)
    path.write_bytes(b"edits\n")
    os.utime(path, ns=(0, 0))
    assert not Content(thin).present(WORM)


def test_in_a_copied_repository_inodes_say_nothing(thin: Repository) -> None:
    path = write_object(thin, WORM, HELLO)
    record(thin, WORM, path)
    copy = path.with_name("copy")
    copy.write_bytes(HELLO)
    os.utime(copy, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    os.replace(copy, path)
    assert not Content(thin).present(WORM)
    Path(thin.annex_dir, "sentinal.cache").unlink()
    assert Content(thin).present(WORM)


def test_an_unreadable_database_says_nothing(thin: Repository) -> None:
    write_object(thin, KEY, HELLO)
    database = Path(thin.annex_dir, "keysdb", "db")
    database.parent.mkdir()
    database.write_bytes(b"no database" * 100)
    assert Content(thin).present(KEY)


def test_a_linked_edit_is_not_sent_without_thin(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r", bare=False)
    path = write_object(repository, KEY, HELLO)
    record(repository, KEY, path)
    os.link(path, tmp_path / "r" / "file")
    opened = Content(repository).open_for_get(KEY)
    assert opened is not None
    opened.close()
    path.write_bytes(b"edits\n")
    os.utime(path, ns=(0, 0))
    assert Content(repository).open_for_get(KEY) is None


def test_the_database_may_be_elsewhere(tmp_path: Path) -> None:
    repository = make_repository(
        tmp_path / "r",
        bare=False,
        annex_thin="true",
        annex_dbdir=str(tmp_path / "db"),
    )
    path = write_object(repository, KEY, b"edits\n")
    record(repository, KEY, path)
    there = tmp_path / "db" / repository.uuid.decode()
    there.mkdir(parents=True)
    Path(repository.annex_dir, "keysdb").rename(there / "keysdb")
    assert Content(repository).present(KEY)
