"""Uuids as they come over the wire."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexshell.model.ids import (
    UUID,
    is_cluster_uuid,
    is_safe_uuid,
    looks_like_uuid,
)

PLAIN = b"478e8457-0c54-4973-abb1-b4f362fe6023"

SAFE = re.compile(rb"[A-Za-z0-9-]{1,64}\Z")
LIKELY = re.compile(rb"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")
TEXTS = st.one_of(
    st.binary(max_size=70),
    st.from_regex(SAFE),
    st.from_regex(LIKELY),
    st.text("0aF-g./", max_size=70).map(str.encode),
).filter(lambda text: text != b"lck")


@pytest.mark.thorough
@given(TEXTS)
def test_they_mean_what_the_expressions_say(text: bytes) -> None:
    assert is_safe_uuid(text) == (SAFE.match(text) is not None)
    assert looks_like_uuid(text) == (LIKELY.match(text) is not None)


@pytest.mark.parametrize("text", [PLAIN, b"x", b"A-1", b"lckx", b"a" * 64])
def test_texts_that_may_name_a_directory(text: bytes) -> None:
    assert is_safe_uuid(text)


@pytest.mark.parametrize(
    "text",
    [b"", b"..", b".", b"a/b", b"a" * 65, b"a b", b"a\n", b"\xe9", b"a\0", b"lck"],
)
def test_texts_that_may_not(text: bytes) -> None:
    assert not is_safe_uuid(text)


@pytest.mark.parametrize(
    "text, expected",
    [(PLAIN, True), (PLAIN.upper(), True), (b"aa", False), (PLAIN + b"0", False)],
)
def test_the_form_of_a_uuid(text: bytes, expected: bool) -> None:
    assert looks_like_uuid(text) is expected


@pytest.mark.parametrize(
    "text, expected",
    [
        (b"acf788bc-41dd-8c24-b6ef-c199bfe447e6", True),
        (b"acf788bc-41dd-4c24-b6ef-c199bfe447e6", False),
        (b"ACf788bc-41dd-8c24-b6ef-c199bfe447e6", False),
        (PLAIN, False),
        (b"ac", False),
    ],
)
def test_the_form_of_a_clusters_uuid(text: bytes, expected: bool) -> None:
    assert is_cluster_uuid(UUID(text)) is expected
