"""Restrictions are read so that a mistaken value restricts."""

from __future__ import annotations

import pytest

from annexshell.policy.restrictions import Restrictions


@pytest.mark.parametrize("value", ["1", "true", "True", "0", "false", "no", " "])
def test_any_text_restricts(value: str) -> None:
    found = Restrictions.from_environment(
        {
            "GIT_ANNEX_SHELL_READONLY": value,
            "GIT_ANNEX_SHELL_APPENDONLY": value,
            "GIT_ANNEX_SHELL_LIMITED": value,
        }
    )
    assert found.read_only and found.append_only and found.limited


def test_the_empty_text_counts_as_not_set() -> None:
    found = Restrictions.from_environment(
        {
            "GIT_ANNEX_SHELL_READONLY": "",
            "GIT_ANNEX_SHELL_APPENDONLY": "",
            "GIT_ANNEX_SHELL_LIMITED": "",
        }
    )
    assert found == Restrictions()
    assert not found.confined


def test_an_empty_directory_still_confines() -> None:
    found = Restrictions.from_environment({"GIT_ANNEX_SHELL_DIRECTORY": ""})
    assert found.directory == ""
    assert found.confined


def test_being_below_a_directory_confines() -> None:
    found = Restrictions.from_environment({"ANNEXSHELL_DIRECTORY_BELOW": "/srv"})
    assert found.below == "/srv"
    assert found.confined


def test_restrictions_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Restrictions().read_only = True  # type: ignore[misc]  # the point of the test
