"""What only a warm session can fail at. The rules are those of `annexshell.errors`."""

from __future__ import annotations

from annexshell.errors import Mendable


class SessionDied(Mendable):
    text = "the process that served this session was killed (on the server): try again"
