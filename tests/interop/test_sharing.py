"""Connections to nodes are shared as git-annex shares them (spec 01 §7.3)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.gateway import Gateway
from tests.support.session import on_pipes, sha256_key
from tests.support.sshserver import SshServer
from tests.support.world import World

CONTENT = b"what is behind the gateway"
KEY = sha256_key(CONTENT)


@pytest.fixture
def sockets(gateway: Gateway) -> Callable[[], list[str]]:
    """The shared connections that there are now."""
    directory = gateway.repo.path / "annex/ssh"

    def found() -> list[str]:
        entries = directory.iterdir() if directory.exists() else ()
        return sorted(entry.name for entry in entries if entry.is_socket())

    return found


def test_sessions_share_a_connection_and_the_last_one_ends_it(
    world: World,
    program: str,
    gateway: Gateway,
    openssh: SshServer,
    sockets: Callable[[], list[str]],
) -> None:
    node = gateway.add_ssh_node("node", openssh, "ours")
    gateway.publish()
    with on_pipes(world, program, gateway.repo, node.uuid) as first:
        first.greet()
        assert first.put(KEY, CONTENT) == b"SUCCESS", first.stderr
        shared = sockets()
        assert len(shared) == 1
        with on_pipes(world, program, gateway.repo, node.uuid) as second:
            second.greet()
            assert second.ask(b"CHECKPRESENT " + KEY) == b"SUCCESS", second.stderr
            assert sockets() == shared
            assert first.end().code == 0
            assert sockets() == shared, "the second one still uses it"
            assert second.get(KEY) == (CONTENT, b"VALID")
            assert second.end().code == 0
    assert sockets() == []


def test_sharing_can_be_switched_off(
    world: World,
    program: str,
    gateway: Gateway,
    openssh: SshServer,
    sockets: Callable[[], list[str]],
) -> None:
    node = gateway.add_ssh_node("node", openssh, "ours")
    gateway.publish()
    gateway.repo.git("config", "annex.sshcaching", "false")
    with on_pipes(world, program, gateway.repo, node.uuid) as session:
        session.greet()
        assert session.ask(b"CHECKPRESENT " + KEY) == b"FAILURE", session.stderr
        assert sockets() == []


def test_options_and_shell_of_the_remote_are_used(
    world: World,
    program: str,
    gateway: Gateway,
    openssh: SshServer,
    place: Path,
) -> None:
    """The account runs its own program whatever it is asked for; ssh's log tells what."""
    node = gateway.add_ssh_node("node", openssh, "ours")
    gateway.publish()
    log = place / "ssh.log"
    git = gateway.repo.git
    git("config", "remote.node.annex-ssh-options", f"-v -E '{log}'")
    git("config", "remote.node.annex-shell", "/elsewhere/annexshell")
    git("config", "annex.sshcaching", "false")
    with on_pipes(world, program, gateway.repo, node.uuid) as session:
        session.greet()
        assert session.ask(b"CHECKPRESENT " + KEY) == b"FAILURE", session.stderr
    sent = log.read_text(errors="replace")
    assert f"/elsewhere/annexshell 'p2pstdio' '{node.path}'" in sent
