"""Location logs: the vectors of spec 03 §2.1 and §4.1."""

from __future__ import annotations

import pytest

from annexshell.logs.location import (
    holders,
    is_location_path,
    location_path,
    with_presence,
)
from annexshell.model.clock import parse_clock
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from tests.support.repositories import K_LOG, U1, U2, U3, K


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (K.text, K_LOG),
        (
            b"WORM-s3-m123--a/b%c&d:e_f g",
            b"be4/f69/WORM-s3-m123--a%b&sc&ad&ce_f g.log",
        ),
        (
            b"URL--http://example.com/a&b?c=%20",
            b"b36/121/URL--http&c%%example.com%a&ab?c=&s20.log",
        ),
        (b"SHA256-s10-S3-C2--abcd", b"5b3/9a7/SHA256-s10-S3-C2--abcd.log"),
        (b"SHA256-s10--abcd", b"5b3/9a7/SHA256-s10--abcd.log"),
        (b"WORM-s3-m123--__x_", b"704/192/WORM-s3-m123--__x_.log"),
        ("MD5--é".encode(), "e02/5e6/MD5--é.log".encode()),
        (b"WORM-s1--../x", b"af1/e01/WORM-s1--..%x.log"),
    ],
)
def test_paths_of_location_logs(key: bytes, path: bytes) -> None:
    assert location_path(Key.parse(key)) == path
    assert is_location_path(path)


def test_a_tuned_branch_has_one_level_of_directories() -> None:
    path = location_path(K, one_level=True)
    assert path == b"205/" + K.text + b".log"
    assert is_location_path(path, one_level=True)
    assert not is_location_path(path)


@pytest.mark.parametrize(
    "path", [b"uuid.log", b"a/b/K.log.met", b"a/b/c/K.log", b"a/K.log"]
)
def test_other_logs_are_no_location_logs(path: bytes) -> None:
    assert not is_location_path(path)


def _named(text: str) -> bytes:
    for short, uuid in (("U1", U1), ("U2", U2), ("U3", U3)):
        text = text.replace(short, uuid.decode())
    return text.replace("⏎", "\n").encode()


@pytest.mark.parametrize(
    ("old", "status", "clock", "new"),
    [
        ("", "1 U1", "1000", "1000s 1 U1"),
        ("", "0 U1", "1000", "1000s 0 U1"),
        ("1000s 1 U1", "1 U1", "2000", None),
        ("3000s 1 U1", "0 U1", "2000", "3001s 0 U1"),
        ("2000s 1 U1", "0 U1", "2000", "2001s 0 U1"),
        ("2000.75s 1 U1", "0 U1", "2000", "2001.75s 0 U1"),
        ("1999.75s 1 U1", "0 U1", "2000", "2000s 0 U1"),
        ("3000s 1 U2", "1 U1", "2000", "2000s 1 U1⏎3000s 1 U2"),
        ("3000s 1 U1⏎5000s 1 U1⏎4000s 0 U1", "0 U1", "2000", "5001s 0 U1"),
        ("3000s 1 U1⏎5000s 0 U1", "0 U1", "2000", None),
        ("3000s 1 U1⏎3000s 0 U1", "1 U1", "9000", None),
        ("3000s 1 U1⏎3000s 0 U1", "0 U1", "9000", "9000s 0 U1"),
        ("3000s X U1", "0 U1", "9000", "9000s 0 U1"),
        (
            "3000s 1 U3⏎garbage⏎3001s 2 U2",
            "1 U1",
            "9000",
            "9000s 1 U1⏎3000s 1 U3",
        ),
        (
            "3000 1 U3⏎3000.500000s 1 U2⏎+00012s 1 x⏎-5.25s 1 y",
            "1 U1",
            "9000",
            "9000s 1 U1⏎3000.5s 1 U2⏎3000s 1 U3⏎12s 1 x⏎-5.25s 1 y",
        ),
        ("99999999999999999999s 1 U1", "0 U1", "9000", "100000000000000000000s 0 U1"),
    ],
)
def test_setting_a_status(old: str, status: str, clock: str, new: str | None) -> None:
    candidate = parse_clock(clock.encode())
    assert candidate is not None
    text = with_presence(_named(old) + b"\n", U1, status.startswith("1"), candidate)
    assert text == (None if new is None else _named(new) + b"\n")


@pytest.mark.parametrize(
    ("log", "who"),
    [
        (b"", set()),
        (b"1000s 1 a\r\n1000s 0 b\r\n", {b"a"}),
        (b"1000s 1 a\n1000.0s 0 a\n", {b"a"}),
        (b"1000s 0 a\n1000s 1 a\n", set()),
        (b"\n\n1s 1 a", {b"a"}),
        (b"5s X a\n4s 1 a\n", set()),
        (b"1000 1\n1000s 1 a b\n", {b"a b"}),
        (b"1e3 1 a\n", set()),
    ],
)
def test_who_has_the_content(log: bytes, who: set[bytes]) -> None:
    assert holders(log) == {UUID(uuid) for uuid in who}
