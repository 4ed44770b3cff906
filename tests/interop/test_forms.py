"""Every form of repository is served to a real client as git-annex-shell serves it.

Each form is made twice by git-annex. A real client works with the one through us, and the
other is what git-annex-shell itself makes of the same requests (spec 02 §4 to §6).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from tests.support.client import Client, Repo
from tests.support.forms import CONTENT, FORMS, NAME, Bench, Made
from tests.support.session import Session, p2pstdio
from tests.support.sshserver import SshServer
from tests.support.world import World, remove_tree

#: git-annex-shell looks for the annex below ``.git`` of a git directory, and fails.
UNSERVED_BY_THE_REFERENCE = ("separate by git dir", "separate with worktree")

#: git-annex asks for the empty tree by its SHA-1 name, to no harm.
SHA1_ONLY = re.compile("fatal: ambiguous argument '4b825d(.*\\n){3}")
PARTS = (".", "tmp", "transfer", "transfer/download", "transfer/download/lck")


@pytest.fixture(scope="module")
def sender(world: World, current: Client, places: Callable[[], Path]) -> Iterator[Repo]:
    """The client's repository, which has the content."""
    place = places()
    repo = Repo.create(world, current, place / "sender")
    repo.add(NAME, CONTENT)
    yield repo
    remove_tree(place)


@attrs.frozen
class Pair:
    """A form made twice."""

    form: str
    ours: Made
    theirs: Made

    def compare(self, request: bytes) -> None:
        """Have git-annex-shell do what we did; then nothing tells the two apart."""
        if self.form not in UNSERVED_BY_THE_REFERENCE:
            self._ask_reference(request)
            assert self.ours.objects() == self.theirs.objects()
            ours, theirs = (
                made.directories(*PARTS) for made in (self.ours, self.theirs)
            )
            assert ours == {name: theirs.get(name, ours[name]) for name in ours}
            assert self.ours.work_file() == self.theirs.work_file()
            assert self.ours.database() == self.theirs.database()
            assert self.ours.commands() == self.theirs.commands()
            assert self.ours.message() == self.theirs.message()
            assert complaints(self.ours.repo) == complaints(self.theirs.repo)
        elif request.startswith(b"PUT"):
            assert complaints(self.ours.repo) == ""

    def _ask_reference(self, request: bytes) -> None:
        repo = self.theirs.repo
        command = p2pstdio(self.theirs.path, repo.uuid)
        env = repo.world.env(repo.client.bin)
        with Session(
            [repo.client.shell, "-c", command], cwd=repo.world.place, env=env
        ) as session:
            session.greet()
            if request.startswith(b"PUT"):
                answer = session.put(request.split()[-1], CONTENT)
            else:
                answer = session.ask(request)
            assert answer == b"SUCCESS", session.stderr
            assert session.end().code == 0


def complaints(repo: Repo) -> str:
    """What git-annex finds wrong with content and log; git itself must find nothing.

    Not every form is one that git-annex is content with after its own work.
    """
    checked = repo.annex("fsck", "--all", check=False)
    assert "fixing location log" not in checked.out, checked
    repo.git("fsck", "--strict", "--no-dangling")
    return SHA1_ONLY.sub("", checked.err)


@pytest.fixture(params=FORMS)
def pair(
    request: pytest.FixtureRequest, world: World, current: Client, place: Path
) -> Pair:
    made = []
    for name in ("a", "b"):
        (place / name).mkdir()
        made.append(FORMS[request.param](Bench(world, current, place / name)))
    return Pair(str(request.param), *made)


def test_a_client_is_served(pair: Pair, sender: Repo, openssh: SshServer) -> None:
    served, key = pair.ours.repo, sender.key(NAME)
    name = pair.ours.path.parent.parent.name
    sender.git("remote", "add", name, openssh.url("ours", pair.ours.path))
    try:
        sender.annex("copy", f"--to={name}", NAME)
        pair.compare(b"PUT f " + key.encode())
        assert served.has(key) and served.uuid in served.whereis(key)
        # The last copy but one goes only if the server locks its own.
        sender.annex("drop", NAME)
        sender.annex("get", f"--from={name}", NAME)
        assert (sender.path / NAME).read_bytes() == CONTENT
        sender.annex("fsck", "--fast", f"--from={name}")
        assert_no_locks(pair.ours)
        sender.annex("drop", f"--from={name}", NAME)
        pair.compare(b"REMOVE " + key.encode())
        assert not served.has(key) and served.uuid not in served.whereis(key)
    finally:
        sender.git("remote", "remove", name)


def assert_no_locks(made: Made) -> None:
    left = [p for p in made.objects() if p.endswith((".lck", ".rtm", ".rtl"))]
    assert left == []
