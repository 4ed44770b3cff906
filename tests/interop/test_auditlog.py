"""What the audit log says of a real client's everyday work."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.support.audit import Line, lines_of
from tests.support.client import Client, Repo, clone
from tests.support.gateway import Gateway
from tests.support.sshserver import SshServer
from tests.support.world import World

pytestmark = pytest.mark.skipif(
    os.environ.get("ANNEXSHELL_TEST_SERVER", "annexshell") != "annexshell",
    reason="git-annex-shell has no audit log",
)


@pytest.fixture
def log(gateway: Gateway) -> Path:
    gateway.repo.git("config", "annexshell.auditlog", "annexshell-audit.jsonl")
    return gateway.repo.path / "annexshell-audit.jsonl"


def requests(lines: list[Line], **where: str) -> Counter[tuple[str, str]]:
    chosen = (x for x in lines if all(x.get(n) == v for n, v in where.items()))
    return Counter((line["request"], line["outcome"]) for line in chosen)


def work(repo: Repo, remote: str, name: str) -> str:
    """Store, fetch and drop a file by way of ``remote``; its key."""
    key = repo.add(name, name.encode() * 100)
    for words in (
        ("copy", "--to", remote),
        ("drop",),
        ("get",),
        ("drop", "--from", remote),
    ):
        repo.annex(*words, "--", name)
    return key


def test_a_person_and_what_they_did(
    world: World,
    client: Client,
    server: SshServer,
    gateway: Gateway,
    place: Path,
    log: Path,
) -> None:
    url = server.url("labelled", gateway.repo.path)
    repo = clone(world, client, url, place / "laptop")
    name = "a b\u00e9.txt"
    key = work(repo, "origin", name)
    lines = lines_of(log)
    seen = requests(lines, key=key)
    for expected in (
        ("PUT", "stored"),
        ("LOCKCONTENT", "locked"),
        ("LOCKCONTENT", "unlocked"),
        ("GET", "delivered"),
    ):
        assert seen[expected] == 1, seen
    assert seen["REMOVE", "removed"] + seen["REMOVE-BEFORE", "removed"] == 1
    for line in lines:
        assert line["user"] == "ann"
        assert line["connection"].startswith("127.0.0.1 ")
        assert line["client"] == repo.uuid
        assert line["uuid"] == gateway.repo.uuid
    size = len(name.encode()) * 100
    moved = [line for line in lines if line["request"] in ("PUT", "GET")]
    assert [line["bytes"] for line in moved] == [size, size]
    # As the client writes it: white space is replaced on the wire.
    assert {line["file"] for line in moved} == {"a_b\u00e9.txt"}


@pytest.mark.parametrize("kind", ["path", "ssh"])
def test_by_way_of_a_gateway(
    world: World,
    current: Client,
    openssh: SshServer,
    gateway: Gateway,
    place: Path,
    log: Path,
    kind: str,
) -> None:
    node = (
        gateway.add_path_node("disk")
        if kind == "path"
        else gateway.add_ssh_node("disk", openssh, "reference")
    )
    gateway.publish()
    url = openssh.url("ours", gateway.repo.path)
    repo = clone(world, current, url, place / "laptop")
    key = work(repo, "origin-disk", "file")
    lines = [line for line in lines_of(log) if line["key"] == key]
    assert {line["proxied"] for line in lines} == {node.uuid}
    seen = requests(lines, uuid=gateway.repo.uuid)
    assert seen["PUT", "stored"] == seen["GET", "delivered"] == 1
    for line in lines:
        assert line["nodes"] == {node.uuid: line["outcome"]}
    (put,) = [line for line in lines if line["request"] == "PUT"]
    assert put["bytes"] == 400


def test_what_a_restricted_key_tried(
    world: World,
    current: Client,
    openssh: SshServer,
    gateway: Gateway,
    place: Path,
    log: Path,
) -> None:
    url = openssh.url("readonly", gateway.repo.path)
    repo = clone(world, current, url, place / "laptop")
    key = repo.add("file", b"content")
    assert repo.annex("copy", "--to", "origin", "file", check=False).code != 0
    refused = [line for line in lines_of(log) if line["outcome"] == "refused"]
    assert refused and all(line["key"] == key for line in refused)
    assert {line["request"] for line in refused} == {"PUT"}
    assert "read-only" in refused[0]["reason"]
