"""git-annex accepts what our autoinit makes, and a client of it does too."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.shell import environment, git, run_shell, write_identity

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("git-annex") is None, reason="no git-annex here"),
]


def annex(repository: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "annex", *words],
        cwd=repository,
        env=environment(repository.parent),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.mark.parametrize("bare", [True, False])
def test_git_annex_accepts_the_repository(tmp_path: Path, bare: bool) -> None:
    write_identity(tmp_path)
    path = tmp_path / "r"
    git("init", "-q", *(["--bare"] if bare else []), path)
    done = run_shell("configlist", "r", "--", "autoinit=1", env=environment(tmp_path))
    uuid = done.stdout.decode().splitlines()[0].removeprefix("annex.uuid=")
    info = json.loads(annex(path, "info", "--json", "--fast"))
    known = {r["uuid"]: r for r in info["semitrusted repositories"]}
    assert known[uuid]["here"]
    assert known[uuid]["description"].endswith(":~/r]") or known[uuid][
        "description"
    ].endswith(":~/r")
    config = git("-C", path, "config", "--list", "--local")
    annex(path, "fsck")
    annex(path, "init")
    assert git("-C", path, "config", "annex.uuid").strip() == uuid
    # Its own init has nothing to add to what matters.
    assert git("-C", path, "config", "--list", "--local") == config
    assert git("-C", path, "fsck", "--strict") == ""
    log = git("-C", path, "show", "git-annex:uuid.log")
    assert log.count("\n") == 1 and log.startswith(uuid)


def test_files_can_be_added_where_we_initialised(tmp_path: Path) -> None:
    write_identity(tmp_path)
    path = tmp_path / "r"
    git("init", "-q", path)
    run_shell("configlist", "r", "--", "autoinit=1", env=environment(tmp_path))
    (path / "file").write_text("content")
    annex(path, "add", "file")
    assert (path / "file").is_symlink()
    annex(path, "unlock", "file")
    # The filter is set up: git sees a pointer, not the content.
    assert git("-C", path, "show", ":file").startswith("/annex/objects/")
    annex(path, "fsck")
