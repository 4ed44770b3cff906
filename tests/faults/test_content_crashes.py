"""kill -9 before every single change to the disk (spec 02 §10, §11, §20).

Each test kills a child at each of its steps in turn, looks at what is left, and then does
the same operation again in a new process' view of the repository.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from annexshell.errors import ContentLocked
from annexshell.local.store import LocalStore
from annexshell.model.ids import UUID
from annexshell.model.payload import Validity
from annexshell.repository.branch import Branch
from annexshell.repository.content import Content
from annexshell.repository.open import Repository
from tests.support.content import (
    HELLO,
    PEER,
    Log,
    begin,
    drop,
    files_below,
    interrupt,
    make_repository,
    put,
    reopened,
    sha256_key,
)
from tests.support.faults import every_death

KEY = sha256_key(HELLO)


@pytest.fixture(params=["9", "10"])
def repository(tmp_path: Path, request: pytest.FixtureRequest) -> Repository:
    return make_repository(tmp_path / "r", version=request.param)


def recorded(repository: Repository) -> Path:
    return Path(repository.path, "recorded")


def record(repository: Repository, what: str) -> None:
    """Writes in a way that is no step of the operation."""
    with recorded(repository).open("w") as file:
        file.write(what)


def remains(repository: Repository) -> set[str]:
    annex = Path(repository.annex_dir)
    found = {str(path.relative_to(annex)) for path in files_below(annex)}
    # What is left in othertmp/ is swept by whoever next has it for itself.
    scratch = {name for name in found if name.startswith("othertmp")}
    return found - scratch - {"sentinal"}


def check_object(repository: Repository) -> bool:
    """The object is whole or not there; nothing else has its name."""
    opened = reopened(repository).open_for_get(KEY)
    places = reopened(repository).annex.paths.places(KEY)
    exist = [Path(place.object).exists() for place in places]
    assert any(exist) == (opened is not None)
    if opened is None:
        return False
    with opened:
        assert Path(places[0].object).read_bytes() == HELLO
    return True


def test_death_while_receiving(repository: Repository) -> None:
    def receive() -> None:
        with begin(reopened(repository), KEY) as intake:
            intake.prehash()
            intake.write(HELLO[intake.offset :])
            assert intake.finish(Validity.VALID, lambda: record(repository, "present"))

    deaths = 0
    for _ in every_death(receive):
        deaths += 1
        present = check_object(repository)
        if recorded(repository).exists():
            assert present
            recorded(repository).unlink()
        if not present:
            assert put(reopened(repository), KEY, HELLO)
        assert check_object(repository)
        assert drop(reopened(repository), KEY)
        assert not Path(repository.annex_dir, "tmp", str(KEY)).exists()
    assert deaths > 20
    assert check_object(repository)
    assert recorded(repository).read_text() == "present"


def test_death_while_resuming(repository: Repository) -> None:
    interrupt(reopened(repository), KEY, b"hel")

    def resume() -> None:
        with begin(reopened(repository), KEY) as intake:
            intake.prehash()
            intake.write(HELLO[intake.offset :])
            intake.finish(Validity.VALID, lambda: record(repository, "present"))

    for _ in every_death(resume):
        if not check_object(repository):
            left = Path(repository.annex_dir, "tmp", str(KEY)).read_bytes()
            assert left in (b"hel", HELLO)
            left_over = reopened(repository).begin_intake(KEY, peer=b"x")
            assert left_over is not None
            assert left_over.offset == len(left)
            left_over.close()
        else:
            assert drop(reopened(repository), KEY)
            interrupt(reopened(repository), KEY, b"hel")
    assert check_object(repository)


def test_death_while_replacing_a_damaged_object(repository: Repository) -> None:
    place = Path(Content(repository).annex.paths.places(KEY)[0].object)
    place.parent.mkdir(parents=True)
    bad = Path(repository.annex_dir, "bad", str(KEY))

    def receive() -> None:
        put(reopened(repository), KEY, HELLO)

    place.write_bytes(b"hel")
    for _ in every_death(receive):
        if reopened(repository).present(KEY):
            assert check_object(repository)
            assert drop(reopened(repository), KEY)
        elif place.exists():
            assert place.read_bytes() == b"hel"
            continue
        assert bad.read_bytes() == b"hel"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.parent.chmod(0o755)
        place.write_bytes(b"hel")
    assert check_object(repository)


def test_death_while_removing(repository: Repository) -> None:
    def remove() -> None:
        reopened(repository).remove(
            KEY,
            1,
            lambda: 0,
            prepare=Log().prepare,
            record=lambda: record(repository, "absent"),
        )

    deaths = 0
    put(reopened(repository), KEY, HELLO)
    for _ in every_death(remove):
        deaths += 1
        present = check_object(repository)
        if recorded(repository).exists():
            assert not present
            recorded(repository).unlink()
        if not present:
            assert put(reopened(repository), KEY, HELLO)
    assert deaths > 3
    assert not reopened(repository).present(KEY)
    assert recorded(repository).read_text() == "absent"
    assert remains(repository) == set()


def test_death_of_a_locker(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r")
    place = Content(repository).annex.paths.places(KEY)[0]
    promised = Path(repository.path, "promised")

    def lock() -> None:
        held = reopened(repository).lock_shared(KEY)
        assert held is not None
        with promised.open("w") as file:
            file.write("SUCCESS")
        held.unlock()

    put(reopened(repository), KEY, HELLO)
    outcomes = set()
    for _ in every_death(lock):
        try:
            removed = drop(reopened(repository), KEY)
        except ContentLocked:
            removed = False
            Path(place.retention).write_bytes(b"1s")
            assert drop(reopened(repository), KEY)
        outcomes.add((promised.exists(), removed))
        promised.unlink(missing_ok=True)
        assert remains(repository) == set()
        put(reopened(repository), KEY, HELLO)
    # Before the promise either may be; after it, only an unlock in progress lets go.
    assert {(False, True), (False, False), (True, False)} <= outcomes
    assert drop(reopened(repository), KEY)


def test_death_while_removing_what_is_logged(tmp_path: Path) -> None:
    """The log's new text is on the disk before the object goes, and counts after it."""
    repository = make_repository(tmp_path / "r")
    here = repository.uuid

    def remove() -> None:
        store = LocalStore(repository, UUID(PEER), alone=True)
        assert trio.run(store.remove, KEY).ok

    def restore() -> None:
        assert put(reopened(repository), KEY, HELLO)
        Branch(repository).record(KEY, here, True)

    restore()
    seen = set()
    for _ in every_death(remove):
        present = check_object(repository)
        logged = here in Branch(repository).locations(KEY)
        assert logged or not present
        seen.add((present, logged))
        remove()
        assert not reopened(repository).present(KEY)
        assert here not in Branch(repository).locations(KEY)
        left = {name for name in remains(repository) if not name.endswith(".lck")}
        assert {Path(name).parts[0] for name in left} <= {"journal", "annexshell-tmp"}
        restore()
    assert seen == {(True, True), (False, True), (False, False)}
    assert here not in Branch(repository).locations(KEY)
