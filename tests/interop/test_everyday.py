"""What people do every day, with each version of the client over both ssh servers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.conftest import needed_client
from tests.support.client import CLIENTS, Client, Repo
from tests.support.gateway import Gateway
from tests.support.sshserver import SshServer
from tests.support.world import World

#: Names with everything a file name may hold, as bytes: git and git-annex allow them all.
HARD_NAMES = (
    b"with spaces in it",
    b" leading and trailing ",
    b"new\nline",
    b"tab\tand\rreturn",
    b"100% %20 %% quoted",
    b'it\'s "quoted" \\ `id` $HOME ;',
    b"-n",
    "grün ääkkösiä 日本語".encode(),
    b"not utf-8 \xe9\xff\xfe",
    b"*?[x]{a,b}",
)


@dataclass(frozen=True)
class Estate:
    """A gateway with a node by path and one over ssh; clients are made by the tests."""

    gateway: Gateway
    server: SshServer

    def url(self, account: str) -> str:
        return self.server.url(account, self.gateway.repo.path)


#: The embedded server sees the same words from every client: the newest one will do.
PAIRS = [("openssh", version) for version in CLIENTS] + [("embedded", CLIENTS[0])]
if os.environ.get("HYPOTHESIS_PROFILE") == "deep":
    PAIRS += [("embedded", version) for version in CLIENTS[1:]]


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A kind of ssh server and a version of the client."""
    kind, version = request.param
    return kind, version


@pytest.fixture(scope="module")
def server(pair: tuple[str, str], servers: Callable[[str], SshServer]) -> SshServer:
    return servers(pair[0])


@pytest.fixture(scope="module")
def client(pair: tuple[str, str], world: World) -> Client:
    return needed_client(pair[1], world)


@pytest.fixture(scope="module")
def estate(
    world: World, current: Client, server: SshServer, places: Callable[[], Path]
) -> Iterator[Estate]:
    gateway = Gateway.create(world, current, places() / "gw", bare=True)
    gateway.add_path_node("path")
    gateway.add_ssh_node("ssh", server, "reference")
    gateway.publish()
    yield Estate(gateway, server)
    gateway.fsck()


@pytest.fixture(scope="module")
def me(estate: Estate, client: Client, places: Callable[[], Path]) -> Iterator[Repo]:
    """A clone with one version of the client; its files have that version's name."""
    repo = estate.gateway.repo.clone(estate.url("ours"), places() / "me", client)
    repo.git("checkout", "--quiet", "-B", f"main-{client.version}")
    repo.git("commit", "--quiet", "--allow-empty", "-m", "start")
    yield repo
    repo.annex("sync", "--no-content", "origin")
    repo.fsck()


def content(repo: Repo, name: str) -> bytes:
    return f"{name} of {repo.path}\n".encode() * 1000


def test_copy_drop_get(me: Repo, estate: Estate) -> None:
    key = me.add("copied", content(me, "copied"))
    me.annex("copy", "--to=origin", "copied")
    assert me.whereis(key) == {me.uuid, estate.gateway.repo.uuid}
    assert estate.gateway.repo.has(key)
    me.annex("drop", "copied")
    assert not me.has(key)
    me.annex("get", "copied")
    assert (me.path / "copied").read_bytes() == content(me, "copied")


def test_move_there_and_back(me: Repo, estate: Estate) -> None:
    key = me.add("moved", content(me, "moved"))
    me.annex("move", "--to=origin", "moved")
    assert (me.has(key), estate.gateway.repo.has(key)) == (False, True)
    me.annex("move", "--from=origin", "moved")
    assert (me.has(key), estate.gateway.repo.has(key)) == (True, False)
    assert me.whereis(key) == {me.uuid}
    assert estate.gateway.repo.whereis(key) <= {me.uuid}


def test_a_drop_needs_the_copies_asked_for(me: Repo) -> None:
    key = me.add("guarded", content(me, "guarded"))
    me.annex("copy", "--to=origin", "guarded")
    refused = me.annex("drop", "-N2", "guarded", check=False)
    assert refused.code != 0 and me.has(key), refused
    refused = me.annex("drop", "--from=origin", "-N2", "guarded", check=False)
    assert refused.code != 0, refused
    me.annex("fsck", "--from=origin", "guarded")
    me.annex("drop", "--from=origin", "guarded")


def test_fsck_from(me: Repo, estate: Estate) -> None:
    key = me.add("checked", content(me, "checked"))
    me.annex("copy", "--to=origin", "checked")
    me.annex("fsck", "--from=origin", "checked")
    spoilt = estate.gateway.repo.object(key)
    spoilt.chmod(0o644)
    spoilt.write_bytes(b"X" * len(content(me, "checked")))
    found = me.annex("fsck", "--from=origin", "checked", check=False)
    assert found.code != 0 and "Verification of content failed" in found.all, found
    estate.gateway.repo.annex("fsck", "--all", check=False)  # moves it to annex/bad
    assert not estate.gateway.repo.has(key)
    me.annex("copy", "--to=origin", "checked")
    me.annex("fsck", "--from=origin", "checked")


def test_four_jobs_at_once(me: Repo, estate: Estate) -> None:
    names = [f"many/{number}" for number in range(12)]
    for name in names:
        (me.path / name).parent.mkdir(exist_ok=True)
        (me.path / name).write_bytes(content(me, name))
    me.annex("add", "--quiet", "many")
    me.git("commit", "--quiet", "-m", "many")
    me.annex("move", "-J4", "--to=origin", "many")
    keys = [me.key(name) for name in names]
    assert all(estate.gateway.repo.has(key) for key in keys)
    assert not any(me.has(key) for key in keys)
    me.annex("get", "-J4", "many")
    me.annex("drop", "-J4", "--from=origin", "many")
    for name in names:
        assert (me.path / name).read_bytes() == content(me, name)


def test_sync_content_between_two_clients(
    me: Repo, estate: Estate, place: Path
) -> None:
    me.add("shared", content(me, "shared"))
    me.annex("sync", "--content", "origin")
    other = estate.gateway.repo.clone(estate.url("ours"), place / "other", me.client)
    branch = me.git("symbolic-ref", "--short", "HEAD").out.strip()
    other.git("checkout", "--quiet", branch)
    other.annex("sync", "--content", "origin")
    assert (other.path / "shared").read_bytes() == content(me, "shared")
    other.annex("fsck")
    other.add("answer", content(other, "answer"))
    other.annex("sync", "--content", "origin")
    me.annex("sync", "--content", "origin")
    assert (me.path / "answer").read_bytes() == content(other, "answer")


def add_hard_names(me: Repo, folder: str) -> list[bytes]:
    """Add a file of each hard name.

    They are renamed by git after adding: 10.20261026 cannot take a name that is not of
    its locale as an argument, but works on one it finds in the index.
    """
    names = []
    for number, hard in enumerate(HARD_NAMES):
        plain = f"{folder}/{number}"
        me.add(plain, content(me, plain))
        names.append(folder.encode() + b"/" + hard)
        me.git("mv", "--", plain, names[-1])
    me.git("commit", "--quiet", "-m", "hard names")
    return names


def test_hard_names(
    estate: Estate, client: Client, place: Path, pair: tuple[str, str]
) -> None:
    """The client's locale and the server's are the same: UTF-8, or the bare C locale.

    The latter is the harder one, so most pairs have that.
    """
    locale = "C.UTF-8" if pair == PAIRS[0] else "C"
    account = {"C": "clocale", "C.UTF-8": "ours"}[locale]
    me = estate.gateway.repo.clone(estate.url(account), place / "me", client)
    me.env["LC_ALL"] = locale
    names = add_hard_names(me, "hard")
    for remote in ["origin", *(PROXIED if client.knows_proxies else [])]:
        me.annex("move", f"--to={remote}", "hard")
        me.annex("fsck", f"--from={remote}", "hard")
        me.annex("get", f"--from={remote}", "hard")
        me.annex("drop", f"--from={remote}", "hard")
    for number, name in enumerate(names):
        with open(os.path.join(os.fsencode(me.path), name), "rb") as file:
            assert file.read() == content(me, f"hard/{number}")
    me.annex("move", "--to=origin", "hard")
    me.annex("fsck", "hard", "--from=origin")


PROXIED = ("origin-path", "origin-ssh")


def nodes(estate: Estate) -> dict[str, Repo]:
    return {f"origin-{name}": node for name, node in estate.gateway.nodes.items()}


@pytest.mark.parametrize("remote", PROXIED)
def test_proxied_copy_get_move_drop(me: Repo, estate: Estate, remote: str) -> None:
    if not me.client.knows_proxies:
        assert remote not in me.annex("info").out  # so nothing can be asked of it
        return
    node = nodes(estate)[remote]
    name = f"by-{remote}"
    key = me.add(name, content(me, name))
    me.annex("copy", f"--to={remote}", name)
    assert node.has(key) and not estate.gateway.repo.has(key)
    assert me.whereis(key) == {me.uuid, node.uuid}
    assert estate.gateway.repo.whereis(key) == {node.uuid}
    me.annex("drop", name)
    me.annex("get", f"--from={remote}", name)
    assert (me.path / name).read_bytes() == content(me, name)
    me.annex("drop", f"--from={remote}", name)
    assert not node.has(key)
    assert estate.gateway.repo.whereis(key) == set()
    me.annex("move", f"--to={remote}", name)
    assert node.has(key) and not me.has(key)
    me.annex("move", f"--from={remote}", name)
    assert me.has(key) and not node.has(key)


def test_numcopies_is_proven_by_locks_on_proxied_remotes(
    me: Repo, estate: Estate
) -> None:
    if not me.client.knows_proxies:
        return
    key = me.add("locked", content(me, "locked"))
    for remote in PROXIED:
        me.annex("copy", f"--to={remote}", "locked")
    refused = me.annex("drop", "-N3", "locked", check=False)
    assert refused.code != 0 and me.has(key), refused
    me.annex("drop", "-N2", "locked")
    assert not me.has(key)
    refused = me.annex("drop", "--from=origin-path", "-N2", "locked", check=False)
    assert refused.code != 0 and nodes(estate)["origin-path"].has(key), refused
    me.annex("move", "-N1", "--from=origin-path", "locked")
    assert me.has(key) and not nodes(estate)["origin-path"].has(key)


def test_a_large_file_through_the_proxy(me: Repo, estate: Estate) -> None:
    """Larger than every pipe and buffer between, and sized unevenly."""
    big = os.urandom(1 << 20) * 9 + b"end"
    key = me.add("big", big)
    for remote in ("origin", *(PROXIED if me.client.knows_proxies else ())):
        me.annex("move", f"--to={remote}", "big")
        assert not me.has(key)
        me.annex("move", f"--from={remote}", "big")
        assert me.object(key).read_bytes() == big
