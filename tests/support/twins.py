"""Two copies of one repository, each behind a program of its own, asked the same.

What was said and heard is written down for both, so that a failure can be read.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.support.client import Client, Repo
from tests.support.session import Session, on_pipes
from tests.support.world import World, remove_tree

#: What is heard of a program that ended instead of answering.
CLOSED = b"(closed)"


@attrs.frozen
class Form:
    """A kind of repository: how it is made, and what is set in it afterwards."""

    name: str
    bare: bool = True
    version: str = "10"
    tunes: tuple[str, ...] = ()
    config: tuple[tuple[str, str], ...] = ()
    shared: str = ""
    """core.sharedRepository, which must be set before there is anything to share."""

    def __str__(self) -> str:
        return self.name


FORMS = (
    Form("bare"),
    Form("bare-v8", version="8"),
    Form("bare-v9", version="9"),
    Form("bare-tuned", tunes=("objecthash1", "branchhash1")),
    Form("work", bare=False),
    Form("work-v8", bare=False, version="8"),
    Form("work-v9", bare=False, version="9"),
    Form("work-tuned", bare=False, tunes=("objecthashlower", "branchhash1")),
    Form(
        "crippled",
        bare=False,
        config=(("annex.crippledfilesystem", "true"), ("core.symlinks", "false")),
    ),
)


def make(world: World, client: Client, path: Path, form: Form) -> Repo:
    """A repository of that form; those with a work tree still want files."""
    path.mkdir(parents=True)
    repo = Repo(world, client, path)
    repo.git("init", "--quiet", *(["--bare"] if form.bare else []))
    if form.shared:
        repo.git("config", "core.sharedRepository", form.shared)
    tunes = [word for tune in form.tunes for word in ("-c", f"annex.tune.{tune}=true")]
    repo.git(*tunes, "annex", "init", "twin")
    repo.git("config", "annex.autoupgraderepository", "false")
    repo.git("config", "annex.version", form.version)
    repo.git("config", "annex.diskreserve", "0")
    for name, value in form.config:
        repo.git("config", name, value)
    if not form.bare:
        repo.git("commit", "--quiet", "--allow-empty", "-m", "start")
    return repo


def annex_dir(repo: Repo) -> Path:
    below = repo.path / ".git"
    return (below if below.exists() else repo.path) / "annex"


def copy_repo(repo: Repo, path: Path) -> Repo:
    """A copy in which git-annex finds the inodes it noted, as if it had been made so."""
    shutil.copytree(repo.path, path, symlinks=True)
    copied = Repo(repo.world, repo.client, path, dict(repo.env))
    moved = {
        str(old.lstat().st_ino): str(new.lstat().st_ino)
        for old, new in _files(repo.path, path)
    }
    cache = annex_dir(copied) / "sentinal.cache"
    cache.write_text(_renumbered(cache.read_text(), moved))
    _renumber_database(annex_dir(copied) / "keysdb/db", moved)
    # git compares inodes as well.
    if (path / ".git").exists():
        copied.git("update-index", "-q", "--refresh", check=False)
    return copied


def _files(old: Path, new: Path) -> Iterator[tuple[Path, Path]]:
    for folder, _, names in os.walk(old):
        for name in names:
            found = Path(folder, name)
            yield found, new / found.relative_to(old)


def _renumbered(cache: str, moved: Mapping[str, str]) -> str:
    inode, space, rest = cache.partition(" ")
    return moved.get(inode, inode) + space + rest


def _renumber_database(path: Path, moved: Mapping[str, str]) -> None:
    if not path.exists():
        return
    database = sqlite3.connect(path)
    try:
        rows = database.execute("SELECT id, inodecache FROM content").fetchall()
        for number, cache in rows:
            new = _renumbered(cache, moved)
            database.execute(
                "UPDATE content SET inodecache = ? WHERE id = ?", (new, number)
            )
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.close()


class Talk:
    """One program serving one copy, and the conversation with it."""

    def __init__(
        self, name: str, program: str, repo: Repo, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.repo = repo
        self.lines: list[str] = []
        self._program = program
        self._environment = dict(environment)
        self._session: Session | None = None
        self.version = 4

    @property
    def session(self) -> Session:
        """The running session; a new one if the last one ended."""
        if self._session is None:
            self._session = self._open()
            self._session.greet(self.version)
            self.note("--", b"a new session of version %d" % self.version)
        return self._session

    def _open(self) -> Session:
        repo = self.repo
        return on_pipes(repo.world, self._program, repo, **self._environment)

    @contextmanager
    def another(self) -> Iterator[Session]:
        """A second session beside this one."""
        with self._open() as session:
            session.greet(self.version)
            yield session

    def note(self, mark: str, what: bytes) -> None:
        shown = repr(what[:120])[2:-1]
        more = f"... {len(what)} bytes" if len(what) > 120 else ""
        self.lines.append(f"{mark} {shown}{more}")

    def say(self, line: bytes) -> None:
        self.note(">>", line)
        self.session.say(line)

    def send(self, raw: bytes) -> None:
        self.note(">|", raw)
        self.session.write(raw)

    def hear(self) -> bytes:
        """The answer; CLOSED if there is none, and then the session is over."""
        line = self.session.hear()
        if not line:
            self.note("<<", CLOSED)
            self.end()
            return CLOSED
        self.note("<<", line)
        return line

    def ask(self, line: bytes) -> bytes:
        self.say(line)
        return self.hear()

    def take(self, count: int) -> bytes:
        content = self.session.take(count)
        self.note("<|", content)
        return content

    def end(self) -> None:
        """Close our side and wait for the program."""
        if self._session is not None:
            with self._session as session:
                ended = session.end()
            self._session = None
            rest = f", after {ended.stdout!r}" if ended.stdout else ""
            told = f" {ended.err.strip()[-300:]!r}" if ended.err.strip() else ""
            self.lines.append(f"-- ended with {ended.code}{rest}{told}")

    def abandon(self) -> None:
        """Kill what runs, after a failure."""
        if self._session is not None:
            with self._session:
                self._session = None


@attrs.frozen
class Twins:
    """git-annex-shell and annexshell, each on its copy."""

    theirs: Talk
    ours: Talk

    def __iter__(self) -> Iterator[Talk]:
        return iter((self.theirs, self.ours))

    def conversation(self) -> str:
        """What was said, one program after the other."""
        parts = []
        for talk in self:
            parts += [f"===== {talk.name} in {talk.repo.path}", *talk.lines]
        return "\n".join(parts)


@contextmanager
def twins(
    template: Repo,
    place: Path,
    programs: tuple[str, str],
    settings: Mapping[str, str],
    environment: Mapping[str, str],
) -> Iterator[Twins]:
    """Two copies below ``place``, which are removed afterwards."""
    talks = []
    try:
        for name, program in zip(("git-annex", "annexshell"), programs, strict=True):
            repo = copy_repo(template, place / name)
            for setting, value in settings.items():
                repo.git("config", setting, value)
            talks.append(Talk(name, program, repo, environment))
        yield Twins(*talks)
    finally:
        for talk in talks:
            talk.abandon()
            remove_tree(talk.repo.path)
