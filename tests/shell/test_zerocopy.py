"""``annexshell.zerocopy``: the same bytes arrive, with it and without it."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from tests.support.by_path import CLUSTER, N1, N2, make_gateway
from tests.support.content import files_below
from tests.support.session import CLIENT_UUID, Session, sha256_key
from tests.support.shell import (
    UUID_HERE,
    environment,
    git,
    shell_argv,
    write_identity,
)
from tests.support.syscalls import need_strace

#: More than any pipe holds, and no whole number of pages.
CONTENT = hashlib.shake_128(b"content").digest((3 << 20) + 4321)
KEY = sha256_key(CONTENT)
MOVING = ("splice(", "sendfile(", "tee(", "vmsplice(", "copy_file_range(")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path.resolve()
    write_identity(made)
    make_gateway(made, {"n1": N1, "n2": N2})
    return made


def session(home: Path, uuid: str, *before: str) -> Session:
    command = f"git-annex-shell p2pstdio gw {CLIENT_UUID} --uuid {uuid}"
    argv = [*before, *shell_argv("-c", command)]
    started = Session(argv, cwd=home, env=environment(home))
    assert started.greet() == uuid.encode()
    return started


def interrupted(home: Path, uuid: str, *before: str) -> None:
    """A session that ends in the middle of a PUT."""
    with session(home, uuid, *before) as client:
        assert client.ask(b"PUT f " + KEY) == b"PUT-FROM 0"
        client.write(b"DATA %d\n" % len(CONTENT) + CONTENT[: len(CONTENT) // 2])
        client.end()


def stored(home: Path) -> list[bytes]:
    """The content of all objects, wherever they are."""
    places = [home / name / "annex/objects" for name in ("gw", "n1", "n2")]
    return [path.read_bytes() for place in places for path in files_below(place)]


@pytest.mark.parametrize("setting", ["true", "false"])
@pytest.mark.parametrize(
    ("uuid", "copies"),
    [(UUID_HERE, 1), (N1, 1), (CLUSTER, 2)],
    ids=["local", "proxied", "cluster"],
)
def test_the_same_bytes_arrive(
    home: Path, setting: str, uuid: str, copies: int
) -> None:
    git("-C", home / "gw", "config", "annexshell.zerocopy", setting)
    interrupted(home, uuid)
    with session(home, uuid) as client:
        assert client.put(KEY, CONTENT).startswith(b"SUCCESS")
        assert stored(home) == [CONTENT] * copies
        assert client.get(KEY) == (CONTENT, b"VALID")
        assert client.get(KEY, 1234567) == (CONTENT[1234567:], b"VALID")
        ended = client.end()
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("setting", ["true", "false"])
def test_without_it_no_call_moves_what_is_not_read(home: Path, setting: str) -> None:
    need_strace()
    git("-C", home / "gw", "config", "annexshell.zerocopy", setting)
    trace = home / "trace"
    with session(home, CLUSTER, "strace", "-f", "-o", str(trace)) as client:
        assert client.put(KEY, CONTENT).startswith(b"SUCCESS")
        assert client.get(KEY) == (CONTENT, b"VALID")
        assert client.end().code == 0
    moved = any(f" {call}" in trace.read_text() for call in MOVING)
    assert moved is (setting == "true")


# -- nodes that are reached by ssh ---------------------------------------------------------


def behind_ssh(home: Path) -> dict[str, str]:
    """Have the gateway reach its nodes by a program, which is started in place of ssh.

    What its environment needs.
    """
    programs = home / "bin"
    programs.mkdir()
    start = " ".join(shlex.quote(os.fsdecode(word)) for word in shell_argv())
    scripts = {
        "ssh": 'for last; do :; done; exec sh -c "$last"',
        "git-annex-shell": f'exec {start} -c "git-annex-shell $*"',
    }
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    for node in ("n1", "n2"):
        url = f"host:{home / node}"
        git("-C", home / "gw", "config", f"remote.{node}.url", url)
    return {"PATH": f"{programs}:{os.environ['PATH']}"}


def moved_bytes(trace: Path) -> Counter[str]:
    """By name of the call."""
    moved: Counter[str] = Counter()
    for line in trace.read_text().splitlines():
        call = re.match(r"(\w+)\(.* = (\d+)$", line)
        if call:
            moved[call[1]] += int(call[2])
    return moved


@pytest.mark.parametrize("setting", ["true", "false"])
def test_nodes_behind_ssh_share_what_the_client_sends(home: Path, setting: str) -> None:
    need_strace()
    git("-C", home / "gw", "config", "annexshell.zerocopy", setting)
    found, trace = behind_ssh(home), home / "trace"
    content = CONTENT * 5
    key = sha256_key(content)
    command = f"git-annex-shell p2pstdio gw {CLIENT_UUID} --uuid {CLUSTER}"
    # The gateway alone: neither its children nor its threads.
    strace = ["strace", "-o", str(trace), "-e", "trace=tee,readv,write"]
    argv = [*strace, *shell_argv("-c", command)]
    with Session(argv, cwd=home, env=environment(home, **found)) as client:
        assert client.greet() == CLUSTER.encode()
        answer = client.put(key, content)
        assert answer.startswith(b"SUCCESS-PLUS"), (answer, client.stderr)
        assert client.end().code == 0
    assert stored(home) == [content] * 2
    moved = moved_bytes(trace)
    if setting == "true":
        assert moved["tee"] > len(content)
        assert moved["write"] < len(content)
    else:
        assert moved["tee"] == 0
        assert moved["readv"] >= len(content) - (1 << 16)
        assert moved["write"] >= 2 * len(content)
