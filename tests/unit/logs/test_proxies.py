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
    "value", [b" u1:a", b"u1", b"u1:", b":a", b"u1:a  ", b"u1:a u2", b"u1:a u2 u3:b"]
)
def test_a_malformed_element_voids_its_line_alone(value: bytes) -> None:
    assert _one(value) == [(b"u0", b"old")]


def test_a_new_list_is_sorted_and_takes_the_place_of_the_old_one() -> None:
    old = b"8s gate u0:old\n1s other u9:x u8:y\n"
    entries = [Proxied(UUID(b"u2"), b"b"), Proxied(UUID(b"u1"), b"z")]
    entries.append(Proxied(UUID(b"u1"), b"a"))
    new = with_proxied(old, G, entries, NOW)
    assert new == b"9s gate u1:a u1:z u2:b\n1s other u9:x u8:y\n"
    assert with_proxied(new, G, reversed(entries), NOW) is None
    assert with_proxied(new, G, [], NOW) == b"10s gate \n1s other u9:x u8:y\n"


@pytest.mark.parametrize(
    ("uuid", "name"), [(b"u1", b"a b"), (b"u 1", b"a"), (b"u", b"")]
)
def test_what_a_line_cannot_hold_is_not_written(uuid: bytes, name: bytes) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        with_proxied(b"", G, [Proxied(UUID(uuid), name)], NOW)


@pytest.mark.thorough
def test_a_line_of_megabytes_is_read_in_one_pass() -> None:
    """Cutting its elements off one by one takes minutes, and anybody may push one."""
    count = 200_000
    value = b" ".join(b"%08d-0000:n%d" % (i, i) for i in range(count))
    assert len(_one(value)) == count
