"""The lines of the audit log, whoever writes them."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from annexshell.errors import (
    AnnexshellError,
    BlockedBy,
    ContentLocked,
    LineTooLong,
    LinkClosed,
    PeerUnreachable,
    ReadOnly,
    StorageFailed,
)
from annexshell.repository.audit import (
    LONGEST,
    REMOVED,
    SETTING,
    STORED,
    Audit,
    line_of,
)
from annexshell.repository.open import open_repository
from tests.support.audit import audit_to, lines_of, told
from tests.support.shell import UUID_HERE, git, make_annex

KEY = b"SHA256-s5--abc"
NODE = b"22222222-2222-4222-8222-222222222222"
CLUSTER = b"acbbdd76-2913-83e9-85c4-c7c039622a0f"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_all_that_is_known_of_a_request(tmp_path: Path, file: Path) -> None:
    path = make_annex(tmp_path.resolve() / "r.git")
    git("-C", path, "config", SETTING, str(file))
    audit = Audit.of(
        open_repository(str(path)),
        session="s1",
        user="ann",
        connection="192.0.2.1 50000 192.0.2.2 22",
        client=b"c1",
        proxied=NODE,
    )
    assert audit.on
    with audit.request("PUT", key=KEY, file=b"a b.txt") as entry:
        entry.bytes, entry.offset = 3, 2
        entry.outcome = STORED
    (line,) = lines_of(file)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("time"))
    assert line.pop("seconds") >= 0
    assert line == {
        "session": "s1",
        "user": "ann",
        "connection": "192.0.2.1 50000 192.0.2.2 22",
        "client": "c1",
        "repository": str(path),
        "uuid": UUID_HERE,
        "proxied": NODE.decode(),
        "request": "PUT",
        "key": KEY.decode(),
        "file": "a b.txt",
        "offset": 2,
        "bytes": 3,
        "outcome": "stored",
        "nodes": {NODE.decode(): "stored"},
    }


def test_unset_means_nothing_at_all(tmp_path: Path) -> None:
    path = make_annex(tmp_path.resolve() / "r.git")
    before = sorted(tmp_path.rglob("*"))
    audit = Audit.of(open_repository(str(path)))
    with audit.request("dropkey", key=KEY) as entry:
        entry.outcome = REMOVED
    assert not audit.on
    assert sorted(tmp_path.rglob("*")) == before


def test_sessions_have_names_of_their_own(tmp_path: Path, file: Path) -> None:
    path = make_annex(tmp_path.resolve() / "r.git")
    git("-C", path, "config", SETTING, str(file))
    for _ in range(2):
        audit = Audit.of(open_repository(str(path)))
        for _ in range(2):
            with audit.request("dropkey"):
                pass
    names = [line["session"] for line in lines_of(file)]
    assert names[0] == names[1] != names[2] == names[3]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ReadOnly(), f"refused: {ReadOnly()}"),
        (BlockedBy(variable="X"), "refused: Action blocked by X"),
        (ContentLocked(key="K", detail="d"), "refused: content is locked (K): "),
        (StorageFailed(action="a", where="w", detail="d"), "failed: a failed (w): d"),
        (PeerUnreachable(name="n", detail="d"), "failed: cannot connect to n: d"),
        (LinkClosed(name="x"), "incomplete: the connection to x ended"),
        (LineTooLong(limit=1), "incomplete: protocol error: a line of more than 1 "),
        (ExceptionGroup("", [ReadOnly()]), "refused: this repository is read-only"),
        (OSError(13, "Denied", "/x"), "failed: Denied (/x)"),
        (ZeroDivisionError("x"), "failed: internal error: ZeroDivisionError: x"),
        (KeyboardInterrupt(), "incomplete: the session was ended"),
    ],
)
def test_an_error_is_the_outcome(
    file: Path, error: BaseException, expected: str
) -> None:
    with pytest.raises(type(error)):
        with audit_to(file).request("GET"):
            raise error
    (only,) = told(file)
    assert only.startswith(f"GET {expected}")


def test_a_request_of_which_nothing_is_known_is_incomplete(file: Path) -> None:
    with audit_to(file).request("GET"):
        pass
    assert told(file) == ["GET incomplete"]


def test_a_broken_log_harms_nothing_and_what_it_lost_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "later" / "audit.jsonl"
    audit = audit_to(file)
    for _ in range(3):
        with audit.request("GET") as entry:
            entry.outcome = "delivered"
    assert len(caplog.records) == 1
    file.parent.mkdir()
    for _ in range(2):
        with audit.request("GET"):
            pass
    first, second = lines_of(file)
    assert first["lost"] == 3 and "lost" not in second


def test_a_cluster_is_no_node_itself(file: Path) -> None:
    audit = audit_to(file, proxied=CLUSTER)
    with audit.request("PUT") as entry:
        entry.nodes = {NODE: "stored"}
    (line,) = lines_of(file)
    assert line["proxied"] == CLUSTER.decode()
    assert line["nodes"] == {NODE.decode(): "stored"}


def test_what_is_not_utf8_is_told_twice() -> None:
    name = b"caf\xe9\n\x7f"
    line = line_of({"file": name})
    assert line == (
        b'{"file_base64":"' + base64.b64encode(name) + b'",'
        b'"file":"caf\\\\xe9\\n\\u007f"}\n'
    )


def test_long_texts_are_cut_and_named() -> None:
    name = b"\x01" * 32000
    line = line_of({"key": b"short", "file": name, "reason": "x" * 20000})
    assert len(line) <= LONGEST
    assert b'"cut":["file","reason"]' in line
    assert b'"key":"short"' in line


def test_many_nodes_are_cut() -> None:
    nodes = {b"%036d" % n: "stored" for n in range(800)}
    line = line_of({"nodes": nodes})
    assert len(line) <= LONGEST and b'"cut":["nodes"]' in line


def test_refusals_are_told_from_failures_by_their_class(file: Path) -> None:
    entry = audit_to(file).request("PUT")
    entry.failed(AnnexshellError(detail="x"))
    assert (entry.outcome, entry.reason) == ("failed", "x")
