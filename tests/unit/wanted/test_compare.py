"""Tests of metadata: what git-annex was seen to find."""

from __future__ import annotations

import pytest

from annexshell.wanted.compare import (
    BadField,
    BadGlob,
    MetadataTest,
    parse_metadata_test,
)
from tests.support.vectors import vectors


def _passes(text: str, *values: str) -> bool:
    test = parse_metadata_test(text)
    assert isinstance(test, MetadataTest)
    return test.matches(values)


def _files(text: str, metadata: dict[str, list[str]]) -> list[str]:
    test = parse_metadata_test(text)
    assert isinstance(test, MetadataTest)
    found = []
    for name, fields in metadata.items():
        pairs = [field.replace("+=", "=").split("=", 1) for field in fields]
        if test.matches(value for field, value in pairs if field == test.field):
            found.append(name)
    return found


def test_the_files_that_git_annex_finds() -> None:
    data = vectors("metadata_terms")
    for expression, files in data["rows"]:
        if " " in expression:
            continue  # Two words of an expression, of which the second is none.
        assert _files(expression.removeprefix("metadata="), data["metadata"]) == files


def test_values_that_are_numbers_are_compared_as_numbers() -> None:
    assert _passes("v>0x1e", "(Infinity)")
    assert _passes("v>=-0", "0")
    assert _passes("v<1e2", " 5")
    assert not _passes("v>5", "NaN")
    assert not _passes("v<NaN", "5")
    assert _passes("v>-(4)", "5")


def test_other_values_are_compared_as_texts_by_code_point() -> None:
    assert _passes("v>.5", "5")
    assert not _passes("v>5", ".5")
    assert _passes("v>\ufffd", "\U0001f600")
    assert _passes("v>\U0001f600", "\U0001f601")


def test_fields_are_the_same_whatever_their_case() -> None:
    for name in ("ss", "SS", "\xdf", "\u1e9e"):
        test = parse_metadata_test(f"{name}=a")
        assert isinstance(test, MetadataTest)
        assert test.field == "ss"


@pytest.mark.parametrize("name", ["", "-x", "_x", "f/o", "foo:bar", "a b"])
def test_names_that_no_field_has(name: str) -> None:
    assert parse_metadata_test(f"{name}=1") == BadField(name)
    assert parse_metadata_test(name) == BadField(name)


def test_a_glob_that_cannot_be_compiled_is_told_apart() -> None:
    assert parse_metadata_test("f=a[") == BadGlob("a[")
    assert isinstance(parse_metadata_test("f>a["), MetadataTest)
