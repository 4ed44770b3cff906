"""Divergent git-annex branches, merged by git-annex and by us (spec 03 §9.2, §11.5).

Two copies of one repository get the same generated branches. In one git-annex merges, in
the other we do. Texts must come out the same to the byte, save location logs, which we
merge by meaning: there who has the content must come out the same, for us and as
git-annex itself reads it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import reduce
from itertools import permutations
from pathlib import Path

import attrs
import pytest
from hypothesis import settings

from annexshell.logs.lines import lines_of
from annexshell.logs.location import is_location_path, parse_line, parse_location
from annexshell.logs.merge import union
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.branch import Branch
from tests.support.branches import Case, cases, contents, import_commit, keys
from tests.support.repositories import BRANCH, U1, Repo, annex_repo

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        shutil.which("git-annex") is None, reason="git-annex is not in PATH"
    ),
]

ORIGIN = "refs/remotes/origin/git-annex"
SYNCED = "refs/heads/synced/git-annex"
#: Each key is one location log; about as many other files come with them.
KEYS = 120
SEEDS = range(max(2, settings().max_examples // 20))


@attrs.frozen
class Pair:
    """The same branches, merged twice."""

    generated: dict[bytes, Case]
    before: Repo
    theirs: Repo
    ours: Repo


def copy_of(repo: Repo, path: Path) -> Repo:
    shutil.copytree(repo.path, path, symlinks=True)
    return attrs.evolve(repo, path=path)


def prepare(tmp_path: Path, seed: int, refs: tuple[str, ...]) -> Pair:
    """``refs`` are the siblings; they and ours fork from one commit."""
    generated = cases(seed, KEYS, 1 + len(refs))
    before = annex_repo(tmp_path / "before", bare=True, uuid=U1)
    before.annex("merge")
    base = {
        path: case.base for path, case in generated.items() if case.base is not None
    }
    fork = import_commit(before, BRANCH, base, before.tip())
    for number, ref in enumerate((BRANCH, *refs)):
        side = {path: case.sides[number] for path, case in generated.items()}
        import_commit(before, ref, side, fork)
    before.forget_index()
    return Pair(
        generated,
        before,
        copy_of(before, tmp_path / "theirs"),
        copy_of(before, tmp_path / "ours"),
    )


def merge_both(pair: Pair) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    pair.theirs.annex("merge")
    Branch(pair.ours.open()).settle()
    for repo in (pair.theirs, pair.ours):
        assert repo.git("fsck", "--strict", "--no-dangling", "--no-progress") == b""
        for ref in repo.git("for-each-ref", "--format=%(refname)").decode().split():
            repo.git("merge-base", "--is-ancestor", ref, BRANCH)
    return contents(pair.theirs, BRANCH), contents(pair.ours, BRANCH)


def tied(texts: list[bytes]) -> set[UUID]:
    """Repositories of which two newest lines say opposite things at the same time."""
    newest: dict[UUID, tuple[int, set[bytes]]] = {}
    for line in [line for text in texts for line in lines_of(text)]:
        found = parse_line(line)
        if found is None:
            continue
        clock, said = newest.get(found.uuid, (found.clock, set()))
        if found.clock > clock:
            clock, said = found.clock, set()
        if found.clock == clock:
            said.add(found.status)
        newest[found.uuid] = (clock, said)
    return {uuid for uuid, (_, said) in newest.items() if len(said) > 1}


def statuses(log: bytes) -> dict[UUID, tuple[int, bytes]]:
    winners = parse_location(log).winners
    return {uuid: (entry.clock, entry.status) for uuid, entry in winners.items()}


def merged_since_the_fork(case: Case) -> bytes | None:
    """Our side, and of the others what they changed: a file left alone adds nothing."""
    found = case.sides[0]
    for side in case.sides[1:]:
        if side is not None and side != case.base:
            found = side if found is None else union(found, side)
    return found


def brought_back(case: Case) -> bool:
    """Ours lost something since the fork, and a sibling that left the file alone has it.

    git-annex unites whole trees and takes it back; we unite what changed (see
    docs/differences.md, "Lines lost since the fork").
    """
    whole = merged_since_the_fork(case)
    if case.base is None or case.base not in case.sides[1:]:
        return False
    return whole is None or union(whole, case.base) != whole


def differs(path: bytes, case: Case, theirs: bytes | None, ours: bytes | None) -> bool:
    """Whether a file came out in a way that it should not have."""
    if brought_back(case):
        theirs = merged_since_the_fork(case)
    if theirs is None or ours is None:
        return ours != theirs
    if is_location_path(path):
        return means_another(case, theirs, ours)
    return ours != theirs and not reordered(case, theirs, ours)


def means_another(case: Case, theirs: bytes, ours: bytes) -> bool:
    texts = [side for side in case.sides if side is not None]
    mine, other = statuses(ours), statuses(theirs)
    certain = mine.keys() - tied(texts)
    return (
        mine.keys() != other.keys()
        or any(mine[uuid] != other[uuid] for uuid in certain)
        or parse_location(ours).strays != parse_location(theirs).strays
    )


def reordered(case: Case, theirs: bytes, ours: bytes) -> bool:
    """Both are what the sides unite to, taken in some order.

    A side that has all lines already stays as it is, so the order shows in the text.
    """
    sides = [case.sides[0], *case.sides[1:]]
    if brought_back(case):
        sides[1:] = [side for side in sides[1:] if side != case.base]
    orders = permutations(side for side in sides if side is not None)
    return {theirs, ours} <= {reduce(union, order) for order in orders}


def whereis(repo: Repo) -> dict[Key, frozenset[UUID]]:
    """Who has the content of each key, as git-annex reads the branch."""
    command = ["git-annex", "whereis", "--all", "--json"]
    done = subprocess.run(
        command, cwd=repo.path, env=repo.environment, capture_output=True, check=False
    )
    found = {}
    for told in map(json.loads, done.stdout.splitlines()):
        places = told["whereis"] + told["untrusted"]
        uuids = frozenset(UUID(place["uuid"].encode()) for place in places)
        found[Key.parse(told["key"].encode())] = uuids
    return found


@pytest.mark.parametrize("refs", [(ORIGIN,), (ORIGIN, SYNCED)], ids=["two", "three"])
@pytest.mark.parametrize("seed", SEEDS)
def test_both_merge_the_same(tmp_path: Path, seed: int, refs: tuple[str, ...]) -> None:
    pair = prepare(tmp_path, seed, refs)
    theirs, ours = merge_both(pair)
    wrong = [
        f"{path!r}: {case}\n  git-annex: {theirs.get(path)!r}\n  ours: {ours.get(path)!r}"
        for path, case in pair.generated.items()
        if differs(path, case, theirs.get(path), ours.get(path))
    ]
    assert not wrong, "\n".join([f"{len(wrong)} files", *wrong[:5]])
    check_reading(pair.ours)
    check_reading(pair.theirs)
    # What was merged is not merged again.
    tip = pair.ours.tip()
    Branch(pair.ours.open()).settle()
    pair.ours.annex("merge")
    assert contents(pair.ours, tip) == contents(pair.ours, BRANCH)


def check_reading(repo: Repo) -> None:
    """git-annex and we read the same from one branch, also where lines are odd or tied."""
    read = whereis(repo)
    branch = Branch(repo.open())
    for key in keys(KEYS):
        assert branch.locations(key) == read.get(key, frozenset()), (key, branch)
