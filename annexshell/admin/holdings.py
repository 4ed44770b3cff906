"""Who is recorded to hold what: every location log of a repository, in one pass.

Reading each log by itself would resolve the branch and look into the journal for each
(see `Branch.read`). Here both are listed once, two processes of git's hand out what the
branch has, and only what waits in the journal is read that other way.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import IO, NamedTuple

from annexshell.admin.gateway import Gateway
from annexshell.errors import BranchUnreadable, MalformedKey, printable
from annexshell.logs.location import holders, is_location_path
from annexshell.model.ids import UUID
from annexshell.model.key import from_file_name
from annexshell.repository.gitprocess import inert_environment, inert_git
from annexshell.repository.journal import MAX_LOG, branch_path
from annexshell.repository.settling import open_git

_BRANCH = "refs/heads/git-annex"
_JOURNALS = ("journal", "journal-private")
_PLAIN = re.compile(rb"(?:\d+s [01] [\w-]+\n)*")
"""What nearly every location log is; the rest is left to the parser."""
_AT_ONCE = 500
"""Objects asked for before the answers are read: the question fits into a pipe."""
_CHUNK = 1 << 16


class Holding(NamedTuple):
    """The name of a location log without ``.log``, and who has that key's content.

    Clusters are not among ``holders``: only repositories have content.
    """

    name: bytes
    holders: frozenset[UUID]

    @property
    def spelled(self) -> str:
        """The key as git-annex spells it, fit to be printed."""
        try:
            return printable(from_file_name(self.name).text)
        except MalformedKey:
            return printable(self.name)


def holdings(gateway: Gateway) -> Iterator[Holding]:
    """Every key that has a location log; the order is the branch's, then the journal's.

    What others record while this runs may be left out. Raises BranchUnreadable and
    JournalFailed.
    """
    one_level = gateway.config.boolean("annex.tune.branchhash1", False)
    # The journal first: a commit moves the branch before it deletes the file.
    waiting = _waiting(gateway.repository.annex_dir)
    tip = open_git(gateway.repository).tip(_BRANCH)
    if tip is not None:
        listed = (
            entry
            for entry in _listed(gateway.repository.git_dir, tip)
            if is_location_path(entry.path, one_level=one_level)
            and entry.path not in waiting
        )
        for path, content in _contents(gateway.repository.git_dir, listed):
            yield _holding(path, content)
    for path in sorted(waiting):
        if is_location_path(path, one_level=one_level):
            yield _holding(path, gateway.branch.read(path))


def _waiting(annex_dir: str) -> frozenset[bytes]:
    """The branch paths of all that waits in the journals."""
    found: set[bytes] = set()
    for journal in _JOURNALS:
        with suppress(FileNotFoundError):
            names = os.listdir(os.fsencode(os.path.join(annex_dir, journal)))
            found.update(map(branch_path, names))
    return frozenset(found)


# -- what the branch has -------------------------------------------------------------------


class _Entry(NamedTuple):
    path: bytes
    blob: bytes


def _listed(git_dir: str, commit: str) -> Iterator[_Entry]:
    """Every file of the commit's tree; gitlinks are none."""
    with _git(git_dir, "ls-tree", "-r", "-z", "--full-tree", commit) as (_, out):
        rest = b""
        while chunk := out.read(_CHUNK):
            *records, rest = (rest + chunk).split(b"\0")
            for record in records:
                about, _, path = record.partition(b"\t")
                mode, kind, blob = about.split(b" ")
                if kind == b"blob":
                    yield _Entry(path, blob)


def _contents(git_dir: str, entries: Iterator[_Entry]) -> Iterator[tuple[bytes, bytes]]:
    """The path and the bytes of each entry. Raises BranchUnreadable."""
    with _git(git_dir, "cat-file", "--batch") as (to, out):
        while some := list(islice(entries, _AT_ONCE)):
            to.write(b"".join(entry.blob + b"\n" for entry in some))
            to.flush()
            for entry in some:
                words = out.readline().split()
                if not words:
                    raise _failed(git_dir, "cat-file")
                if len(words) != 3 or words[1] != b"blob":
                    detail = f"object {entry.blob.decode()} is missing"
                    raise BranchUnreadable(where=git_dir, detail=detail)
                size = int(words[2])
                if size > MAX_LOG:
                    # As `Branch.read`: whoever may push could have all memory filled.
                    about = f"{printable(entry.path)} has {size} bytes, over {MAX_LOG}"
                    raise BranchUnreadable(where=git_dir, detail=about)
                content = out.read(size + 1)
                if len(content) != size + 1:
                    raise _failed(git_dir, "cat-file")
                yield entry.path, content[:-1]


@contextmanager
def _git(git_dir: str, *words: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """git's input and output; BranchUnreadable where it ends with an error."""
    # As libgit2: a pushed refs/replace/ must not change what the branch says.
    options = ("-c", "safe.directory=*", "--no-replace-objects")
    with subprocess.Popen(
        [*inert_git(git_dir), *options, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=inert_environment(),
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield process.stdin, process.stdout
            process.stdin.close()
        except BrokenPipeError as error:
            raise _failed(git_dir, words[0]) from error
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise _failed(git_dir, words[0])


def _failed(git_dir: str, word: str) -> BranchUnreadable:
    detail = f"git {word} failed; its own message, on stderr, says why"
    return BranchUnreadable(where=git_dir, detail=detail)


# -- what a log says -------------------------------------------------------------------------


def _holding(path: bytes, content: bytes) -> Holding:
    name = path.rpartition(b"/")[2].removesuffix(b".log")
    return Holding(name, _holders(content))


def _holders(content: bytes) -> frozenset[UUID]:
    """`holders`, without weighing clocks where no repository has two lines."""
    if _PLAIN.fullmatch(content):
        words = content.split()
        if len(set(words[2::3])) * 3 == len(words):
            pairs = zip(words[1::3], words[2::3], strict=True)
            return frozenset(UUID(uuid) for status, uuid in pairs if status == b"1")
    return holders(content)
