"""Lines and messages, one by one (spec 01 §4)."""

from __future__ import annotations

import pytest

from annexshell.errors import Malformed
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.protocol import messages as m
from annexshell.protocol.grammar import (
    FORMS,
    MAX_LINE,
    read_line,
    read_name,
    write_line,
    write_name,
)
from tests.support.strategies import parse_three_ways

K = Key.parse(b"SHA256-s5--abc")

LINES: list[tuple[bytes, m.Message]] = [
    (b"AUTH-SUCCESS ", m.AuthSuccess(UUID(b""))),
    (b"VERSION 4", m.Version(4)),
    (b"BYPASS", m.Bypass()),
    (b"BYPASS a b", m.Bypass((UUID(b"a"), UUID(b"b")))),
    (b"ERROR", m.Error(b"")),
    (b"ERROR two words", m.Error(b"two words")),
    (b"CHECKPRESENT SHA256-s5--abc", m.CheckPresent(K)),
    (b"CHECKPRESENT\tSHA256-s5--abc", m.CheckPresent(K)),
    (b"CHECKPRESENT\tWORM--a b", m.CheckPresent(Key.parse(b"WORM--a b"))),
    (b"CHECKPRESENT WORM--a\tb", m.CheckPresent(Key.parse(b"WORM--a\tb"))),
    (b"PUT f\tSHA256-s5--abc", m.Put(b"f", K)),
    (b"PUT\tf SHA256-s5--abc", m.Put(b"f", K)),
    (b"CHECKPRESENT SHA256-s005--abc", m.CheckPresent(K)),
    (b"GETTIMESTAMP ", m.GetTimestamp()),
    (b"REMOVE-BEFORE -3 SHA256-s5--abc", m.RemoveBefore(-3, K)),
    (b"GET 0  SHA256-s5--abc", m.Get(0, b"", K)),
    (b"GET 7 a%b%%c%20 SHA256-s5--abc", m.Get(7, b"a_b%c_20", K)),
    (b"PUT ../x SHA256-s5--abc", m.Put(b"../x", K)),
    (b"PUT f WORM-s5-m1--foo bar", m.Put(b"f", Key(b"WORM", b"foo bar", 5, 1))),
    (b"CHECKPRESENT A--caf\xc3\xa9\xff", m.CheckPresent(Key(b"A", b"caf\xc3\xa9\xff"))),
    (b"CONNECT git-upload-pack", m.Connect(b"git-upload-pack")),
]


@pytest.mark.parametrize("line, message", LINES, ids=lambda value: repr(value)[:40])
def test_a_line_is_read_as_its_message(line: bytes, message: m.Message) -> None:
    assert parse_three_ways(line + b"\n") == [message]
    assert parse_three_ways(line + b"\r\n") == [message]


@pytest.mark.parametrize(
    "line",
    [
        b"GETTIMESTAMP x",
        b"VERSION 1.5",
        b"VERSION 1e3",
        b"VERSION",
        b"VERSION  4",
        b"VERSION 4x",
        b"VERSION +4",
        b"DATA \xd9\xa3",
        b"REMOVE",
        b"REMOVE ",
        b"GET 0 f",
        b"PUT f",
        b"PUT /etc/passwd SHA256-s5--abc",
        b"CONNECT git-upload-archive",
        b"CHECKPRESENT\xc2\xa0SHA256-s5--abc",
        b" VERSION 4",
    ],
)
def test_a_malformed_line_is_none(line: bytes) -> None:
    with pytest.raises(Malformed):
        read_line(line)


@pytest.mark.parametrize(
    "name, wire",
    [(b"a b", b"a%b"), (b"p%q", b"p%%q"), (b"pp%%q", b"pp%%%%q"), (b"\t\n", b"%%")],
)
def test_names_are_one_word_on_the_wire(name: bytes, wire: bytes) -> None:
    assert write_name(name) == wire


def test_a_name_survives_being_relayed() -> None:
    assert write_name(read_name(b"a%b%%c%20")) == b"a_b%%c_20"
    assert read_name(b"caf\xc2%") == b"caf\xc2_"


def test_what_is_relayed_is_canonical() -> None:
    line = b"CHECKPRESENT SHA256E-s020--abc"
    assert write_line(read_line(line)) == b"CHECKPRESENT SHA256E-s20--abc\n"


def test_an_error_text_stays_one_line_of_bounded_length() -> None:
    line = write_line(m.Error(b"two\nlines\r\n" + b"x" * 100_000))
    assert line.startswith(b"ERROR two lines xxx")
    assert line.count(b"\n") == 1 and len(line) <= MAX_LINE


def test_every_message_has_a_form() -> None:
    assert set(FORMS) == set(m.Message.__subclasses__())


def test_messages_are_values() -> None:
    assert m.Get(0, b"f", K) == m.Get(offset=0, name=b"f", key=K)
    assert hash(m.Success()) == hash(m.Success()) and m.Success() != m.Failure()
    assert m.Error() == m.Error(b"") == m.Error(text=b"") != m.Error(b"x")
    assert repr(m.Data(3)) == "Data(length=3)"
    with pytest.raises(AttributeError):
        m.Data(3).length = 4  # type: ignore[misc]  # what the test is about


@pytest.mark.parametrize(
    "values, named",
    [((), {}), ((1, 2), {}), ((), {"size": 1}), ((1,), {"length": 1})],
)
def test_a_message_is_made_of_its_own_fields(
    values: tuple[int, ...], named: dict[str, int]
) -> None:
    with pytest.raises(TypeError):
        m.Data(*values, **named)
