"""Debug output is lines, whatever is logged."""

from __future__ import annotations

import logging

from annexshell.serve.debugging import _Structured


def test_a_record_is_one_line_that_moves_no_cursor() -> None:
    try:
        raise ZeroDivisionError("a\nb")
    except ZeroDivisionError as error:
        about = (type(error), error, error.__traceback__)
    record = logging.LogRecord(
        "annexshell.x", logging.ERROR, __file__, 1, "%s", ("c\n\x1b[2J\udcff",), about
    )
    line = _Structured("s1").format(record)
    assert line.isprintable()
    assert r" s1 ERROR annexshell.x: c\n\x1b[2J\udcff\nTraceback" in line
