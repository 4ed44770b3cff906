"""Lines on stderr never hold a session up."""

from __future__ import annotations

import fcntl
import logging
import os

from annexshell.serve.stderr import StderrHandler


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("x", logging.WARNING, "x", 1, text, None, None)


def test_lines_arrive_whole_however_long() -> None:
    reading, writing = os.pipe()
    handler = StderrHandler(writing)
    handler.emit(record("short"))
    handler.emit(record("é" * 10_000 + "\udcff"))
    told = os.read(reading, 1 << 16).decode()
    assert told == "short\n" + "é" * 10_000 + "\\udcff\n"
    os.close(reading)
    os.close(writing)


def test_a_full_pipe_costs_lines_and_no_time() -> None:
    reading, writing = os.pipe()
    size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    handler = StderrHandler(writing, patience=0.01)
    for _ in range(100):
        handler.emit(record("x" * 999))
    assert len(os.read(reading, 1 << 16)) <= size
    handler.emit(record("and again"))
    assert os.read(reading, 1 << 16) == b"and again\n"
    os.close(reading)
    os.close(writing)


def test_a_reader_that_left_is_no_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    StderrHandler(writing).emit(record("to nobody"))
    os.close(writing)
