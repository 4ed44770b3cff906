"""kill -9 before every single change to the disk, with an unlocked file (spec 02 §13)."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.repository.content import Content
from annexshell.repository.open import Repository
from annexshell.repository.pointers import pointer_text
from tests.support.content import (
    HELLO,
    drop,
    make_repository,
    put,
    reopened,
    sha256_key,
)
from tests.support.faults import every_death
from tests.support.unlocked import add_unlocked

KEY = sha256_key(HELLO)
POINTER = pointer_text(KEY)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "r", bare=False, annex_diskreserve="0")


def test_death_leaves_every_file_whole(repository: Repository) -> None:
    path = add_unlocked(repository, "f", KEY)
    for _ in every_death(lambda: put(Content(repository), KEY, HELLO)):
        assert path.read_bytes() in (POINTER, HELLO)
        assert put_again(repository)
        assert drop(reopened(repository), KEY)
        path.write_bytes(POINTER)
    for _ in every_death(lambda: drop(Content(repository), KEY)):
        assert path.read_bytes() in (POINTER, HELLO)
        path.write_bytes(POINTER)
        assert put_again(repository)
        path.write_bytes(HELLO)


def put_again(repository: Repository) -> bool:
    content = reopened(repository)
    return content.present(KEY) or put(content, KEY, HELLO)
