"""A key is not confined by a directory whose owner is somebody else (spec 01 §1.5).

Only root can make files of other users, so elsewhere the shell is told that it is another
user itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.repository.open import open_repository
from tests.support.content import (
    HELLO,
    make_repository,
    object_path,
    sha256_key,
    write_object,
)
from tests.support.shell import Done, environment, run_shell

pytestmark = pytest.mark.usefixtures("both_ways")

KEY = sha256_key(HELLO)
AS_ANOTHER = (
    "import os, sys; os.geteuid = lambda: 4242\n"
    "from annexshell.cli.shell import main; sys.exit(main())"
)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Our repository, and one whose objects are a link to those of ours."""
    top = tmp_path.resolve()
    write_object(make_repository(top / "ours"), KEY, HELLO)
    make_repository(top / "theirs")
    (top / "theirs/annex/objects").symlink_to(top / "ours/annex/objects")
    for path in [top / "theirs", *(top / "theirs").rglob("*")]:
        if os.geteuid() == 0:
            os.chown(path, 12345, 12345, follow_symlinks=False)
    return top


def ask(world: Path, command: str, **env: str) -> Done:
    start = None if os.geteuid() == 0 else AS_ANOTHER
    return run_shell("-c", command, env=environment(world, **env), start=start)


def confinements(directory: Path) -> list[dict[str, str]]:
    return [
        {"GIT_ANNEX_SHELL_DIRECTORY": str(directory)},
        {"ANNEXSHELL_DIRECTORY_BELOW": str(directory.parent)},
    ]


def drop(path: Path) -> str:
    return f"git-annex-shell 'dropkey' '{path}' '--force' '{KEY}'"


@pytest.mark.parametrize("which", [0, 1])
def test_links_in_it_lead_nowhere(world: Path, which: int) -> None:
    path = world / "theirs"
    done = ask(world, drop(path), **confinements(path)[which])
    assert done.returncode == 255
    assert b"another user's" in done.stderr
    assert object_path(open_repository(str(world / "ours")), KEY).exists()
    fetched = ask(world, f"git-upload-pack '{path}'", **confinements(path)[which])
    assert (fetched.returncode, fetched.stdout) == (255, b"")


def test_nor_does_its_git_file(world: Path) -> None:
    tree = world / "tree"
    tree.mkdir()
    (tree / ".git").write_text(f"gitdir: {world}/ours\n")
    if os.geteuid() == 0:
        os.chown(tree / ".git", 12345, 12345)
    done = ask(world, f"git-annex-shell 'configlist' '{tree}'", **confinements(tree)[0])
    assert (done.returncode, done.stdout) == (255, b"")


def test_what_is_called_safe_is(world: Path) -> None:
    path = world / "theirs"
    text = f"[safe]\n\tdirectory = {path}\n"
    (world / ".gitconfig").write_text(text)
    done = ask(world, f"git-annex-shell 'inannex' '{path}'", **confinements(path)[0])
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_confinement_it_is_served(world: Path) -> None:
    done = ask(world, f"git-annex-shell 'configlist' '{world}/theirs'")
    assert done.returncode == 0 and done.stdout.startswith(b"annex.uuid=")


def test_what_is_no_repository_is_told_as_ever(world: Path) -> None:
    (world / "empty").mkdir()
    path = world / "empty"
    done = ask(world, f"git-annex-shell 'configlist' '{path}'", **confinements(path)[0])
    assert done.stdout == b"annex.uuid=\ncore.gcrypt-id=\n"
