"""Repositories to test with: plain git ones that look like annexes, and real annexes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import attrs

from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.open import Repository, open_repository

BRANCH = "refs/heads/git-annex"
U1 = UUID(b"11111111-1111-4111-8111-111111111111")
U2 = UUID(b"22222222-2222-4222-8222-222222222222")
U3 = UUID(b"33333333-3333-4333-8333-333333333333")
C1 = UUID(b"acbbdd76-2913-83e9-85c4-c7c039622a0f")
K = Key.parse(
    b"SHA256E-s3--ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.txt"
)
K_LOG = b"205/b20/" + K.text + b".log"


@attrs.frozen
class Repo:
    """A repository on disk and the commands to look at it from outside."""

    path: Path
    bare: bool
    home: Path

    @property
    def annex_dir(self) -> Path:
        return self.path / "annex" if self.bare else self.path / ".git" / "annex"

    @property
    def environment(self) -> dict[str, str]:
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("GIT_")}
        return inherited | {"HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1"}

    def run(
        self, *command: str, stdin: bytes = b"", clock: str | None = None, ok: int = 0
    ) -> bytes:
        """Standard output of a command in the repository, which must exit with ``ok``."""
        more = {} if clock is None else {"GIT_ANNEX_VECTOR_CLOCK": clock}
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment | more,
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert done.returncode == ok, (command, done.stdout, done.stderr)
        return done.stdout

    def git(self, *command: str, stdin: bytes = b"", ok: int = 0) -> bytes:
        return self.run("git", *command, stdin=stdin, ok=ok)

    def annex(
        self, *command: str, clock: str | None = None, stdin: bytes = b"", ok: int = 0
    ) -> bytes:
        return self.run("git-annex", *command, stdin=stdin, clock=clock, ok=ok)

    def open(self) -> Repository:
        return open_repository(os.path.realpath(self.path))

    @property
    def uuid(self) -> UUID:
        return UUID(self.git("config", "annex.uuid").strip())

    def tip(self, ref: str = BRANCH) -> str:
        return self.git("rev-parse", "--verify", ref).decode().strip()

    def show(self, path: bytes, ref: str = BRANCH) -> bytes | None:
        """A file of a branch, None if the branch has none there."""
        tree = self.git("ls-tree", "-r", "-z", "--full-tree", ref).split(b"\0")
        for entry in filter(None, tree):
            about, _, name = entry.partition(b"\t")
            if name == path:
                return self.git("cat-file", "blob", about.split()[2].decode())
        return None

    def commit(
        self,
        files: Mapping[bytes, bytes],
        *,
        ref: str = BRANCH,
        parents: tuple[str, ...] | None = None,
    ) -> str:
        """Add files to ``ref`` in a new commit made by plain git; returns its id.

        ``parents`` default to the ref itself; the first one gives the other files.
        """
        if parents is None:
            known = self.git("for-each-ref", "--format=%(objectname)", ref).decode()
            parents = tuple(known.split())
        lines = []
        for path, content in files.items():
            blob = self.git("hash-object", "-w", "--stdin", stdin=content).strip()
            lines.append(b"100644 %b\t%b\0" % (blob, path))
        return self._commit_entries(lines, ref, parents)

    def link(self, path: bytes, ref: str = BRANCH) -> str:
        """Add a gitlink, which has no place on a git-annex branch."""
        entry = b"160000 %b\t%b\0" % (b"1" * 40, path)
        return self._commit_entries([entry], ref, (self.tip(BRANCH),))

    def _commit_entries(
        self, entries: list[bytes], ref: str, parents: tuple[str, ...]
    ) -> str:
        index = {"GIT_INDEX_FILE": str(self.home / "scratch-index")}
        (self.home / "scratch-index").unlink(missing_ok=True)
        identity = {
            f"GIT_{who}_{what}": "peer@example.com"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }

        def git(*command: str, stdin: bytes = b"") -> str:
            done = subprocess.run(
                ["git", *command],
                cwd=self.path,
                env=self.environment | index | identity,
                input=stdin,
                capture_output=True,
                check=True,
            )
            return done.stdout.decode().strip()

        if parents:
            git("read-tree", parents[0])
        git("update-index", "-z", "--index-info", stdin=b"".join(entries))
        tree = git("write-tree")
        marks = [word for parent in parents for word in ("-p", parent)]
        made = git("commit-tree", tree, *marks, stdin=b"a peer's commit\n")
        git("update-ref", ref, made)
        return made

    def forget_index(self) -> None:
        """Make git-annex read a branch that was changed by plumbing."""
        for name in ("index", "index.lck"):
            (self.annex_dir / name).unlink(missing_ok=True)

    def journal(self) -> dict[bytes, bytes]:
        """The journal files by name."""
        directory = self.annex_dir / "journal"
        if not directory.is_dir():
            return {}
        files = (path for path in directory.iterdir() if path.is_file())
        return {os.fsencode(path.name): path.read_bytes() for path in files}

    def put_journal(self, name: bytes, content: bytes) -> None:
        """Leave a journal file behind, as a dead process would."""
        directory = self.annex_dir / "journal"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / os.fsdecode(name)).write_bytes(content)

    def add(self, name: str, content: bytes) -> Key:
        """Add an annexed file and return its key; not for bare repositories."""
        (self.path / name).write_bytes(content)
        self.annex("add", "--quiet", name)
        return Key.parse(self.annex("lookupkey", name).strip())


def _init(path: Path, *, bare: bool, uuid: UUID | None) -> Repo:
    home = path.parent / f"{path.name}-home"
    home.mkdir(parents=True)
    repo = Repo(path, bare, home)
    path.mkdir()
    repo.git("init", "--quiet", *(["--bare"] if bare else []))
    for name in ("user.name", "user.email"):
        repo.git("config", name, "owner@example.com")
    if uuid is not None:
        repo.git("config", "annex.uuid", uuid.decode())
        repo.git("config", "annex.version", "10")
    return repo


def plain_repo(path: Path, *, bare: bool = True, uuid: UUID = U1) -> Repo:
    """A git repository with the config of an annex, made without git-annex."""
    return _init(path, bare=bare, uuid=uuid)


def annex_repo(path: Path, *, bare: bool = False, uuid: UUID | None = None) -> Repo:
    """A repository that git-annex initialised; needs git-annex in PATH."""
    assert shutil.which("git-annex"), "git-annex is not in PATH"
    repo = _init(path, bare=bare, uuid=uuid)
    repo.annex("init", "--quiet", path.name)
    return repo
