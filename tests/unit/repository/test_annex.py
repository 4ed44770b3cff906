"""Which repositories content is handled in, and changes of their config meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.errors import StorageFailed, UnsupportedVersion
from annexshell.model.payload import Validity
from annexshell.repository.content import Content
from annexshell.repository.filelock import Locks
from annexshell.repository.pidlock import PidLocks
from tests.support.content import (
    HELLO,
    Log,
    begin,
    git,
    make_repository,
    put,
    sha256_key,
    tmp_path_of,
)

KEY = sha256_key(HELLO)


@pytest.mark.parametrize("version", ["7", "11", "ten", ""])
def test_unknown_versions_are_refused(tmp_path: Path, version: str) -> None:
    repository = make_repository(tmp_path / "r", version=version)
    with pytest.raises(UnsupportedVersion):
        Content(repository)


def test_the_kind_of_locks_follows_the_config(tmp_path: Path) -> None:
    annex = Content(make_repository(tmp_path / "r")).annex
    assert type(annex.locks) is Locks
    git(tmp_path / "r", "config", "annex.pidlock", "true")
    assert isinstance(annex.refresh().locks, PidLocks)


def test_the_config_is_read_again_when_it_changed(tmp_path: Path) -> None:
    annex = Content(make_repository(tmp_path / "r")).annex
    before = annex.config
    assert annex.refresh().config is before
    git(tmp_path / "r", "config", "annex.securehashesonly", "true")
    assert annex.refresh().secure_only


@pytest.mark.parametrize("version", ["9", "10"])
def test_a_config_that_became_unusable_fails_one_request(
    tmp_path: Path, version: str
) -> None:
    repository = make_repository(tmp_path / "r", version=version)
    content = Content(repository)
    put(content, sha256_key(b"other"), b"other")
    with begin(content, KEY) as intake:
        intake.write(HELLO)
        git(tmp_path / "r", "config", "annex.version", "11")
        with pytest.raises(StorageFailed, match="annex.version 11"):
            intake.finish(Validity.VALID, Log().present)
    assert tmp_path_of(repository, KEY).read_bytes() == HELLO
    if version == "9":
        # Where the locks are is not known any more.
        with pytest.raises(StorageFailed, match="annex.version 11"):
            content.lock_shared(sha256_key(b"other"))
