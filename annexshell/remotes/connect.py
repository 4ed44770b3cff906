"""From a remote's recipe to a Link: OpenSSH's client, with shared connections."""

from __future__ import annotations

import os
import subprocess

import trio

from annexshell.model.ids import UUID
from annexshell.remotes.caching import SharedConnection, share
from annexshell.remotes.kept import Place, agent_of, configuration_of
from annexshell.remotes.recipes import SshHost
from annexshell.remotes.sshcommand import remote_command, ssh_command
from annexshell.repository.gitprocess import inherited_environment
from annexshell.repository.open import Repository
from annexshell.transport.child import ChildLink, open_child

_STOPPING = 5.0
"""Seconds that stopping a shared connection may take."""


class SshConnector:
    """Opens links to one remote, for as long as a session lasts.

    Those that are ``lasting`` can be left to the next session.
    """

    def __init__(
        self,
        gateway: Repository,
        name: str,
        host: SshHost,
        uuid: UUID,
        *,
        lasting: bool = False,
    ) -> None:
        self._gateway = gateway
        self._name = name
        self._host = host
        self._uuid = uuid
        self._lasting = lasting
        self._shared: SharedConnection | None = None
        self._asked = False

    async def open(self) -> ChildLink:
        """A link to the remote's p2pstdio. Raises OSError."""
        if not self._asked:
            self._asked = True
            self._shared = await trio.to_thread.run_sync(
                share, self._gateway, self._host
            )
        argv = self.command(self._shared.socket if self._shared else None)
        return await open_child(argv, self._name, lasting=self._lasting)

    def command(self, socket: str | None = None) -> list[str]:
        """The argv that leads there; ``socket`` is where a shared connection is.

        Raises PeerUnreachable.
        """
        config = self._gateway.config
        command = remote_command(
            config, self._name, self._host.path, self._gateway.uuid, self._uuid
        )
        return ssh_command(config, self._name, self._host, command, socket)

    def place(self) -> Place:
        """What decides where the links lead. Raises PeerUnreachable, OSError.

        A shared connection is not part of it: it leads to the same place.
        """
        environment = inherited_environment(())
        return Place(
            self._gateway.path,
            self._gateway.uuid,
            self._uuid,
            self.command(),
            environment,
            os.getcwd(),
            agent_of(environment),
            configuration_of(environment),
        )

    async def aclose(self) -> None:
        """Stop the shared connection if nobody else uses it."""
        shared, self._shared = self._shared, None
        if shared is None:
            return
        command = await trio.to_thread.run_sync(shared.stop_command)
        if command is not None:
            with trio.move_on_after(_STOPPING):
                await trio.run_process(
                    command,
                    cwd=os.path.dirname(shared.socket) or ".",
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    check=False,
                )
        shared.close()
