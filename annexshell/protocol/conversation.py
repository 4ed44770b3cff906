"""Whose turn it is: the one table of the P2P protocol (spec 01 §5.1, §7.7).

Two rules. All that decides what may be said next stands in this file. And the table does
not know which role we play: its keys are (who speaks, message), so the server, the client
and both faces of a proxy follow the same law.

ERROR is not in the rows because it is two rules for all states. From the server it ends
the request at hand. From the client it ends the connection, except where a state's row
says otherwise: a client that cannot send what it offered says so with ERROR and goes on.

In every state but the relay of git's own protocol exactly one side may speak (save that a
server may always answer ERROR to a line it could not read).
"""

from __future__ import annotations

from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from annexshell.errors import Malformed, OurMistake, OutOfTurn
from annexshell.protocol import messages as m
from annexshell.protocol.messages import Message


class Role(Enum):
    CLIENT = "client"
    SERVER = "server"

    # Members are equal to themselves alone; by their names it would take five times as long.
    __hash__ = object.__hash__


class State(Enum):
    START = auto()
    AUTHENTICATING = auto()
    IDLE = auto()
    VERSIONING = auto()
    ASKED = auto()
    CHANGING = auto()
    TIMING = auto()
    LOCKING = auto()
    LOCKED = auto()
    GETTING = auto()
    DELIVERED = auto()
    ACKNOWLEDGING = auto()
    PUTTING = auto()
    REFUSED = auto()
    OFFERED = auto()
    UPLOADED = auto()
    CONNECTED = auto()
    WATCHING = auto()
    CLOSED = auto()

    __hash__ = object.__hash__


C: Final = Role.CLIENT
S: Final = Role.SERVER
Turns = dict[tuple[Role, type[Message]], State]

_REQUESTS: Turns = {
    (C, m.Version): State.VERSIONING,
    (C, m.Bypass): State.IDLE,
    (C, m.CheckPresent): State.ASKED,
    (C, m.LockContent): State.LOCKING,
    (C, m.Remove): State.CHANGING,
    (C, m.RemoveBefore): State.CHANGING,
    (C, m.GetTimestamp): State.TIMING,
    (C, m.Get): State.GETTING,
    (C, m.Put): State.PUTTING,
    (C, m.Connect): State.CONNECTED,
    (C, m.NotifyChange): State.WATCHING,
    (C, m.Error): State.CLOSED,
}
_ACKNOWLEDGEMENTS: Turns = {
    (C, m.Success): State.IDLE,
    (C, m.SuccessPlus): State.IDLE,
    (C, m.Failure): State.IDLE,
    (C, m.FailurePlus): State.IDLE,
    (C, m.Error): State.IDLE,
}

TURNS: Final[MappingProxyType[State, Turns]] = MappingProxyType(
    {
        State.START: {
            (S, m.AuthSuccess): State.IDLE,
            (C, m.Auth): State.AUTHENTICATING,
        },
        State.AUTHENTICATING: {
            (S, m.AuthSuccess): State.IDLE,
            (S, m.AuthFailure): State.START,
        },
        State.IDLE: _REQUESTS,
        State.VERSIONING: {(S, m.Version): State.IDLE},
        State.ASKED: {(S, m.Success): State.IDLE, (S, m.Failure): State.IDLE},
        State.CHANGING: {
            (S, m.Success): State.IDLE,
            (S, m.SuccessPlus): State.IDLE,
            (S, m.Failure): State.IDLE,
            (S, m.FailurePlus): State.IDLE,
        },
        State.TIMING: {(S, m.Timestamp): State.IDLE},
        State.LOCKING: {(S, m.Success): State.LOCKED, (S, m.Failure): State.IDLE},
        State.LOCKED: {(C, m.UnlockContent): State.IDLE},
        State.GETTING: {(S, m.Data): State.DELIVERED},
        State.DELIVERED: {
            (S, m.Valid): State.ACKNOWLEDGING,
            (S, m.Invalid): State.ACKNOWLEDGING,
        },
        State.ACKNOWLEDGING: _ACKNOWLEDGEMENTS,
        State.PUTTING: {
            (S, m.PutFrom): State.OFFERED,
            (S, m.AlreadyHave): State.IDLE,
            (S, m.AlreadyHavePlus): State.IDLE,
        },
        # A client whose PUT was refused complains with one ERROR and goes on (§5.3).
        State.REFUSED: {**_REQUESTS, (C, m.Error): State.IDLE},
        State.OFFERED: {
            (C, m.Data): State.UPLOADED,
            (C, m.DataPresent): State.CHANGING,
            (C, m.Error): State.IDLE,
        },
        State.UPLOADED: {
            (C, m.Valid): State.CHANGING,
            (C, m.Invalid): State.CHANGING,
        },
        State.CONNECTED: {
            (C, m.Data): State.CONNECTED,
            (S, m.Data): State.CONNECTED,
            (C, m.ConnectDone): State.CLOSED,
            (S, m.ConnectDone): State.CLOSED,
        },
        State.WATCHING: {(S, m.Changed): State.IDLE},
        State.CLOSED: {},
    }
)

_AT_VERSION_0: Final = MappingProxyType(
    {State.DELIVERED: State.ACKNOWLEDGING, State.UPLOADED: State.CHANGING}
)
"""Before version 1 nothing is said about the validity of what was sent."""

NEEDS_VERSION: Final = MappingProxyType(
    {
        m.Valid: 1,
        m.Invalid: 1,
        m.SuccessPlus: 2,
        m.FailurePlus: 2,
        m.AlreadyHavePlus: 2,
        m.DataPresent: 4,
    }
)
"""Requests are understood at any version, as git-annex does; these are not (§4.2)."""

_PARTICULAR: Final = frozenset({m.Error, m.Version, m.Data, *NEEDS_VERSION})
"""Messages for which more counts than their row."""

_AFTER_SERVER_ERROR: Final = MappingProxyType(
    {State.PUTTING: State.REFUSED, State.UPLOADED: State.CHANGING}
)

_EXPECTED: Final = MappingProxyType(
    {
        State.LOCKED: "expected UNLOCKCONTENT",
        State.OFFERED: "expected DATA",
        State.UPLOADED: "expected VALID or INVALID",
    }
)


class Conversation:
    """Where one connection is; ``role`` is ours."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self._other = Role.SERVER if role is Role.CLIENT else Role.CLIENT
        self.state = State.START
        self.version = 0

    def sent(self, message: Message) -> None:
        """We are about to say ``message``. Raises OurMistake, changing nothing."""
        if not self._step(self.role, message):
            word = message.word.decode()
            raise OurMistake(message=word, state=self.state.name)

    def received(self, message: Message) -> None:
        """The other side said ``message``. Raises OutOfTurn.

        A client's mistake takes back its turn: the state is the one in which our ERROR
        leaves us. A server's mistake closes the conversation.
        """
        if not self._step(self._other, message):
            raise self._out_of_turn("unexpected command")

    def received_nonsense(self) -> None:
        """The other side said a line that is no message. Raises Malformed or OutOfTurn."""
        idle = self.state in (State.IDLE, State.REFUSED)
        error = self._out_of_turn("unknown command")
        raise Malformed() if idle else error

    def _step(self, speaker: Role, message: Message) -> bool:
        kind = type(message)
        target = TURNS[self.state].get((speaker, kind))
        if kind in _PARTICULAR:
            target = self._particular(speaker, message, target)
        if target is None:
            return False
        if self.version == 0:
            target = _AT_VERSION_0.get(target, target)
        self.state = target
        return True

    def _particular(
        self, speaker: Role, message: Message, target: State | None
    ) -> State | None:
        """Where it leads, other than by the rows alone."""
        if self.version < NEEDS_VERSION.get(type(message), 0):
            return None
        if isinstance(message, m.Data) and message.length < 0:
            return None
        if speaker is Role.SERVER:
            if isinstance(message, m.Error):
                return _AFTER_SERVER_ERROR.get(self.state, State.IDLE)
            if isinstance(message, m.Version) and target is not None:
                self.version = message.number
        return target

    def _out_of_turn(self, otherwise: str) -> OutOfTurn:
        if self.role is Role.CLIENT:
            self.state = State.CLOSED
            return OutOfTurn(expected=otherwise)
        if self.state is State.ACKNOWLEDGING:
            return OutOfTurn(expected=_expected_acknowledgement(self.version))
        return OutOfTurn(expected=_EXPECTED.get(self.state, otherwise))


def _expected_acknowledgement(version: int) -> str:
    if version < 2:
        return "expected SUCCESS or FAILURE"
    return "expected SUCCESS or SUCCESS-PLUS or FAILURE or FAILURE-PLUS"
