"""The p2pstdio command: the checks before a P2P session, and its greeting."""

from __future__ import annotations

import gc
import os

from annexshell.cli.commands import Invocation
from annexshell.cli.identity import foreign_uuid
from annexshell.errors import BadClientUUID
from annexshell.model.ids import UUID, is_safe_uuid
from annexshell.model.writing import write_all
from annexshell.repository.open import open_repository
from annexshell.repository.supported import require_served
from annexshell.serve.request import SessionRequest


def p2pstdio(invocation: Invocation) -> int:
    """Serve the P2P protocol on stdin and stdout; the result is the exit status.

    Raises ShellError where the session must not start. A session with this repository is
    greeted before the modules that serve it are loaded: they load while the greeting
    travels and the client thinks.
    """
    request = session_request(invocation)
    host, config = invocation.host, request.repository.config
    request = request._replace(keeper=host.admit(config))
    if request.asked is None:
        write_all(1, b"AUTH-SUCCESS " + request.repository.uuid + b"\n")
        request = request._replace(greeted=True)
    host.greeted(config)
    # While modules load there is nothing to collect, and looking takes a twentieth of
    # the start. The session has it back.
    gc.disable()
    from annexshell.serve.start import serve

    return serve(request)


def session_request(invocation: Invocation) -> SessionRequest:
    """The session to serve, once every check that needs no protocol has passed."""
    parameters, surroundings = invocation.parameters, invocation.surroundings
    repository = open_repository(invocation.path)
    if len(parameters.positional) != 1:
        from annexshell.cli.errors import MissingClientUUID

        raise MissingClientUUID()
    client = os.fsencode(parameters.positional[0])
    asked = foreign_uuid(repository, parameters.uuid)
    require_served(repository)
    if not is_safe_uuid(client):
        raise BadClientUUID(value=client)
    return SessionRequest(
        repository=repository,
        client=UUID(client),
        asked=asked,
        restrictions=surroundings.restrictions,
        user=surroundings.user,
        connection=surroundings.connection,
        debug=bool(parameters.flags & {"--debug"}),
        clock=surroundings.clock,
    )
