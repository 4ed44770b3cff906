"""Whole numbers in logs, as leniently as git-annex reads them (spec 03 §4.4, §4.7)."""

from __future__ import annotations

from annexshell.model.numbers import Number, read_number


def lenient_integer(text: bytes) -> int | None:
    """The number that ``text`` begins with, None if with none.

    A number of more than 300 digits is 10^300.
    """
    found = _read(text)
    return None if found is None else found.integer()


def lenient_word(text: bytes) -> int | None:
    """The same, kept in 64 bits with a sign: a number that is too large wraps around."""
    found = _read(text)
    return None if found is None else found.word()


def _read(text: bytes) -> Number | None:
    return read_number(text.decode("utf-8", "surrogateescape"))
