"""gcryptsetup while somebody else decides what the repository is to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.cli import gcrypt
from annexshell.cli.commandline import Parameters
from annexshell.cli.commands import Invocation
from annexshell.cli.environment import Surroundings
from annexshell.cli.errors import GcryptHasUUID, GcryptMismatch
from annexshell.repository.filelock import FileLock
from annexshell.repository.initialise import identity_lock
from annexshell.repository.open import Repository
from tests.support.shell import git


@pytest.mark.parametrize(
    ("name", "refusal"),
    [("core.gcrypt-id", GcryptMismatch), ("annex.uuid", GcryptHasUUID)],
)
def test_what_others_set_while_the_lock_was_waited_for_counts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    refusal: type[Exception],
) -> None:
    path = tmp_path.resolve() / "g.git"
    git("init", "-q", "--bare", path)

    def others_first(repository: Repository) -> FileLock:
        git("-C", path, "config", name, "theirs")
        return identity_lock(repository)

    monkeypatch.setattr(gcrypt, "identity_lock", others_first)
    words = Parameters(positional=(":id:ours",))
    call = Invocation("gcryptsetup", str(path), words, Surroundings(str(tmp_path)))
    with pytest.raises(refusal):
        gcrypt.gcryptsetup(call)
    assert git("-C", path, "config", name) == "theirs\n"
    assert "denynonfastforwards" not in git("-C", path, "config", "--list")
