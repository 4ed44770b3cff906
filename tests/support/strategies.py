"""Hypothesis strategies for what comes over the wire."""

from __future__ import annotations

from hypothesis import strategies as st

from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.protocol import messages as m
from annexshell.protocol.parser import Parser

numbers = st.integers(min_value=0, max_value=10**30)
any_numbers = st.integers(min_value=-(10**30), max_value=10**30)

_backends = st.one_of(
    st.sampled_from([b"SHA256", b"SHA256E", b"MD5E", b"WORM", b"URL", b"A B", b"FOO"]),
    st.binary(min_size=1, max_size=8).filter(
        lambda b: not set(b) & set(b"-\0\n\r \t") and not b.endswith(b"E")
    ),
)
_names = st.binary(max_size=60).map(
    lambda b: b.replace(b"\n", b"").replace(b"\0", b"").replace(b"\r", b"")
)
_maybe = st.none() | numbers


@st.composite
def keys(draw: st.DrawFn) -> Key:
    """Any key that can be said on the wire."""
    return Key(
        backend=draw(_backends),
        name=draw(_names),
        size=draw(_maybe),
        mtime=draw(st.none() | st.integers(0, 2**63 - 1)),
        chunk_size=draw(_maybe),
        chunk_number=draw(_maybe),
    )


associated_files = st.binary(max_size=40).map(
    lambda b: bytes(c for c in b if c > 0x20 and c != 0x7F).lstrip(b"/")
)
uuids = st.uuids().map(lambda u: UUID(str(u).encode()))
uuid_lists = st.lists(uuids, max_size=4).map(tuple)
texts = st.binary(max_size=60).map(
    lambda b: b.replace(b"\n", b" ").replace(b"\r", b" ")
)
services = st.sampled_from([b"git-upload-pack", b"git-receive-pack"])

messages: st.SearchStrategy[m.Message] = st.one_of(
    st.builds(m.Auth, uuids, texts),
    st.builds(m.AuthSuccess, uuids),
    st.builds(m.AuthFailure),
    st.builds(m.Version, numbers),
    st.builds(m.Bypass, uuid_lists),
    st.builds(m.Error, texts),
    st.builds(m.CheckPresent, keys()),
    st.builds(m.LockContent, keys()),
    st.builds(m.UnlockContent),
    st.builds(m.Remove, keys()),
    st.builds(m.RemoveBefore, any_numbers, keys()),
    st.builds(m.GetTimestamp),
    st.builds(m.Timestamp, any_numbers),
    st.builds(m.Get, any_numbers, associated_files, keys()),
    st.builds(m.Put, associated_files, keys()),
    st.builds(m.PutFrom, any_numbers),
    st.builds(m.AlreadyHave),
    st.builds(m.AlreadyHavePlus, uuid_lists),
    st.builds(m.Data, any_numbers),
    st.builds(m.DataPresent),
    st.builds(m.Valid),
    st.builds(m.Invalid),
    st.builds(m.Success),
    st.builds(m.SuccessPlus, uuid_lists),
    st.builds(m.Failure),
    st.builds(m.FailurePlus, uuid_lists),
    st.builds(m.Connect, services),
    st.builds(m.ConnectDone, any_numbers),
    st.builds(m.NotifyChange),
    st.builds(m.Changed, uuid_lists),
)


def parse_three_ways(data: bytes) -> list[m.Message]:
    """The messages of ``data``: read whole, byte by byte, and with bytes trailing."""
    whole = _parse([data])
    assert _parse([data[i : i + 1] for i in range(len(data))]) == whole
    trailing = b"no line end"
    parser = Parser()
    parser.feed(data + trailing)
    assert _all(parser) == whole
    assert parser.take(1000) == trailing
    return whole


def _parse(pieces: list[bytes]) -> list[m.Message]:
    parser = Parser()
    found = []
    for piece in pieces:
        parser.feed(piece)
        found += _all(parser)
    assert parser.buffered == 0
    return found


def _all(parser: Parser) -> list[m.Message]:
    found = []
    while (message := parser.next_message()) is not None:
        found.append(message)
    return found
