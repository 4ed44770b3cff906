"""What may become part of a path, and what has the form of a uuid."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexshell.model.ids import UUID, is_cluster_uuid, is_safe_uuid, looks_like_uuid

SAFE = re.compile(rb"[A-Za-z0-9-]{1,64}\Z")
LIKELY = re.compile(rb"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")
TEXTS = st.one_of(
    st.binary(max_size=70),
    st.from_regex(SAFE),
    st.from_regex(LIKELY),
    st.text("0aF-g./", max_size=70).map(str.encode),
)


@given(TEXTS)
def test_they_mean_what_the_expressions_say(text: bytes) -> None:
    assert is_safe_uuid(text) == (SAFE.match(text) is not None)
    assert looks_like_uuid(text) == (LIKELY.match(text) is not None)


@pytest.mark.parametrize("text", [b"", b".", b"..", b"a/b", b"a\n", b"x" * 65, b"\xe9"])
def test_what_is_not_safe(text: bytes) -> None:
    assert not is_safe_uuid(text)


def test_clusters() -> None:
    assert is_cluster_uuid(UUID(b"ac19bc6e-9a5d-8b4f-bd0d-3dd6a8ab0f0e"))
    assert not is_cluster_uuid(UUID(b"ac19bc6e-9a5d-4b4f-bd0d-3dd6a8ab0f0e"))
    assert not is_cluster_uuid(UUID(b"bc19bc6e-9a5d-8b4f-bd0d-3dd6a8ab0f0e"))
