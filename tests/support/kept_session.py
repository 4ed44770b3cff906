"""A session with a resident process: ``kept_session.py GATEWAY CLIENT UUID SOCKET``.

It serves the gateway's ``UUID`` on stdin and stdout, and is known at ``SOCKET`` to whoever
keeps connections.
"""

from __future__ import annotations

import os
import socket
import sys

from annexshell.model.ids import UUID
from annexshell.policy.restrictions import Restrictions
from annexshell.repository.open import open_repository
from annexshell.serve.request import SessionRequest
from annexshell.serve.start import serve


def main() -> int:
    """The exit code of the session."""
    path, client, uuid, keeper = sys.argv[1:]
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(keeper)
    return serve(
        SessionRequest(
            open_repository(path),
            client=UUID(os.fsencode(client)),
            asked=UUID(os.fsencode(uuid)),
            restrictions=Restrictions(),
            keeper=connection.detach(),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
