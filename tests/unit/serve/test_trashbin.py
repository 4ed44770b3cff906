"""Content goes to the remote of annex.trashbin before it is dropped (spec 02 §11.4)."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from annexshell.errors import PeerUnreachable, RemovalRefused
from annexshell.local.store import LocalStore
from annexshell.model.ids import UUID
from annexshell.remotes.peer import PeerStore
from annexshell.repository.branch import Branch
from annexshell.repository.content import Content
from annexshell.repository.open import Repository
from annexshell.serve import trashbin
from annexshell.serve.stores import local, trash_for
from annexshell.serve.trashbin import trash_of
from tests.support.async_tests import trio_test
from tests.support.content import HELLO, PEER, Log, make_repository, put, sha256_key
from tests.support.repositories import C1, U1

KEY = sha256_key(HELLO)
BIN = U1.decode()


@pytest.fixture
def trash(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "bin", annex_uuid=BIN)


@pytest.fixture
def served(tmp_path: Path, trash: Repository) -> Repository:
    more = {"annex_trashbin": "bin", "remote_bin_url": "../bin"}
    repository = make_repository(tmp_path / "r", more=more)
    put(Content(repository), KEY, HELLO)
    return repository


def changed(repository: Repository, section: str, **settings: str) -> Repository:
    with open(repository.git_dir + "/config", "a", encoding="utf-8") as text:
        text.write(f"[{section}]\n")
        for name, value in settings.items():
            text.write(f"\t{name.replace('_', '-')} = {value}\n")
    return repository.reread()


def store_of(repository: Repository) -> LocalStore:
    found = local(repository, UUID(PEER), None).store
    assert isinstance(found, LocalStore)
    return found


@trio_test
async def test_a_session_keeps_what_it_drops(
    served: Repository, trash: Repository
) -> None:
    store = store_of(served)
    assert (await store.remove(KEY)).ok
    await store.settle()
    await store.aclose()
    assert not Content(served).present(KEY)
    assert Content(trash).present(KEY)
    assert U1 in Branch(served).locations(KEY)
    assert U1 in Branch(trash).locations(KEY)


def test_commands_outside_of_sessions_can_use_it(
    served: Repository, trash: Repository
) -> None:
    log = Log()
    keep = trash_of(served)
    content = Content(served)
    assert content.remove(
        KEY, None, lambda: 0, prepare=log.prepare, record=log.absent, trash=keep
    )
    assert Content(trash).present(KEY)
    assert U1 in Branch(served).locations(KEY)
    assert log.entries == ["absent"]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("section", "settings", "said"),
    [
        ("annex", {"trashbin": "other"}, "the name of no remote"),
        ('remote "bin"', {"annex_readonly": "true"}, "annex-readonly"),
        ('remote "bin"', {"annex_ignore": "true"}, "annex-ignore"),
        ('remote "bin"', {"url": "https://example.com/r"}, "https"),
        ('remote "bin"', {"url": "../nowhere"}, "no such directory"),
        ('remote "bin"', {"url": "../r"}, "this repository itself"),
        ('remote "bin"', {"annex_uuid": C1.decode()}, "another repository"),
        ('remote "bin"', {"url": "h:/r", "annex_uuid": C1.decode()}, "a cluster"),
        ('remote "bin"', {"url": "h:/r"}, "annex-uuid is not set"),
    ],
)
@trio_test
async def test_what_cannot_be_kept_stays(
    served: Repository, section: str, settings: dict[str, str], said: str
) -> None:
    repository = changed(served, section, **settings)
    with pytest.raises(RemovalRefused, match=said):
        await store_of(repository).remove(KEY)
    assert Content(repository).present(KEY)
    assert U1 not in Branch(repository).locations(KEY)


@pytest.mark.parametrize(("value", "seconds"), [("2m", 120), ("never", math.inf)])
@trio_test
async def test_a_bin_reached_by_ssh_has_the_limits_of_a_node(
    served: Repository, monkeypatch: pytest.MonkeyPatch, value: str, seconds: float
) -> None:
    made: list[PeerStore] = []

    async def offer(store: PeerStore, version: int) -> None:
        made.append(store)
        raise PeerUnreachable(name="bin", detail="it is not meant to be")

    monkeypatch.setattr(PeerStore, "offer", offer)
    changed(served, "annexshell", node_timeout=value)
    repository = changed(served, 'remote "bin"', url="h:/r", annex_uuid=BIN)
    with pytest.raises(RemovalRefused, match="not meant to be"):
        await store_of(repository).remove(KEY)
    assert made[0]._limits.connecting == seconds


@trio_test
async def test_a_bin_that_hangs_is_waited_for_as_long_as_a_node(
    served: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting is a length of time; all the while the content is locked."""
    seen = []

    def peer(name: str, *_: object, timeout: float) -> PeerStore:
        seen.append(timeout)
        raise PeerUnreachable(name=name, detail="it hangs")

    monkeypatch.setattr(trashbin, "PeerStore", peer)
    changed(served, "annexshell", node_timeout="2m")
    settings = {"url": "h:/r", "annex_uuid": BIN}
    repository = changed(served, 'remote "bin"', **settings)
    with pytest.raises(RemovalRefused, match="it hangs"):
        await store_of(repository).remove(KEY)
    assert seen == [120]


@trio_test
async def test_a_bin_that_is_set_during_a_session_is_not_ignored(
    served: Repository, tmp_path: Path
) -> None:
    store = store_of(changed(served, "annex", trashbin=""))
    assert trash_for(served.reread(), None) is None
    changed(served, "annex", trashbin="bin")
    with pytest.raises(RemovalRefused):
        await store.remove(KEY)
    assert Content(served).present(KEY)
