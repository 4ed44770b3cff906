"""What makes connections alike, and the words they are spoken of with."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexshell.model.ids import UUID
from annexshell.remotes import kept
from annexshell.remotes.kept import (
    Kept,
    Note,
    Place,
    agent_of,
    configuration_of,
    connection_key,
)

A = UUID(b"aaaaaaaa-1111-4111-8111-111111111111")
B = UUID(b"bbbbbbbb-1111-4111-8111-111111111111")
PLACE = Place("/srv/gw", A, B, ["ssh", "host", "-T", "x"], {"HOME": "/h"}, "/h")
KEY = connection_key(PLACE, 4, (A,))


def key_of(**other: Any) -> str:
    return connection_key(PLACE._replace(**other), 4, (A,))


@pytest.mark.parametrize(
    "other",
    [
        {"gateway": "/srv/other"},
        {"uuid": B},
        {"node": A},
        {"argv": ["ssh", "host", "-T", "x "]},
        {"argv": ["ssh", "host -T", "x"]},
        {"environment": {"HOME": "/other"}},
        {"environment": {"HOME": "/h", "SSH_AUTH_SOCK": "/tmp/agent"}},
        {"environment": {"HOME": "/h", "KRB5CCNAME": "FILE:/tmp/ticket"}},
        {"environment": {}},
        {"directory": "/"},
        {"agent": (1, 2, 3)},
        {"configured": [None, (1, 2, 3)]},
    ],
    ids=str,
)
def test_whatever_decides_where_it_leads_makes_another_key(
    other: dict[str, Any],
) -> None:
    assert key_of(**other) != KEY


def test_so_does_what_was_said_on_it() -> None:
    assert connection_key(PLACE, 3, (A,)) != KEY
    assert connection_key(PLACE, 4, ()) != KEY
    assert connection_key(PLACE, 4, (A, B)) != KEY


def test_the_clients_own_connection_does_not() -> None:
    login = dict.fromkeys(kept.PER_LOGIN, "192.0.2.7 50000 192.0.2.1 22")
    assert key_of(environment={"HOME": "/h", **login}) == KEY


def key_at(home: Path) -> str:
    return key_of(configured=configuration_of({"HOME": str(home)}))


@pytest.mark.parametrize("name", ["config", "known_hosts"])
def test_so_does_what_ssh_goes_by(tmp_path: Path, name: str) -> None:
    folder = tmp_path / ".ssh"
    keys = [key_at(tmp_path)]
    folder.mkdir()
    assert key_at(tmp_path) == key_at(tmp_path)
    for address in ("192.0.2.1", "192.0.2.2"):
        (folder / "new").write_text(f"Host node\nHostname {address}\n")
        (folder / "new").rename(folder / name)
        keys.append(key_at(tmp_path))
    assert len(set(keys)) == 3


def test_so_does_an_identity_that_came_or_went(tmp_path: Path) -> None:
    folder = tmp_path / ".ssh"
    folder.mkdir()
    before = key_at(tmp_path)
    # A file system's clock need not tick between two changes.
    for _ in range(1_000_000):
        (folder / "id_ed25519").write_text("")
        (folder / "id_ed25519").unlink()
        if key_at(tmp_path) != before:
            return
    pytest.fail("the folder can change unseen")


def test_a_key_tells_nothing() -> None:
    assert len(KEY) == 64 and int(KEY, 16)


def test_names_and_values_that_are_no_text_have_a_key() -> None:
    odd = os.fsdecode(b"caf\xe9")
    assert len(key_of(environment={odd: odd}, argv=[odd])) == 64


def test_an_agents_path_can_come_to_lead_to_another_one(tmp_path: Path) -> None:
    found = []
    for name in ("first", "second"):
        with socket.socket(socket.AF_UNIX) as agent:
            agent.bind(str(tmp_path / name))
        link = tmp_path / "agent"
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / name)
        found.append(agent_of({"SSH_AUTH_SOCK": str(link)}))
    assert None not in found and found[0] != found[1]
    assert agent_of({}) is None
    assert agent_of({"SSH_AUTH_SOCK": str(tmp_path / "gone")}) is None


def test_what_is_said_is_understood() -> None:
    assert kept.asked(kept.taking(KEY)) == KEY
    note = Note(4, 1234.5)
    assert kept.asked(kept.keeping(Kept(KEY, 7.5, note.text()))) == Kept(
        KEY, 7.5, b"4 1234.500"
    )
    assert kept.answered(kept.given(note.text())) == note
    assert kept.answered(kept.NONE) is kept.answered(kept.LEFT) is None
    longest = kept.keeping(Kept(KEY, 86400.0, Note(10**9, 1e15).text()))
    assert len(longest) < kept.LONGEST


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"take",
        b"take " + KEY.encode()[:-1],
        b"take " + KEY.encode().replace(KEY[0].encode(), b"G"),
        b"keep " + KEY.encode(),
        b"keep " + KEY.encode() + b" soon x",
        b"keep " + KEY.encode() + b" 0 x",
        b"keep " + KEY.encode() + b" -1 x",
        b"keep " + KEY.encode() + b" nan x",
        b"keep " + KEY.encode() + b" inf x",
        b"keep " + KEY.encode() + b" 1e9 x",
        b"drop " + KEY.encode(),
    ],
)
def test_what_is_no_message_asks_for_nothing(message: bytes) -> None:
    assert kept.asked(message) is None


@given(st.binary(max_size=100))
def test_no_message_is_too_strange(message: bytes) -> None:
    assert kept.asked(message) is None
    found = kept.asked(b"keep " + KEY.encode() + b" " + message)
    assert found is None or (isinstance(found, Kept) and 0 < found.rest <= 86400)
    note = kept.answered(b"kept " + message)
    assert note is None or isinstance(note.version, int)
