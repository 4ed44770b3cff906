"""The table of turns, and what it says of itself."""

from __future__ import annotations

import pytest

from annexshell.errors import Malformed, OurMistake, OutOfTurn
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.protocol import messages as m
from annexshell.protocol.conversation import TURNS, Conversation, Role, State

K = Key.parse(b"SHA256-s5--abc")
SPEAKERS_OF_ONE_STATE = [s for s in State if s not in (State.CONNECTED, State.CLOSED)]


def server(*said: m.Message, version: int = 0) -> Conversation:
    """A server to which ``said`` was said, with the answers each needs."""
    talk = Conversation(Role.SERVER)
    talk.sent(m.AuthSuccess(UUID(b"u")))
    if version:
        talk.received(m.Version(version))
        talk.sent(m.Version(version))
    for message in said:
        talk.received(message)
    return talk


@pytest.mark.parametrize("state", SPEAKERS_OF_ONE_STATE)
def test_exactly_one_side_may_speak(state: State) -> None:
    speakers = {speaker for speaker, _ in TURNS[state]}
    # Before the greeting either the transport has authenticated the client or AUTH does.
    assert len(speakers) == (2 if state is State.START else 1)


def test_every_state_can_be_reached() -> None:
    targets = {target for row in TURNS.values() for target in row.values()}
    assert targets | {State.START, State.REFUSED} == set(State)


def test_a_message_of_ours_out_of_turn_is_our_mistake_and_changes_nothing() -> None:
    talk = server(m.CheckPresent(K))
    with pytest.raises(OurMistake):
        talk.sent(m.PutFrom(0))
    assert talk.state is State.ASKED


def test_a_plus_reply_is_never_sent_to_an_old_client() -> None:
    talk = server(m.Remove(K), version=1)
    with pytest.raises(OurMistake):
        talk.sent(m.SuccessPlus())


def test_version_0_has_no_verdicts() -> None:
    talk = server(m.Put(b"", K))
    talk.sent(m.PutFrom(0))
    talk.received(m.Data(3))
    assert talk.state is State.CHANGING
    talk = server(m.Get(0, b"", K))
    talk.sent(m.Data(3))
    assert talk.state is State.ACKNOWLEDGING


def test_a_refused_put_tolerates_one_error() -> None:
    talk = server(m.Put(b"", K))
    talk.sent(m.Error(b"full"))
    states = []
    for text in (b"expected PUT_FROM", b"another"):
        talk.received(m.Error(text))
        states.append(talk.state)
    assert states == [State.IDLE, State.CLOSED]


def test_a_client_that_forgets_to_complain_goes_on() -> None:
    talk = server(m.Put(b"", K))
    talk.sent(m.Error(b"full"))
    talk.received(m.CheckPresent(K))
    assert talk.state is State.ASKED


@pytest.mark.parametrize(
    "said, text",
    [
        ([], "unexpected command"),
        ([m.Put(b"", K), m.PutFrom(0)], "expected DATA"),
        ([m.LockContent(K), m.Success()], "expected UNLOCKCONTENT"),
        ([m.Put(b"", K), m.PutFrom(0), m.Data(1)], "expected VALID or INVALID"),
    ],
)
def test_each_state_says_what_it_expects(said: list[m.Message], text: str) -> None:
    talk = server(version=1)
    for message in said:
        if isinstance(message, m.PutFrom | m.Success):
            talk.sent(message)
        else:
            talk.received(message)
    with pytest.raises(OutOfTurn, match=text):
        talk.received(m.Changed())
    talk.sent(m.Error(text.encode()))
    assert talk.state is (State.CHANGING if "VALID" in text else State.IDLE)


def test_nonsense_between_requests_is_an_unknown_command() -> None:
    with pytest.raises(Malformed):
        server().received_nonsense()


def test_a_server_that_speaks_out_of_turn_is_done_with() -> None:
    talk = Conversation(Role.CLIENT)
    with pytest.raises(OutOfTurn):
        talk.received(m.Success())
    assert talk.state is State.CLOSED
