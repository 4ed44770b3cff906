"""The remotes of another user's repository are not connected to."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from annexshell.errors import PeerUnreachable, RemovalRefused
from annexshell.local.store import LocalStore
from annexshell.model.ids import UUID
from annexshell.repository import ownership
from annexshell.repository.branch import Branch
from annexshell.repository.content import Content
from annexshell.repository.open import Repository, open_repository
from annexshell.serve.proxied import proxied, remote_for
from annexshell.serve.stores import local
from tests.support.async_tests import trio_test
from tests.support.content import HELLO, PEER, make_repository, put, sha256_key
from tests.support.repositories import U1

KEY = sha256_key(HELLO)
URLS = pytest.mark.parametrize("url", ["../node", "ssh://host/node"])


@pytest.fixture
def gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Repository]:
    """Makes a gateway, of which somebody else wrote the config."""
    monkeypatch.setenv("HOME", str(tmp_path))
    make_repository(tmp_path / "node", annex_uuid=U1.decode())

    def make(url: str, owner: int = os.geteuid() + 12345) -> Repository:
        more = {
            "annex_trashbin": "node",
            "remote_node_url": url,
            "remote_node_annex-uuid": U1.decode(),
            "remote_node_annex-proxy": "true",
            "remote_node_annex-ssh-options": f"-oProxyCommand='touch {tmp_path}/ran'",
        }
        repository = make_repository(tmp_path / "r", more=more)
        publish(repository)
        monkeypatch.setattr(ownership, "owners_of", lambda git_dir: {0, owner})
        return repository

    return make


def publish(repository: Repository) -> None:
    """What a client could push."""
    branch = Branch(repository)
    line = b"1s %b %b:node\n" % (repository.uuid, U1)
    branch.change(b"proxy.log", repository.uuid, lambda old: line)
    branch.settle()


@URLS
def test_they_are_not_proxied_to(gateway: Callable[..., Repository], url: str) -> None:
    repository = gateway(url)
    with pytest.raises(PeerUnreachable, match="another user's"):
        proxied(repository, U1, None)


@URLS
def test_our_own_are(gateway: Callable[..., Repository], url: str) -> None:
    assert proxied(gateway(url, owner=os.geteuid()), U1, None).store is not None


@pytest.mark.parametrize("ours", [True, False])
def test_what_their_config_says_is_not_run(
    gateway: Callable[..., Repository], tmp_path: Path, ours: bool
) -> None:
    """Not even to find out which of two remotes is cheaper."""
    repository = gateway("../node", os.geteuid() if ours else os.geteuid() + 12345)
    ran = tmp_path / "asked"
    with open(os.path.join(repository.git_dir, "config"), "a") as config:
        for name in ("node", "second"):
            command = f"touch {ran}; echo {300 if name == 'node' else 5}"
            config.write(
                f'[remote "{name}"]\n\turl = ../node\n\tannex-uuid = {U1.decode()}\n'
                f'\tannex-proxy = true\n\tannex-cost-command = "{command}"\n'
            )
    branch = Branch(repository)
    both = b"2s %b %b:node %b:second\n" % (repository.uuid, U1, U1)
    branch.change(b"proxy.log", repository.uuid, lambda old: both)
    found = remote_for(open_repository(repository.path), U1, branch)
    assert found.name == ("second" if ours else "node")
    assert ran.exists() == ours


def _replaced(new: bytes, old: bytes) -> bytes:
    return new


CLUSTER = b"acf788bc-41dd-8c24-b6ef-c199bfe447e6"


def test_their_clusters_are_not_served(gateway: Callable[..., Repository]) -> None:
    repository = gateway("../node")
    with open(os.path.join(repository.git_dir, "config"), "a") as config:
        config.write(f'[annex "cluster"]\n\tmine = {CLUSTER.decode()}\n')
    branch = Branch(repository)
    lines = {
        b"proxy.log": b"2s %b %b:mine\n" % (repository.uuid, CLUSTER),
        b"cluster.log": b"2s %b %b\n" % (CLUSTER, U1),
    }
    for path, line in lines.items():
        branch.change(path, repository.uuid, partial(_replaced, line))
    with pytest.raises(PeerUnreachable, match="mine: .*another user's"):
        proxied(open_repository(repository.path), UUID(CLUSTER), None)


@URLS
@trio_test
async def test_nothing_is_thrown_into_them(
    gateway: Callable[..., Repository], url: str, tmp_path: Path
) -> None:
    repository = gateway(url)
    put(Content(repository), KEY, HELLO)
    store = local(repository, UUID(PEER), None).store
    assert isinstance(store, LocalStore)
    with pytest.raises(RemovalRefused, match="another user's"):
        await store.remove(KEY)
    await store.aclose()
    assert Content(repository).present(KEY)
    assert not (tmp_path / "ran").exists()
