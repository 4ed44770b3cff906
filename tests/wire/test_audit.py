"""What the audit log says of each conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from annexshell.errors import PeerUnreachable, ReadOnly
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Payload
from annexshell.protocol import messages as m
from annexshell.protocol.conversation import TURNS, Role, State
from annexshell.serve.answers import Refuse, Session
from annexshell.serve.audit import AUDITED
from annexshell.serve.connection import converse
from annexshell.store import Outcome, Store
from annexshell.transport.channel import Channel
from annexshell.transport.link import Link
from tests.support.audit import audit_to, lines_of, told
from tests.support.memory_store import MemoryStore, key_of
from tests.support.pair import allow
from tests.support.script import play

U = UUID(b"11111111-1111-4111-8111-111111111111")
NODE = UUID(b"22222222-2222-4222-8222-222222222222")
OTHER = UUID(b"33333333-3333-4333-8333-333333333333")
CONTENT = b"hello world"
K = key_of(CONTENT)
MOVES_NOTHING = {
    *(m.Version, m.Bypass, m.CheckPresent, m.GetTimestamp, m.NotifyChange, m.Error)
}


async def _serve(
    store: Store, refuse: Refuse, file: Path, proxied: bytes, link: Link
) -> None:
    async def service(channel: Channel, name: bytes) -> None:
        channel.say(m.ConnectDone(0))

    session = Session(
        Channel(link, Role.SERVER),
        store,
        refuse,
        service=service,
        audit=audit_to(file, session="s", proxied=proxied),
    )
    await converse(session, U)


def run(
    file: Path,
    script: str,
    store: Store,
    refuse: Refuse = allow,
    proxied: bytes = b"",
    **words: bytes,
) -> list[str]:
    """What the log says after the script was played."""
    words = {"K": K.text, **words}
    script = "<< AUTH-SUCCESS {U}\n>> VERSION 4\n<< VERSION 4\n" + script
    server = partial(_serve, store, refuse, file, proxied)
    play(server, script, U=U, **words)
    return told(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def holding() -> MemoryStore:
    store = MemoryStore()
    store.add(CONTENT)
    return store


def test_every_request_is_audited_or_moves_nothing() -> None:
    asked = {kind for who, kind in TURNS[State.IDLE] if who is Role.CLIENT}
    assert asked == {*AUDITED, *MOVES_NOTHING}


def test_what_goes_well(file: Path) -> None:
    script = """
        >> PUT a%b {K}
        << PUT-FROM 0
        >> DATA 11
        >| hello world
        >> VALID
        << SUCCESS
        >> PUT f {K}
        << ALREADY-HAVE
        >> GET 4 g {K}
        << DATA 7
        <| o world
        << VALID
        >> SUCCESS
        >> LOCKCONTENT {K}
        << SUCCESS
        >> UNLOCKCONTENT
        >> CHECKPRESENT {K}
        << SUCCESS
        >> REMOVE-BEFORE 2000 {K}
        << SUCCESS
        >> REMOVE {K}
        << SUCCESS
        >> EOF
        << EOF
        """
    assert run(file, script, MemoryStore()) == [
        "PUT stored",
        "PUT already-present",
        "GET delivered",
        "LOCKCONTENT locked",
        "LOCKCONTENT unlocked",
        "REMOVE-BEFORE removed",
        "REMOVE removed",
    ]
    put, _, get, lock, *_ = lines_of(file)
    assert (put["key"], put["file"], put["bytes"]) == (K.text.decode(), "a_b", 11)
    assert (get["offset"], get["bytes"], get["file"]) == (4, 7, "g")
    assert lock["key"] == K.text.decode() and "nodes" not in lock


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (">> DATA 11\n>| HELLO WORLD\n>> VALID\n<< FAILURE", "failed"),
        (">> DATA-PRESENT\n<< FAILURE", "failed"),
        (">> ERROR cannot read it", "withdrawn"),
        (">> WAT\n<< ERROR expected DATA", "failed: expected DATA"),
        (
            ">> DATA 11\n>| hello world\n>> WAT\n<< ERROR expected VALID or INVALID"
            "\n<< SUCCESS",
            "stored: expected VALID or INVALID",
        ),
    ],
)
def test_what_becomes_of_an_upload(file: Path, said: str, expected: str) -> None:
    script = (
        f">> PUT f {{K}}\n<< PUT-FROM 0\n{said}\n>> GETTIMESTAMP\n<< TIMESTAMP 1000"
    )
    assert run(file, script, MemoryStore()) == [f"PUT {expected}"]


def test_an_upload_that_is_cut_off(file: Path) -> None:
    script = ">> PUT f {K}\n<< PUT-FROM 0\n>> DATA 11\n>| hello\n>> EOF\n<< EOF"
    (only,) = run(file, script, MemoryStore())
    assert only == "PUT incomplete: the script delivered 6 bytes less than promised"
    assert lines_of(file)[0]["bytes"] == 5


def test_an_upload_that_goes_on_where_another_ended(file: Path) -> None:
    store = MemoryStore()
    store.partial[K] = b"hello "
    script = ">> PUT f {K}\n<< PUT-FROM 6\n>> DATA 5\n>| world\n>> VALID\n<< SUCCESS"
    assert run(file, script, store) == ["PUT stored"]
    (line,) = lines_of(file)
    assert (line["offset"], line["bytes"]) == (6, 5)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (">> FAILURE", "rejected"),
        (">> ERROR disk full", "rejected: disk full"),
        (
            ">> WAT\n<< ERROR expected SUCCESS or SUCCESS-PLUS or FAILURE"
            " or FAILURE-PLUS",
            "failed: expected SUCCESS or SUCCESS-PLUS or FAILURE or FAILURE-PLUS",
        ),
        (">> EOF\n<< EOF", "incomplete: the connection to the script ended"),
    ],
)
def test_what_becomes_of_a_download(file: Path, said: str, expected: str) -> None:
    script = f">> GET 0 f {{K}}\n<< DATA 11\n<| hello world\n<< VALID\n{said}"
    assert run(file, script, holding()) == [f"GET {expected}"]
    assert lines_of(file)[0]["bytes"] == 11


@pytest.mark.parametrize("answer", ["FAILURE", "SUCCESS"])
def test_absent_content_was_not_delivered_whatever_the_client_says(
    file: Path, answer: str
) -> None:
    script = f">> GET 0 f {{K}}\n<< DATA 0\n<< INVALID\n>> {answer}"
    assert run(file, script, MemoryStore()) == ["GET absent"]


def test_a_bad_offset(file: Path) -> None:
    script = ">> GET -1 f {K}\n<< ERROR the offset -1 is not a position in a file"
    (only,) = run(file, script, holding())
    assert only.startswith("GET refused: the offset -1")


def test_locks_that_are_refused_and_abandoned(file: Path) -> None:
    script = """
        >> LOCKCONTENT {none}
        << FAILURE
        >> LOCKCONTENT {K}
        << SUCCESS
        >> WAT
        << ERROR expected UNLOCKCONTENT
        >> LOCKCONTENT {K}
        << SUCCESS
        >> EOF
        << EOF
        """
    assert run(file, script, holding(), none=key_of(b"none").text) == [
        "LOCKCONTENT refused",
        "LOCKCONTENT locked",
        "LOCKCONTENT abandoned: expected UNLOCKCONTENT",
        "LOCKCONTENT locked",
        "LOCKCONTENT abandoned: the connection to the script ended",
    ]


def test_removals_that_come_too_late_or_meet_a_lock(file: Path) -> None:
    store = holding()
    script = """
        >> REMOVE-BEFORE 1000 {K}
        << FAILURE
        >> LOCKCONTENT {K}
        << SUCCESS
        >> WAT
        << ERROR expected UNLOCKCONTENT
        >> REMOVE {K}
        """
    said = run(file, script, store)
    assert said[0] == "REMOVE-BEFORE refused"
    assert said[-1].startswith("REMOVE refused: content is locked (")


def test_what_the_servers_mode_refuses(file: Path) -> None:
    def refuse(request: m.Message) -> None:
        if isinstance(request, m.Put | m.Remove | m.Connect):
            raise ReadOnly()

    text = "this repository is read-only; write access denied"
    script = f"""
        >> PUT f {{K}}
        << ERROR {text}
        >> ERROR expected PUT_FROM or ALREADY_HAVE
        >> REMOVE {{K}}
        << ERROR {text}
        >> CONNECT git-receive-pack
        << ERROR {text}
        """
    assert run(file, script, holding(), refuse) == [
        f"{word} refused: {text}" for word in ("PUT", "REMOVE", "CONNECT")
    ]
    assert lines_of(file)[2]["service"] == "git-receive-pack"


def test_git_through_the_protocol(file: Path) -> None:
    script = ">> CONNECT git-upload-pack\n<< CONNECTDONE 0"
    assert run(file, script, holding()) == ["CONNECT ended"]
    assert lines_of(file)[0]["service"] == "git-upload-pack"


def test_a_node_that_is_not_reached(file: Path) -> None:
    store = holding()
    store.refusal = PeerUnreachable(name="disk", detail="no route")
    script = ">> REMOVE {K}\n<< ERROR cannot connect to disk: no route"
    assert run(file, script, store, proxied=NODE) == [
        "REMOVE failed: cannot connect to disk: no route"
    ]
    (line,) = lines_of(file)
    assert line["proxied"] == NODE.decode()
    assert line["nodes"] == {NODE.decode(): "failed"}


class Several(MemoryStore):
    """Also tells of another repository, as a node that is a gateway itself may."""

    ok = True

    async def remove(self, key: object, before: int | None = None) -> Outcome:
        return Outcome(self.ok, (OTHER,), "" if self.ok else "one of them failed")


@pytest.mark.parametrize("ok", [True, False])
def test_the_outcome_at_each_node(file: Path, ok: bool) -> None:
    store = Several()
    store.ok = ok
    heard = "SUCCESS-PLUS" if ok else "FAILURE-PLUS"
    script = f">> REMOVE {{K}}\n<< {heard} {OTHER.decode()}"
    said = run(file, script, store, proxied=NODE)
    assert said == ["REMOVE removed" if ok else "REMOVE refused: one of them failed"]
    assert lines_of(file)[0]["nodes"] == {
        NODE.decode(): "removed" if ok else "refused",
        OTHER.decode(): "removed",
    }


def test_hostile_names_are_one_line(file: Path) -> None:
    key = b"WORM-s1--a\x1b[2J\xff\x7f"
    script = ">> GET 0 {name} {key}\n<< DATA 0\n<< INVALID\n>> FAILURE"
    run(file, script, MemoryStore(), name=b"\x1b]0;\xe2\x80\xae\xff", key=key)
    (line,) = lines_of(file)
    assert line["key"] == "WORM-s1--a\x1b[2J\\xff\x7f"
    assert line["file"] == "_]0;\u202e\\xff"


def test_a_log_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    """The same conversation, word for word."""
    store = MemoryStore()
    script = (
        ">> PUT f {K}\n<< PUT-FROM 0\n>> DATA 11\n>| hello world\n>> VALID\n<< SUCCESS"
    )
    assert run(tmp_path / "none" / "audit.jsonl", script, store) == []
    assert store.contents == {K: CONTENT}


def test_what_is_stored_without_a_verdict_is_noted(file: Path) -> None:
    script = """
        >> PUT f {K}
        << PUT-FROM 0
        >> DATA 11
        >| hello world
        >> EOF
        << EOF
        """
    assert run(file, script, MemoryStore()) == ["PUT stored"]


CLUSTER = b"acf788bc-41dd-8c24-b6ef-c199bfe447e6"
GET = """
    >> GET 0 f {K}
    << DATA 11
    <| hello world
    << VALID
    >> SUCCESS
    >> EOF
    << EOF
    """


@pytest.mark.parametrize(
    "proxied, named", [(CLUSTER, True), (NODE, False), (b"", False)]
)
def test_which_node_of_a_cluster_delivered(
    file: Path, proxied: bytes, named: bool
) -> None:
    class Node(MemoryStore):
        @asynccontextmanager
        async def get(
            self, key: Key, offset: int, name: bytes
        ) -> AsyncIterator[Payload]:
            async with super().get(key, offset, name) as payload:
                payload.source = "disk1"
                yield payload

    store = Node()
    store.add(CONTENT)
    assert run(file, GET, store, proxied=proxied) == ["GET delivered"]
    [line] = lines_of(file)
    assert line.get("source") == ("disk1" if named else None)


def test_the_nodes_of_a_cluster_for_which_it_became_true(file: Path) -> None:
    class Nodes(MemoryStore):
        async def remove(self, key: Key, before: int | None = None) -> Outcome:
            return Outcome(False, (NODE, OTHER))

    script = ">> REMOVE {K}\n<< FAILURE-PLUS {N} {O}\n>> EOF\n<< EOF"
    run(file, script, Nodes(), proxied=CLUSTER, N=NODE, O=OTHER)
    [line] = lines_of(file)
    assert line["outcome"] == "refused"
    assert line["nodes"] == {NODE.decode(): "removed", OTHER.decode(): "removed"}
