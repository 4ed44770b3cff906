"""What we refuse to serve because its locks would be guessed (spec 02 §6, §14)."""

from __future__ import annotations

import pytest

from annexshell.errors import (
    GcryptNotP2P,
    NotAnAnnex,
    ShellError,
    UnsupportedVersion,
)
from annexshell.repository.config import GitConfig
from annexshell.repository.open import Repository
from annexshell.repository.supported import gcrypt_uuid, require_served

UUID = ("annex.uuid", "478e8457-0c54-4973-abb1-b4f362fe6023")


def repository(*items: tuple[str, str]) -> Repository:
    return Repository("/r", "/r", "/r/annex", None, GitConfig(list(items)))


@pytest.mark.parametrize("version", ["8", "9", "10"])
def test_known_versions_are_served(version: str) -> None:
    require_served(repository(UUID, ("annex.version", version)))


@pytest.mark.parametrize("version", ["", "7", "11", "x", "010", "10 "])
def test_other_versions_are_refused(version: str) -> None:
    with pytest.raises(UnsupportedVersion):
        require_served(repository(UUID, ("annex.version", version)))
    with pytest.raises(UnsupportedVersion):
        require_served(repository(UUID))


@pytest.mark.parametrize(
    ("items", "refusal"),
    [
        ([], NotAnAnnex),
        ([("annex.version", "10")], NotAnAnnex),
        ([("annex.uuid", ""), ("annex.version", "10")], NotAnAnnex),
        ([("core.gcrypt-id", ":id:x")], GcryptNotP2P),
    ],
)
def test_what_is_no_annex_of_ours(
    items: list[tuple[str, str]], refusal: type[ShellError]
) -> None:
    with pytest.raises(refusal):
        require_served(repository(*items))


def test_a_gcrypt_repository_is_served_to_commands_that_know_it() -> None:
    gcrypt = ("core.gcrypt-id", ":id:x")
    require_served(repository(gcrypt), gcrypt=True)
    require_served(repository(gcrypt, ("annex.pidlock", "true")), gcrypt=True)
    with pytest.raises(NotAnAnnex):
        require_served(repository(("core.gcrypt-id", "")), gcrypt=True)
    with pytest.raises(UnsupportedVersion):
        require_served(repository(gcrypt, UUID), gcrypt=True)


@pytest.mark.parametrize(
    ("gcrypt_id", "uuid"),
    [
        (":id:abc", b"5e90acef-43a8-5c70-b3cf-bee689c12e2f"),
        (":id:abcdef", b"39d0c840-d914-55c6-9969-739920770697"),
    ],
)
def test_the_uuid_of_a_gcrypt_repository(gcrypt_id: str, uuid: bytes) -> None:
    assert gcrypt_uuid(repository(("core.gcrypt-id", gcrypt_id))) == uuid
    assert gcrypt_uuid(repository()) is None
