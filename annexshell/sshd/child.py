"""The forced command as a child process, joined to an ssh channel.

Bytes move in bounded steps and each step waits for the other side, so memory does not grow
with what is transferred. An end of file is passed on in either direction by itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping

import asyncssh

from annexshell.sshd.session import Session

_STEP = 256 * 1024
_GRACE = 5.0
"""Seconds a child has to end by itself, first after its stdin closed, then after SIGHUP."""


async def run_child(session: Session, command: str, environ: Mapping[str, str]) -> None:
    """Run ``command`` by ``/bin/sh -c`` as sshd does, until it ends or the client goes.

    The command is the operator's; only its environment holds anything of the client's.
    """
    child = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=environ,
        cwd=environ.get("HOME") or "/",
        start_new_session=True,
        limit=_STEP,
    )
    work = asyncio.create_task(_join(session, child))
    gone = asyncio.create_task(session.gone.wait())
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        work.cancel()
        gone.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)
        _report(session, await _end(child))


async def _join(session: Session, child: Process) -> None:
    """Move everything both ways until the child has ended and its output is sent."""
    assert child.stdin and child.stdout and child.stderr
    feeding = asyncio.create_task(_feed(session, child.stdin))
    try:
        await asyncio.gather(
            _drain(child.stdout, session, None),
            _drain(child.stderr, session, asyncssh.EXTENDED_DATA_STDERR),
        )
        await child.wait()
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def _feed(session: Session, target: asyncio.StreamWriter) -> None:
    try:
        while step := await session.read():
            target.write(step)
            await target.drain()
    except ConnectionError:
        # The child reads no more. What the client still sends is thrown away, as it would
        # be with sshd; it must not fill the window that other requests need.
        while await session.read():
            continue
    finally:
        target.close()


async def _drain(
    source: asyncio.StreamReader, session: Session, datatype: int | None
) -> None:
    while step := await source.read(_STEP):
        await session.write(step, datatype)


async def _end(child: Process) -> int:
    """The child's exit status, after ending it if it does not end by itself."""
    if child.stdin is not None:
        child.stdin.close()
    for number in (signal.SIGHUP, signal.SIGKILL):
        try:
            return await asyncio.wait_for(child.wait(), _GRACE)
        except asyncio.TimeoutError:
            _signal_group(child.pid, number)
    return await child.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return  # it ended meanwhile


def _report(session: Session, status: int) -> None:
    if session.gone.is_set():
        return
    if status >= 0:
        session.channel.exit(status)
        return
    name = signal.Signals(-status).name.removeprefix("SIG")
    session.channel.exit_with_signal(name)
