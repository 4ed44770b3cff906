"""A git-annex branch with as many keys as one likes, made as fast as can be.

git fast-import takes minutes for a million keys: it looks for each name in its directory
from the first one on. So what begins a branch is written as packs, by all processors; only
what changes it later goes through fast-import. The logs are spread over directories as git-annex spreads them, are all different, and
look as they do after years: some repositories have dropped what they had.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import md5, sha1
from pathlib import Path

import attrs

from annexshell.model.ids import UUID
from annexshell.model.key import Key
from tests.support.repositories import BRANCH, Repo

_ONE_PACK = 20_000
"""Keys that one process packs in less time than starting others takes."""
_COMMIT, _TREE, _BLOB = 1, 2, 3
_KINDS = {_COMMIT: b"commit", _TREE: b"tree", _BLOB: b"blob"}
_WHO = b"peer <p@example.com> 1 +0000"
_PIECE = 2000
"""Files written to fast-import at once."""
_EPOCH = 1_600_000_000
_QUICK = ("-c", "core.compression=1", "-c", "core.fsync=none", "-c", "gc.auto=0")


@attrs.frozen
class BigBranch:
    """Which ``keys`` keys are where: all is computed from the number of a key.

    Of the ``uuids`` about ``copies`` have each key, ``seed`` says which.
    """

    uuids: Sequence[UUID]
    keys: int
    copies: int = 2
    seed: int = 0

    def key(self, number: int) -> Key:
        """The key of that number; the numbers need not be below ``keys``."""
        return Key.parse(self._name(number))

    def size(self, number: int) -> int:
        """The bytes that the key says it has."""
        return 1000 + number * 7919 % 1_000_003

    def import_all(self, repo: Repo) -> str:
        """Make it the repository's branch; the id of the commit.

        What a branch that is there already says about repositories stays.
        """
        top = _files_at_the_top(repo)
        described = top.pop(b"uuid.log", b"") + b"".join(
            b"%b node %d timestamp=%ds\n" % (uuid, number, _EPOCH)
            for number, uuid in enumerate(self.uuids)
        )
        workers = 1 if self.keys <= _ONE_PACK else os.cpu_count() or 1
        shares = [(self, repo.path, part, workers) for part in range(workers)]
        if workers == 1:
            parts = [_pack_share(*shares[0])]
        else:
            with multiprocessing.Pool(workers) as pool:
                parts = pool.starmap(_pack_share, shares)
        pack = _Pack()
        top[b"uuid.log"] = described
        root = [(b"100644", name, pack.add(_BLOB, top[name])) for name in top]
        root += [entry for part in parts for entry in part]
        text = b"tree %b\nauthor %b\ncommitter %b\n\nbig\n"
        tree = pack.add(_TREE, _tree(root)).hex().encode()
        commit = pack.add(_COMMIT, text % (tree, _WHO, _WHO)).hex()
        pack.install(repo.path)
        repo.git("update-ref", BRANCH, commit)
        return commit

    def import_changes(self, repo: Repo, count: int, seed: int = 1) -> str:
        """A commit on top that changes ``count`` logs, some of them of new keys."""
        dice = random.Random(seed)
        known = dice.sample(range(self.keys), min(self.keys, count * 9 // 10))
        new = range(self.keys, self.keys + count - len(known))
        numbers = [*known, *new]
        return _import(repo, self.logs(numbers, seed), repo.tip())

    def _name(self, number: int) -> bytes:
        digest = b"%032x" % (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128))
        return b"SHA256E-s%d--%b%b.dat" % (self.size(number), digest, digest)

    def logs(
        self, numbers: Iterable[int], seed: int, part: int = 0, of: int = 1
    ) -> Iterator[tuple[bytes, bytes]]:
        """Path and text of the logs of these keys; of every ``of``-th top directory."""
        dice, uuids = random.Random(seed), sorted(self.uuids)
        count, copies = len(uuids), min(self.copies, len(uuids))
        for number in numbers:
            name = self._name(number)
            spread = md5(name, usedforsecurity=False).hexdigest().encode()
            # Asked for before the share is known: all shares must throw the same dice.
            shift, dropped = dice.random(), dice.random() < 0.1
            if int(spread[:3], 16) % of != part:
                continue
            path = b"%b/%b/%b.log" % (spread[:3], spread[3:6], name)
            clock, first = _EPOCH + seed * 10**7 + number, int(shift * count)
            status = b"0" if dropped else b"1"
            lines = [
                b"%ds %b %b\n" % (clock + i, b"1" if i else status, uuid)
                for i in range(copies)
                for uuid in (uuids[(first + i) % count],)
            ]
            yield path, b"".join(lines)


# -- packs ------------------------------------------------------------------------------------

_Entry = tuple[bytes, bytes, bytes]
"""Of a tree: the mode, the name, and the raw id."""


def _tree(entries: Iterable[_Entry]) -> bytes:
    """A tree's bytes; no name here is the beginning of another."""
    ordered = sorted(entries, key=lambda entry: entry[1])
    return b"".join([b"%b %b\0%b" % entry for entry in ordered])


def _files_at_the_top(repo: Repo) -> dict[bytes, bytes]:
    """Texts by name of the branch's files that are in no directory."""
    if not repo.git("for-each-ref", BRANCH):
        return {}
    names = repo.git("ls-tree", "-z", "--name-only", BRANCH).split(b"\0")
    logs = [name for name in names if name.endswith(b".log")]
    return {log: repo.git("show", f"{BRANCH}:{log.decode()}") for log in logs}


def _pack_share(big: BigBranch, git_dir: Path, part: int, of: int) -> list[_Entry]:
    """Pack every ``of``-th top directory, and say what these are in the root's tree."""
    tops: dict[bytes, dict[bytes, list[_Entry]]] = defaultdict(
        lambda: defaultdict(list)
    )
    pack = _Pack()
    for path, content in big.logs(range(big.keys), big.seed, part, of):
        top, below, name = path.split(b"/")
        tops[top][below].append((b"100644", name, pack.add(_BLOB, content)))
    root = []
    for top, directories in tops.items():
        entries = [
            (b"40000", name, pack.add(_TREE, _tree(logs)))
            for name, logs in directories.items()
        ]
        root.append((b"40000", top, pack.add(_TREE, _tree(entries))))
    pack.install(git_dir)
    return root


class _Pack:
    """A git pack in the making; no object may be added twice."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, kind: int, content: bytes) -> bytes:
        """Take an object in; its raw id."""
        size = len(content)
        byte, left = kind << 4 | size & 15, size >> 4
        header = bytearray()
        while left:
            header.append(byte | 0x80)
            byte, left = left & 0x7F, left >> 7
        header.append(byte)
        self._parts.append(bytes(header) + zlib.compress(content, 1))
        named = b"%b %d\0%b" % (_KINDS[kind], size, content)
        return sha1(named, usedforsecurity=False).digest()

    def install(self, git_dir: Path) -> None:
        """Hand the pack to git."""
        count = len(self._parts)
        digest = sha1(usedforsecurity=False)
        command = ["git", *_QUICK, "index-pack", "--stdin"]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(
            command, cwd=git_dir, stdin=subprocess.PIPE, stdout=quiet
        ) as process:
            assert process.stdin is not None
            parts = [b"PACK\0\0\0\2" + count.to_bytes(4, "big"), *self._parts]
            for start in range(0, len(parts), _PIECE):
                piece = b"".join(parts[start : start + _PIECE])
                digest.update(piece)
                process.stdin.write(piece)
            process.stdin.write(digest.digest())
        assert process.returncode == 0


# -- fast-import ------------------------------------------------------------------------------


def _import(
    repo: Repo, files: Iterable[tuple[bytes, bytes]], parent: str | None
) -> str:
    command = ["git", *_QUICK, "fast-import", "--quiet", "--force", "--done"]
    with subprocess.Popen(
        command, cwd=repo.path, env=repo.environment, stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(
            b"commit %b\ncommitter peer <p@example.com> 1 +0000\ndata 4\nbig\n"
            % BRANCH.encode()
        )
        if parent is not None:
            process.stdin.write(b"from %b\n" % parent.encode())
        piece = []
        for path, content in files:
            piece.append(
                b"M 100644 inline %b\ndata %d\n%b\n" % (path, len(content), content)
            )
            if len(piece) == _PIECE:
                process.stdin.write(b"".join(piece))
                piece.clear()
        process.stdin.write(b"".join([*piece, b"\ndone\n"]))
    assert process.returncode == 0
    return repo.tip()
