"""What holds for any message and any conversation."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from annexshell.errors import LineTooLong, Malformed, OurMistake, OutOfTurn
from annexshell.model.key import Key, from_file_name
from annexshell.protocol import messages as m
from annexshell.protocol.conversation import NEEDS_VERSION, Conversation, Role, State
from annexshell.protocol.grammar import (
    MAX_LINE,
    read_line,
    read_name,
    write_line,
    write_name,
)
from annexshell.protocol.parser import Parser
from annexshell.protocol.versions import reduced
from tests.support.strategies import associated_files, keys, messages, parse_three_ways


@given(messages)
def test_what_is_written_is_read(message: m.Message) -> None:
    line = write_line(message)
    if isinstance(message, m.Error):
        assert parse_three_ways(line) == [m.Error(message.text)]
    else:
        assert parse_three_ways(line) == [message]


@given(st.lists(messages, max_size=5))
def test_lines_do_not_run_into_each_other(said: list[m.Message]) -> None:
    assert parse_three_ways(b"".join(map(write_line, said))) == said


@given(st.binary(max_size=200))
def test_any_line_is_a_message_or_malformed(line: bytes) -> None:
    line = line.replace(b"\n", b"")
    try:
        message = read_line(line)
    except Malformed:
        return
    # Canonical once written: reading it again changes nothing.
    assert read_line(write_line(message)[:-1]) == message


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_in_any_pieces_give_the_same(data: bytes, size: int) -> None:
    def outcome(pieces: list[bytes]) -> list[object]:
        parser, seen = Parser(), list[object]()
        for piece in pieces:
            parser.feed(piece)
            while True:
                try:
                    message = parser.next_message()
                except Malformed:
                    seen.append("malformed")
                    continue
                if message is None:
                    break
                seen.append(message)
        return seen

    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    assert outcome(pieces) == outcome([data])


@given(st.integers(1, 100))
def test_no_more_than_a_line_is_ever_buffered(extra: int) -> None:
    parser = Parser()
    parser.feed(b"x" * (MAX_LINE + extra))
    try:
        parser.next_message()
    except LineTooLong:
        return
    raise AssertionError("an endless line was accepted")


@given(keys())
def test_a_key_is_its_text_and_its_file_name(key: Key) -> None:
    assert Key.parse(key.text) == key
    assert from_file_name(key.file_name) == key
    assert b"/" not in key.file_name and key.file_name not in (b".", b"..")


@given(associated_files)
def test_a_name_without_white_space_survives(name: bytes) -> None:
    assert read_name(write_name(name)) == name


@given(st.data())
def test_both_peers_always_agree_where_they_are(data: st.DataObject) -> None:
    """The model: two conversations, joined; whatever one sends, the other receives."""
    server, client = Conversation(Role.SERVER), Conversation(Role.CLIENT)
    for _ in range(12):
        message = data.draw(messages)
        if isinstance(message, m.Version):
            message = m.Version(message.number % 5)
        by_server = data.draw(st.booleans())
        sender, receiver = (server, client) if by_server else (client, server)
        before = sender.state
        try:
            sender.sent(message)
        except OurMistake:
            assert sender.state is before
            continue
        receiver.received(message)
        assert receiver.state is sender.state
        assert receiver.version == sender.version


@given(messages, st.lists(messages, max_size=6))
def test_a_server_survives_any_client(last: m.Message, said: list[m.Message]) -> None:
    """Whatever is said, the server can answer ERROR and is then in a known state."""
    talk = Conversation(Role.SERVER)
    talk.sent(m.AuthSuccess(b"u"))  # type: ignore[arg-type]  # any text will do
    for message in [*said, last]:
        try:
            talk.received(message)
        except OutOfTurn:
            talk.sent(m.Error(b"no"))
        assert talk.state in State
        if talk.state is State.CLOSED:
            return


@given(messages, st.integers(0, 4))
def test_a_reduced_reply_is_one_the_peer_knows(
    message: m.Message, version: int
) -> None:
    plus = m.SuccessPlus | m.FailurePlus | m.AlreadyHavePlus
    if isinstance(message, plus):
        sent = reduced(message, version)
        assert NEEDS_VERSION.get(type(sent), 0) <= version
