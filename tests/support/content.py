"""Repositories to put content in, keys for given bytes, and what a test looks at.

The repositories are made by git alone: nothing here needs git-annex.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from annexshell.model.key import Key
from annexshell.model.payload import Validity
from annexshell.repository.content import Content
from annexshell.repository.intake import Intake
from annexshell.repository.open import Repository, open_repository

PEER = b"11111111-1111-4111-8111-111111111111"
OTHER_PEER = b"22222222-2222-4222-8222-222222222222"
HERE = "33333333-3333-4333-8333-333333333333"
HELLO = b"hello\n"


def git(directory: Path, *words: str) -> str:
    """Run git there; its output."""
    done = subprocess.run(
        ["git", "-C", str(directory), *words], check=True, capture_output=True
    )
    return done.stdout.decode()


def make_repository(
    path: Path,
    *,
    version: str = "10",
    bare: bool = True,
    more: dict[str, str] | None = None,
    **settings: str,
) -> Repository:
    """An initialised repository. Settings are spelled ``annex_thin="true"``."""
    subprocess.run(
        ["git", "init", "--quiet", *(["--bare"] if bare else []), str(path)], check=True
    )
    config = (path if bare else path / ".git") / "config"
    with config.open("a") as text:
        text.write(f"[annex]\n\tuuid = {HERE}\n\tversion = {version}\n")
        for name, value in (settings | (more or {})).items():
            section, *middle, variable = name.split("_")
            below = f' "{middle[0]}"' if middle else ""
            text.write(f"[{section}{below}]\n\t{variable} = {value}\n")
    repository = open_repository(os.path.realpath(path))
    os.makedirs(repository.annex_dir)
    Path(repository.annex_dir, "sentinal").touch()
    return repository


def reopened(repository: Repository) -> Content:
    """A content front as another process would have it."""
    return Content(open_repository(repository.path))


def sha256_key(content: bytes, *, size: bool = True, extension: str = "") -> Key:
    """The SHA256 or SHA256E key of ``content``."""
    backend = "SHA256E" if extension else "SHA256"
    field = f"-s{len(content)}" if size else ""
    digest = hashlib.sha256(content).hexdigest()
    return Key.parse(f"{backend}{field}--{digest}{extension}".encode())


@attrs.define
class Log:
    """Stands in for the location log; ``fails`` is raised instead of writing."""

    entries: list[str] = attrs.field(factory=list)
    fails: Exception | None = None

    def present(self) -> None:
        self._write("present")

    def absent(self) -> None:
        self._write("absent")

    def prepare(self) -> None:
        if self.fails is not None:
            raise self.fails

    def _write(self, entry: str) -> None:
        if self.fails is not None:
            raise self.fails
        self.entries.append(entry)


def begin(content: Content, key: Key, peer: bytes = PEER) -> Intake:
    """An intake of content that is not there yet."""
    intake = content.begin_intake(key, peer=peer)
    assert intake is not None
    return intake


def put(
    content: Content,
    key: Key,
    data: bytes,
    *,
    validity: Validity = Validity.VALID,
    log: Log | None = None,
) -> bool:
    """A whole PUT by a sender that obeys the offset."""
    with begin(content, key) as intake:
        intake.prehash()
        intake.write(data[intake.offset :])
        return intake.finish(validity, (log or Log()).present)


def interrupt(content: Content, key: Key, data: bytes) -> None:
    """A PUT that ends after ``data``."""
    with begin(content, key) as intake:
        intake.write(data)


def drop(
    content: Content, key: Key, *, before: int | None = None, now: int = 0
) -> bool:
    """A REMOVE, or with ``before`` a REMOVE-BEFORE at the time ``now``."""
    log = Log()
    return content.remove(
        key, before, lambda: now, prepare=log.prepare, record=log.absent
    )


def object_path(repository: Repository, key: Key) -> Path:
    """Where a bare or non-bare repository has its object, found by looking."""
    name = os.fsdecode(key.file_name)
    found = [
        path
        for path in files_below(Path(repository.annex_dir, "objects"))
        if path.name == name
    ]
    assert len(found) == 1, found
    return found[0]


def tmp_path_of(repository: Repository, key: Key) -> Path:
    return Path(repository.annex_dir, "tmp", os.fsdecode(key.file_name))


def files_below(top: Path) -> Iterator[Path]:
    """Everything below that is no directory."""
    for directory, _, names in os.walk(top):
        yield from (Path(directory, name) for name in names)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def write_object(repository: Repository, key: Key, data: bytes) -> Path:
    """Place bytes as the object of a key, good or bad, as nobody but a test would."""
    content = Content(repository)
    path = Path(content.annex.paths.places(key)[0].object)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def watch_disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that reach the disk or change, in order."""
    seen: list[str] = []
    fsync, rename = os.fsync, os.rename

    def watched_fsync(fd: int) -> None:
        seen.append("sync " + os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))
        fsync(fd)

    def watched_rename(source: str | bytes, target: str | bytes) -> None:
        seen.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    return seen
