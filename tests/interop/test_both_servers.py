"""git-annex-shell and annexshell at work in one repository at the same time.

Several clients put, get, lock and remove a few keys through both servers alternately, and
now and then a server is killed. What was acknowledged must hold.

Left out, because git-annex-shell itself is known not to keep its word there:

- the promise that a killed locker leaves behind is not counted upon: an orderly unlock of
  git-annex's takes away a promise of somebody else (docs/defects.md);
- nobody pushes: a push while git-annex has lines in its journal loses lines;
- only keys with a digest are used, with content that is right: git-annex completes other
  content from whatever is in annex/tmp;
- annex.thin is off: an upload over an edited thin object throws the content away.

A log may say "present" of absent content only where git-annex-shell was storing it while
it was removed, which it does without holding a lock, or where a server was killed between
removing and recording; git-annex's own fsck then corrects it.
"""

from __future__ import annotations

import hashlib
import random
import threading
from pathlib import Path

import pytest
from hypothesis import settings

from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.annex import Annex
from annexshell.repository.branch import Branch
from annexshell.repository.open import open_repository
from tests.support.client import Client, Repo
from tests.support.operations import Keyed
from tests.support.rivals import Diary, Rival
from tests.support.session import Session, on_pipes
from tests.support.twins import FORMS, annex_dir, make
from tests.support.world import World

CLIENTS = 4
REQUESTS = 16
#: Rounds after each of which everything is looked at; the deep profile runs for long.
ROUNDS = max(4, settings().max_examples // 40)
KILLS = 0.08


def keys(dice: random.Random) -> dict[str, Keyed]:
    """A small set, so that clients meet; one content takes several reads."""
    found = {}
    for number, size in enumerate((1, 3000, 400_000)):
        content = dice.randbytes(size)
        digest = hashlib.sha256(content).hexdigest()
        found[f"k{number}"] = Keyed(f"SHA256E-s{size}--{digest}".encode(), content)
    return found


class Ring:
    """One repository, the clients around it, and what they did."""

    def __init__(self, world: World, repo: Repo, program: str, seed: int) -> None:
        self.world = world
        self.repo = repo
        self.dice = random.Random(seed)
        self.keys = keys(self.dice)
        self.diary = Diary()
        self._programs = {"git-annex": str(repo.client.shell), "annexshell": program}
        self._paths = Annex(open_repository(str(repo.path))).paths
        self.rivals = [self._rival(number) for number in range(CLIENTS)]

    def _rival(self, number: int) -> Rival:
        def open_session(server: str) -> Session:
            uuid = f"c1c1c1c1-0000-4000-8000-{number:012d}"
            return on_pipes(self.world, self._programs[server], self.repo, client=uuid)

        dice = random.Random(self.dice.random())
        return Rival(open_session, self.keys, self.diary, dice, KILLS, self.holds)

    def objects(self, keyed: Keyed) -> list[Path]:
        places = self._paths.places(Key.parse(keyed.text))
        return [Path(place.object) for place in places]

    def holds(self, keyed: Keyed) -> bool:
        """Whether whole, right content is there."""
        for path in self.objects(keyed):
            try:
                if path.read_bytes() == keyed.content:
                    return True
            except FileNotFoundError:
                continue  # removed since it was listed
        return False

    def round(self) -> None:
        """All clients at once; what some keys hold is not removed in this round."""
        kept = frozenset(self.dice.sample(sorted(self.keys), 1))
        threads = [
            threading.Thread(target=rival.work, args=(REQUESTS, kept))
            for rival in self.rivals
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def end(self) -> None:
        for rival in self.rivals:
            rival.end()
        # Ten minutes pass, for what was promised to lockers that were killed.
        for stamp in annex_dir(self.repo).glob("objects/**/*.rtm"):
            stamp.parent.chmod(0o755)
            stamp.unlink()

    # -- judging ----------------------------------------------------------------------

    def told(self, key: str, what: str) -> str:
        return f"{key}: {what}\n{self.diary.story(key)}"

    def check_content(self) -> None:
        assert not self.diary.wrong, "\n".join(self.diary.wrong)
        for key, keyed in self.keys.items():
            there = self.holds(keyed)
            rest = [path for path in self.objects(keyed) if path.exists()]
            assert there or not rest, self.told(key, "wrong content")
            if self.diary.must_be_present(key):
                assert there, self.told(key, "acknowledged content is lost")
            if self.diary.must_be_absent(key):
                assert not there, self.told(key, "acknowledged removal was none")
            self._check_locks(key)

    def _check_locks(self, key: str) -> None:
        for held in self.diary.of(key, "HELD"):
            for removal in self.diary.of(key, "REMOVE"):
                inside = held.start < removal.start and removal.end < held.end
                assert not (inside and removal.ok), self.told(
                    key, "removed when locked"
                )

    def check_logs(self) -> None:
        for key, keyed in self.keys.items():
            if self.holds(keyed) != self._logged(keyed) and not self._excused(key):
                raise AssertionError(self.told(key, "the log is wrong"))
        self.repo.annex("fsck", "--all", "--fast", check=False)
        branch = Branch(open_repository(str(self.repo.path)))
        for key, keyed in self.keys.items():
            there, logged = self.holds(keyed), self._logged(keyed)
            assert there == logged, self.told(key, "fsck did not correct the log")
            ours = UUID(self.repo.uuid.encode()) in branch.locations(
                Key.parse(keyed.text)
            )
            assert ours == logged, self.told(key, "we read another log")

    def _logged(self, keyed: Keyed) -> bool:
        return self.repo.uuid in self.repo.whereis(keyed.text.decode())

    def _excused(self, key: str) -> bool:
        changes = self.diary.of(key, "PUT", "REMOVE")
        return any(event.killed for event in changes) or any(
            put.server == "git-annex" and put.overlaps(removal)
            for put in self.diary.of(key, "PUT")
            for removal in self.diary.of(key, "REMOVE")
        )

    def check_nothing_blocks(self) -> None:
        """Each server can still do everything with every key, whatever was left over."""
        for server, program in self._programs.items():
            with on_pipes(self.world, program, self.repo) as session:
                session.greet()
                for key, keyed in self.keys.items():
                    told = self.told(key, f"{server} is kept from working")
                    text = keyed.text
                    assert session.ask(b"REMOVE " + text) == b"SUCCESS", told
                    assert session.put(text, keyed.content) == b"SUCCESS", told
                    assert session.get(text) == (keyed.content, b"VALID"), told
                    assert session.ask(b"LOCKCONTENT " + text) == b"SUCCESS", told
                    session.say(b"UNLOCKCONTENT")
                session.end()


FEW = {form.name: form for form in FORMS if form.name in ("bare", "bare-v9", "work-v8")}


@pytest.mark.parametrize(
    ("form", "rounds"),
    [("bare", ROUNDS), ("bare-v9", ROUNDS // 2), ("work-v8", ROUNDS // 2)],
)
def test_what_was_acknowledged_holds(
    world: World, current: Client, program: str, place: Path, form: str, rounds: int
) -> None:
    repo = make(world, current, place / "repo", FEW[form])
    ring = Ring(world, repo, program, seed=7)
    if not FEW[form].bare:
        (repo.path / "file").write_bytes(ring.keys["k1"].content)
        repo.annex("add", "--quiet", "file")
        repo.annex("unlock", "--quiet", "file")
        repo.git("commit", "--quiet", "-m", "a file to fill and to empty")
        assert repo.key("file").encode() == ring.keys["k1"].text
    for _ in range(rounds):
        ring.round()
        ring.end()
        ring.check_content()
        ring.check_logs()
    ring.check_nothing_blocks()
    repo.fsck()
