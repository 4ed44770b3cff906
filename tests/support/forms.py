"""The forms a served repository may have, each made by git and the real git-annex.

A form is made in a folder of its own. What is named to the server is `Made.path`; it may be
another folder than the one that git-annex is run in to look at it.
"""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import attrs

from tests.support.client import Client, Repo
from tests.support.process import run
from tests.support.world import World, write_program

CONTENT = b"content of the key\n"
NAME = "file.txt"
"""What the content is called where a form has it in its work tree."""


@attrs.frozen
class Made:
    """A repository of some form."""

    repo: Repo
    """Where git-annex is at home in it."""
    path: Path
    """What clients name."""
    annex: Path
    """The annex directory."""

    def objects(self) -> dict[str, str]:
        """Every path below the annex's objects, with type and mode."""
        top = self.annex / "objects"
        found = {".": _mode(top)} if top.exists() else {}
        return found | {
            str(path.relative_to(top)): _mode(path) for path in top.rglob("*")
        }

    def directories(self, *names: str) -> dict[str, str]:
        """The modes of some directories of the annex, if they exist."""
        places = {name: self.annex / name for name in names}
        return {name: _mode(path) for name, path in places.items() if path.exists()}

    def database(self) -> dict[str, list[tuple[str, ...]]]:
        """What git-annex's database of files says, without what differs by nature."""
        found: dict[str, list[tuple[str, ...]]] = {"associated": [], "content": []}
        dbdir = self.repo.git("config", "annex.dbdir", check=False).out.strip()
        below = Path(dbdir, self.repo.uuid) if dbdir else self.annex
        if (below / "keysdb/db").exists():
            with closing(sqlite3.connect(below / "keysdb/db")) as database:
                for table, columns in (
                    ("associated", "CAST(key AS TEXT), CAST(file AS TEXT)"),
                    ("content", "CAST(key AS TEXT), filesize"),
                ):
                    rows = database.execute(f"SELECT {columns} FROM {table}")
                    found[table] = sorted(rows.fetchall())
        return found

    def commands(self) -> dict[str, set[str]]:
        """The paths that the operator's commands of `hooked` were run for."""
        logs = {name: self.annex.parent / f"{name}.log" for name in ("freeze", "thaw")}
        return {
            name: {
                line.removeprefix(str(self.path)) for line in log.read_text().split()
            }
            for name, log in logs.items()
            if log.exists()
        }

    def message(self) -> str:
        """What the newest commit to the git-annex branch says."""
        return self.repo.git("log", "-1", "--format=%B", "git-annex").out

    def work_file(self) -> tuple[bytes, str] | None:
        """What is at the content's name in the work tree, and its mode."""
        path = self.repo.path / NAME
        return (path.read_bytes(), _mode(path)) if path.is_file() else None


def _mode(path: Path) -> str:
    return stat.filemode(path.lstat().st_mode)


@attrs.frozen
class Bench:
    """Where and with what forms are made."""

    world: World
    client: Client
    place: Path

    def git(self, *words: str | Path, cwd: Path | None = None) -> str:
        env = self.world.env(self.client.bin)
        return run(["git", *words], cwd=cwd or self.place, env=env).out

    def init(
        self, name: str, *options: str, git: tuple[str, ...] = (), annex: bool = True
    ) -> Repo:
        """``git OPTIONS init`` and ``git OPTIONS annex init``, and a first commit."""
        path = self.place / name
        self.git("init", "--quiet", *options, str(path))
        repo = Repo(self.world, self.client, path)
        if annex:
            repo.git(*git, "annex", "init", "form")
        if "--bare" not in options:
            repo.git("commit", "--quiet", "--allow-empty", "-m", "start")
        return repo

    def plain(
        self, *options: str, git: tuple[str, ...] = (), config: Mapping[str, str]
    ) -> Made:
        """A repository with settings, spelled ``annex_thin``."""
        bare = "--bare" in options
        repo = self.init("r", *options, git=git)
        for name, value in config.items():
            repo.git("config", name.replace("_", "."), value)
        return Made(repo, repo.path, repo.path / ("annex" if bare else ".git/annex"))


def plain(
    *options: str, git: tuple[str, ...] = (), **config: str
) -> Callable[[Bench], Made]:
    """`Bench.plain`, as an entry of the list."""
    return lambda bench: bench.plain(*options, git=git, config=config)


def tuned(*names: str, bare: bool = False) -> Callable[[Bench], Made]:
    words = [word for name in names for word in ("-c", f"annex.tune.{name}=true")]
    return plain(*(["--bare"] if bare else []), git=tuple(words))


def shared(value: str, *options: str) -> Callable[[Bench], Made]:
    return plain(*options, core_sharedRepository=value)


def linked_worktree(bench: Bench) -> Made:
    """Initialised by git-annex, which makes ``.git`` a symlink."""
    main = bench.init("main")
    main.git("worktree", "add", "--quiet", str(bench.place / "linked"))
    linked = Repo(bench.world, bench.client, bench.place / "linked")
    linked.annex("init")
    assert (linked.path / ".git").is_symlink()
    return Made(linked, linked.path, main.path / ".git/annex")


def fresh_worktree(bench: Bench) -> Made:
    """Not touched by git-annex yet; it is looked at from the main one."""
    main = bench.init("main", annex=False)
    main.git("worktree", "add", "--quiet", str(bench.place / "linked"))
    main.annex("init")
    assert (bench.place / "linked/.git").is_file()
    return Made(main, bench.place / "linked", main.path / ".git/annex")


def _submodule(bench: Bench) -> Repo:
    inner = bench.init("inner")
    outer = bench.init("outer", annex=False)
    outer.git("submodule", "--quiet", "add", str(inner.path), "sub")
    return Repo(bench.world, bench.client, outer.path / "sub")


def submodule(bench: Bench) -> Made:
    """git-annex has made its ``.git`` a symlink."""
    sub = _submodule(bench)
    sub.annex("init")
    assert (sub.path / ".git").is_symlink()
    return Made(sub, sub.path, bench.place / "outer/.git/modules/sub/annex")


def fresh_submodule(bench: Bench) -> Made:
    """Its ``.git`` is a file, as git makes it and as older git-annex left it."""
    sub = _submodule(bench)
    sub.annex("init")
    git_dir = bench.place / "outer/.git/modules/sub"
    (sub.path / ".git").unlink()
    (sub.path / ".git").write_text("gitdir: ../.git/modules/sub\n")
    bench.git(
        "config", "--file", str(git_dir / "config"), "core.worktree", "../../../sub"
    )
    return Made(sub, sub.path, git_dir / "annex")


def separate(bench: Bench) -> Made:
    repo = bench.init("r", "--separate-git-dir", str(bench.place / "store"))
    return Made(repo, repo.path, bench.place / "store/annex")


def separate_by_git_dir(bench: Bench) -> Made:
    """Named by the git directory, which knows of no work tree."""
    made = separate(bench)
    return attrs.evolve(made, path=bench.place / "store")


def separate_with_worktree(bench: Bench) -> Made:
    """Named by the git directory, whose config names the work tree."""
    made = separate(bench)
    made.repo.git("config", "core.worktree", str(made.repo.path))
    return attrs.evolve(made, path=bench.place / "store")


def unlocked(**config: str) -> Callable[[Bench], Made]:
    """The content belongs to an unlocked file, a pointer so far."""

    def make(bench: Bench) -> Made:
        made = bench.plain(config=config)
        made.repo.add(NAME, CONTENT)
        made.repo.annex("unlock", NAME)
        made.repo.git("commit", "--quiet", "-m", "unlock")
        made.repo.annex("drop", "--force", "--quiet", NAME)
        return made

    return make


def hooked(bench: Bench) -> Made:
    """Freezing and thawing are logged by commands of the operator's."""
    made = bench.plain("--bare", config={})
    for name in ("freeze", "thaw"):
        log = made.annex.parent / f"{name}.log"
        command = f"echo %path >> '{log}'"
        made.repo.git("config", f"annex.{name}content-command", command)
    return made


def hook_scripts(bench: Bench) -> Made:
    """The same as scripts in ``hooks/``."""
    made = bench.plain("--bare", config={})
    for name in ("freeze", "thaw"):
        log = made.annex.parent / f"{name}.log"
        script = made.annex.parent / f"hooks/{name}content-annex"
        write_program(script, f"echo \"$1\" >> '{log}'")
    return made


def with_dbdir(bench: Bench) -> Made:
    make = unlocked(annex_dbdir=str(bench.place / "db"))
    return make(bench)


def private(bench: Bench) -> Made:
    path = bench.place / "r"
    bench.git("init", "--quiet", "--bare", str(path))
    repo = Repo(bench.world, bench.client, path)
    repo.git("config", "annex.private", "true")
    repo.annex("init", "secret")
    return Made(repo, path, path / "annex")


def packed_refs(bench: Bench) -> Made:
    made = bench.plain("--bare", config={})
    made.repo.git("pack-refs", "--all", "--prune")
    assert not (made.path / "refs/heads/git-annex").exists()
    return made


FORMS: dict[str, Callable[[Bench], Made]] = {
    "bare": plain("--bare"),
    "work tree": plain(),
    **{
        f"version {v}{' bare' if options else ''}": plain(*options, annex_version=v)
        for v in ("8", "9")
        for options in ((), ("--bare",))
    },
    "linked worktree": linked_worktree,
    "fresh worktree": fresh_worktree,
    "submodule": submodule,
    "fresh submodule": fresh_submodule,
    "separate": separate,
    "separate by git dir": separate_by_git_dir,
    "separate with worktree": separate_with_worktree,
    "objecthashlower": tuned("objecthashlower"),
    "objecthash1": tuned("objecthash1"),
    "branchhash1": tuned("branchhash1"),
    "all tunes": tuned("objecthashlower", "objecthash1", "branchhash1"),
    "bare tuned": tuned("objecthashlower", "objecthash1", "branchhash1", bare=True),
    "unlocked": unlocked(),
    "unlocked thin": unlocked(annex_thin="true"),
    "unlocked thin 9": unlocked(annex_thin="true", annex_version="9"),
    **{
        f"shared {value}": shared(value)
        for value in ("false", "umask", "group", "all", "0660", "0640", "0664")
    },
    "shared bare": shared("group", "--bare"),
    "crippled": plain(core_symlinks="false", annex_crippledfilesystem="true"),
    "crippled with symlinks": plain(
        core_symlinks="true", annex_crippledfilesystem="true"
    ),
    "crippled bare": plain("--bare", annex_crippledfilesystem="true"),
    "hooked": hooked,
    "hook scripts": hook_scripts,
    "dbdir": with_dbdir,
    "private": private,
    "alwayscommit": plain("--bare", annex_alwayscommit="false"),
    "alwayscompact": plain("--bare", annex_alwayscompact="false"),
    "commitmessage": plain("--bare", annex_commitmessage="by the server"),
    "sha256": plain("--object-format=sha256"),
    "sha256 bare": plain("--bare", "--object-format=sha256"),
    "packed refs": packed_refs,
}
