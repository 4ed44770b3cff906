"""A node that takes hours for what others store in a moment: ``slow_node.py UUID``.

It speaks the protocol of a repository without content, and reads what it is sent at ten
kilobytes a second. What it is asked for besides is refused.
"""

from __future__ import annotations

import os
import sys
import time

STEP = 1000
PAUSE = 0.1


def _line() -> bytes:
    """The next line, read byte by byte so that no content is taken with it."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(0)
        line += byte
    return line.strip()


def _swallow(count: int) -> None:
    while count > 0:
        read = len(os.read(0, min(STEP, count)))
        if not read:
            sys.exit(0)
        count -= read
        time.sleep(PAUSE)


def _answer(line: bytes) -> bytes:
    word = line.split(b" ")[0]
    if word == b"VERSION":
        return b"VERSION 4"
    if word == b"PUT":
        return b"PUT-FROM 0"
    if word in (b"CHECKPRESENT", b"REMOVE"):
        return b"FAILURE" if word == b"CHECKPRESENT" else b"SUCCESS"
    return b"SUCCESS" if word == b"VALID" else b"ERROR not here"


def main() -> None:
    """Serve until the other side has gone."""
    os.write(1, b"AUTH-SUCCESS " + os.fsencode(sys.argv[1]) + b"\n")
    while True:
        line = _line()
        if line.startswith(b"DATA "):
            _swallow(int(line.split(b" ")[1]))
        elif not line.startswith(b"BYPASS"):
            os.write(1, _answer(line) + b"\n")


if __name__ == "__main__":
    main()
