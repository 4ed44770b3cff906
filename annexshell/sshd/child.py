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

_STEP = 256 * 1024
_GRACE = 5.0
"""Seconds a child has to end by itself, first after its stdin closed, then after SIGHUP."""

SSHProcess = asyncssh.SSHServerProcess[bytes]


async def run_child(
    process: SSHProcess, command: str, environ: Mapping[str, str]
) -> None:
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
    work = asyncio.create_task(_join(process, child))
    gone = asyncio.create_task(process.channel.wait_closed())
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        work.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)
        status = await _end(child)
        _report(process, status)


async def _join(process: SSHProcess, child: Process) -> None:
    """Move everything both ways until the child has ended and its output is sent."""
    assert child.stdin and child.stdout and child.stderr
    feeding = asyncio.create_task(_feed(process.stdin, child.stdin))
    try:
        await asyncio.gather(
            _drain(child.stdout, process.stdout),
            _drain(child.stderr, process.stderr),
        )
        await child.wait()
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def _feed(
    source: asyncssh.SSHReader[bytes], target: asyncio.StreamWriter
) -> None:
    try:
        while step := await source.read(_STEP):
            target.write(step)
            await target.drain()
    except (ConnectionError, asyncssh.Error):
        return  # the child reads no more, or the client is gone: an end of file too
    finally:
        target.close()


async def _drain(
    source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]
) -> None:
    while step := await source.read(_STEP):
        target.write(step)
        await target.drain()


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


def _report(process: SSHProcess, status: int) -> None:
    if process.channel.is_closing():
        return
    if status >= 0:
        process.exit(status)
        return
    name = signal.Signals(-status).name.removeprefix("SIG")
    process.exit_with_signal(name, False, "")
