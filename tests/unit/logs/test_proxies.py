"""proxy.log: spec 03 §4.7."""

from __future__ import annotations

import pytest

from annexshell.logs.proxies import Proxied, proxied_by, with_proxied
from annexshell.model.clock import SECOND, Clock
from annexshell.model.ids import UUID

G = UUID(b"gate")
NOW = Clock(9 * SECOND)


def _one(value: bytes) -> list[tuple[bytes, bytes]]:
    old = b"1s gate u0:old\n"
    found = proxied_by(old + b"5s gate " + value + b"\n")
    return [(entry.uuid, entry.name) for entry in found[G]]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"u2:b u1:a", [(b"u1", b"a"), (b"u2", b"b")]),
        (b"u1:a ", [(b"u1", b"a")]),
        (b"", []),
        (b"u1:a  u2:b", [(b" u2", b"b"), (b"u1", b"a")]),
        (b"u1:../x u2:b", [(b"u2", b"b")]),
        (b"u1:.x u2:-y u3:a/b u4:ok.name-1_", [(b"u4", b"ok.name-1_")]),
        ("u1:é u2:b".encode(), [(b"u2", b"b")]),
        (b"u1:a:b u2:b", [(b"u2", b"b")]),
    ],
)
def test_lists_and_names_that_are_not_legal(
    value: bytes, found: list[tuple[bytes, bytes]]
) -> None:
    assert _one(value) == found


@pytest.mark.parametrize(
    "value", [b" u1:a", b"u1", b"u1:", b"u1:a u2", b"u1:a u2 u3:b"]
)
def test_a_malformed_element_voids_its_line_alone(value: bytes) -> None:
    assert _one(value) == [(b"u0", b"old")]


def test_writing_a_list() -> None:
    wanted = [Proxied(UUID(b"u2"), b"b"), Proxied(UUID(b"u1"), b"a")]
    text = with_proxied(b"9s gate u3:c\n3s other u9:z\n", G, wanted, NOW)
    assert text == b"10s gate u1:a u2:b\n3s other u9:z\n"
    assert with_proxied(text, G, wanted, NOW) is None


def test_a_name_that_readers_would_drop_is_not_written() -> None:
    with pytest.raises(ValueError):
        with_proxied(b"", G, [Proxied(UUID(b"u2"), b"../b")], NOW)
