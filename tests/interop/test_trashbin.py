"""annex.trashbin: what is dropped from us is kept elsewhere first (spec 02 §11.4)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.client import Client, Repo
from tests.support.sshserver import SshServer
from tests.support.world import World

CONTENT = b"worth keeping"


@dataclass(frozen=True)
class Estate:
    """A client with one file in a served repository that has a trash bin, and that."""

    me: Repo
    served: Repo
    trash: Repo
    key: str

    def drop(self) -> bool:
        """Have the client drop the content from the served repository."""
        done = self.me.annex("drop", "--from=origin", "--force", "file", check=False)
        assert (done.code == 0) != self.served.has(self.key), done
        return done.code == 0

    def trash_is(self, url: str, **settings: str) -> None:
        self.served.git("remote", "add", "bin", url)
        uuid = self.trash.uuid
        for name, value in ({"annex-uuid": uuid} | settings).items():
            self.served.git("config", f"remote.bin.{name.replace('_', '-')}", value)
        self.served.git("config", "annex.trashbin", "bin")


@pytest.fixture
def estate(world: World, current: Client, openssh: SshServer, place: Path) -> Estate:
    served = Repo.create(world, current, place / "served", bare=True)
    trash = Repo.create(world, current, place / "trash", bare=True)
    me = served.clone(openssh.url("ours", served.path), place / "me")
    key = me.add("file", CONTENT)
    me.annex("copy", "--to=origin", "file")
    return Estate(me, served, trash, key)


@pytest.mark.parametrize("way", ["path", "ours", "reference"])
def test_what_is_dropped_is_in_the_trash(
    estate: Estate, openssh: SshServer, way: str
) -> None:
    path = estate.trash.path
    estate.trash_is(str(path) if way == "path" else openssh.url(way, path))
    for _ in range(2):  # The second time it is there already.
        assert estate.drop()
        assert estate.trash.object(estate.key).read_bytes() == CONTENT
        estate.me.git("fetch", "--quiet", "origin")
        estate.me.annex("merge")
        there = estate.me.whereis(estate.key)
        assert estate.trash.uuid in there
        assert estate.served.uuid not in there
        estate.me.annex("copy", "--to=origin", "file")
    estate.trash.fsck_content()


def test_through_a_gateway_the_trash_is_the_nodes_own(
    estate: Estate, world: World, current: Client, openssh: SshServer, place: Path
) -> None:
    estate.trash_is(str(estate.trash.path))
    gateway = Repo.create(world, current, place / "gw", bare=True)
    gateway.git("remote", "add", "node", str(estate.served.path))
    gateway.git("config", "remote.node.annex-uuid", estate.served.uuid)
    gateway.git("config", "remote.node.annex-proxy", "true")
    gateway.git("fetch", "--quiet", "node")
    gateway.annex("merge")
    gateway.annex("updateproxy")
    you = gateway.clone(openssh.url("ours", gateway.path), place / "you")
    you.annex("drop", "--from=origin-node", "--force", f"--key={estate.key}")
    assert not estate.served.has(estate.key)
    assert estate.trash.object(estate.key).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "wrong", ["unknown", "itself", "gone", "another", "special", "no uuid", "read-only"]
)
def test_content_that_cannot_be_kept_elsewhere_stays(
    estate: Estate, openssh: SshServer, place: Path, wrong: str
) -> None:
    url = str(estate.trash.path)
    if wrong == "unknown":
        estate.served.git("config", "annex.trashbin", "nobody")
    elif wrong == "itself":
        estate.trash_is(str(estate.served.path), annex_uuid="")
    elif wrong == "gone":
        estate.trash_is(str(place / "nowhere"))
    elif wrong == "another":
        estate.trash_is(url, annex_uuid=estate.me.uuid)
    elif wrong == "special":
        estate.trash_is(url)
        estate.served.git("config", "--unset", "remote.bin.url")
    elif wrong == "no uuid":
        estate.trash_is(openssh.url("ours", estate.trash.path), annex_uuid="")
    else:
        estate.trash_is(openssh.url("readonly", estate.trash.path))
    dropped = estate.me.annex("drop", "--from=origin", "--force", "file", check=False)
    assert dropped.code == 1
    assert "annex.trashbin=" in dropped.out + dropped.err, dropped
    assert estate.served.object(estate.key).read_bytes() == CONTENT
    assert not estate.trash.has(estate.key)
    assert estate.trash.uuid not in estate.served.whereis(estate.key)
