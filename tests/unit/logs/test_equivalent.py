"""The log of equivalent keys (spec 02 §3.3, spec 03 §2.1)."""

from __future__ import annotations

from annexshell.logs.equivalent import equivalent_keys, equivalent_path
from annexshell.model.key import Key

A = Key.parse(b"SHA256-s1--a")
B = Key.parse(b"MD5--b c")


def test_its_path_is_beside_that_of_the_location_log() -> None:
    key = Key.parse(b"WORM-s3-m123--a/b%c&d:e_f g")
    assert equivalent_path(key) == b"be4/f69/WORM-s3-m123--a%b&sc&ad&ce_f g.log.ek"
    assert equivalent_path(key, one_level=True).startswith(b"be4/WORM")


def test_the_newest_line_of_a_key_counts() -> None:
    log = b"1s 1 SHA256-s1--a\n3s 0 SHA256-s2--a\n2s 1 SHA256-s2--a\n2.5s 1 MD5--b c\n"
    assert equivalent_keys(log) == {A, B}
    assert equivalent_keys(log + b"9s X SHA256-s1--a\n") == {B}


def test_what_is_no_usable_key_is_skipped() -> None:
    log = b"1s 1 VURL--x\n1s 1 nonsense\n1s 1 \nnonsense\n1s 1 SHA256-s01--a\n"
    assert equivalent_keys(log) == {A}
    assert equivalent_keys(b"") == frozenset()
