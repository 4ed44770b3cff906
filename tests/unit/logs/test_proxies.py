"""proxy.log: spec 03 §4.7."""

from __future__ import annotations

import pytest

from annexshell.logs.proxies import proxied_by
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
