"""The two modes of a session against every request (spec 01 §5.6)."""

from __future__ import annotations

import pytest

from annexshell.errors import AppendOnly, ReadOnly
from annexshell.policy.modes import refusal, refused
from annexshell.policy.restrictions import Restrictions

READING = [b"CHECKPRESENT", b"GET", b"LOCKCONTENT", b"GETTIMESTAMP", b"BYPASS"]


@pytest.mark.parametrize("word", READING)
def test_reading_is_never_refused(word: bytes) -> None:
    for mode in (Restrictions(read_only=True), Restrictions(append_only=True)):
        assert refusal(refused(mode), word) is None


@pytest.mark.parametrize("word", [b"PUT", b"REMOVE", b"REMOVE-BEFORE"])
def test_read_only_refuses_changes(word: bytes) -> None:
    mode = Restrictions(read_only=True, append_only=True)
    assert isinstance(refusal(refused(mode), word), ReadOnly)
    assert refusal(refused(Restrictions()), word) is None


def test_append_only_takes_content_and_keeps_it() -> None:
    mode = Restrictions(append_only=True)
    assert refusal(refused(mode), b"PUT") is None
    assert isinstance(refusal(refused(mode), b"REMOVE"), AppendOnly)
    assert isinstance(refusal(refused(mode), b"REMOVE-BEFORE"), AppendOnly)


@pytest.mark.parametrize("service", [b"git-receive-pack", b"", b"anything"])
def test_both_refuse_every_service_but_fetching(service: bytes) -> None:
    for mode in (Restrictions(read_only=True), Restrictions(append_only=True)):
        assert isinstance(refusal(refused(mode), b"CONNECT", service), ReadOnly)
        assert refusal(refused(mode), b"CONNECT", b"git-upload-pack") is None
    assert refusal(refused(Restrictions()), b"CONNECT", service) is None
