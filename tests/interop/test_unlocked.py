"""Unlocked files: what we fill and empty, git-annex takes for its own (spec 02 §13)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from annexshell.model.key import Key
from annexshell.repository.content import Content
from annexshell.repository.open import open_repository
from tests.support.client import Client, Repo
from tests.support.content import mode_of
from tests.support.content import put as put_content
from tests.support.sshserver import SshServer
from tests.support.unlocked import restage_log, rows, work_path
from tests.support.world import World

HELLO = b"hello\n"


@pytest.fixture
def origin(world: World, current: Client, place: Path) -> Repo:
    """A repository with one content under an unlocked, an executable and a locked name."""
    repo = Repo.create(world, current, place / "origin")
    key = repo.add("d/locked", HELLO)
    for name in ("unlocked", "exec"):
        shutil.copy(repo.path / "d/locked", repo.path / name)
        repo.annex("add", "--quiet", name)
        repo.annex("unlock", "--quiet", name)
    os.chmod(repo.path / "exec", 0o755)
    repo.git("add", "exec")
    repo.git("commit", "--quiet", "-m", "unlocked")
    assert {repo.key(n) for n in ("d/locked", "unlocked", "exec")} == {key}
    return repo


def pointer(key: str) -> bytes:
    return f"/annex/objects/{key}\n".encode()


def look(repo: Repo) -> None:
    """Have git-annex bring its list of files up to date."""
    repo.annex("fsck", "--fast", "--quiet")


def is_clean(repo: Repo) -> bool:
    """After restaging, as any later git-annex does it, git sees no change."""
    repo.annex("restage")
    return repo.git("status", "--porcelain").out == ""


@pytest.fixture(params=["false", "true"], ids=["copied", "thin"])
def served(
    request: pytest.FixtureRequest, origin: Repo, place: Path
) -> tuple[Repo, str]:
    """A clone without the content, that git-annex has not looked at since its making."""
    repo = origin.clone(str(origin.path), place / "served")
    repo.git("config", "annex.thin", request.param)
    assert (repo.path / "unlocked").read_bytes() == pointer(origin.key("unlocked"))
    return repo, origin.key("unlocked")


def check_filled(repo: Repo, key: str) -> None:
    thin = repo.git("config", "annex.thin").out == "true\n"
    for name, mode in (("unlocked", 0o644), ("exec", 0o755)):
        assert (repo.path / name).read_bytes() == HELLO
        assert mode_of(repo.path / name) == mode
    assert (repo.path / "d/locked").read_bytes() == HELLO
    linked = [(repo.path / n).samefile(repo.object(key)) for n in ("unlocked", "exec")]
    assert any(linked) is thin
    recorded = rows(open_repository(str(repo.path)))
    # git-annex's own row for a linked object is the linked file's.
    assert len(recorded) == (2 if thin else 3)


def check_emptied(repo: Repo, key: str) -> None:
    for name, mode in (("unlocked", 0o644), ("exec", 0o755)):
        assert (repo.path / name).read_bytes() == pointer(key)
        assert mode_of(repo.path / name) == mode
    assert rows(open_repository(str(repo.path))) == []


@pytest.mark.parametrize("looked", [False, True], ids=["fresh", "known"])
def test_files_follow_what_a_client_copies_and_drops(
    origin: Repo, served: tuple[Repo, str], openssh: SshServer, looked: bool
) -> None:
    repo, key = served
    if looked:
        look(repo)
        assert rows(open_repository(str(repo.path)), "associated")
    origin.git("remote", "add", "ours", openssh.url("ours", repo.path))
    origin.annex("copy", "--to=ours", "unlocked")
    check_filled(repo, key)
    assert is_clean(repo)
    repo.fsck()
    repo.annex("fsck")
    origin.annex("drop", "--from=ours", "unlocked")
    check_emptied(repo, key)
    assert is_clean(repo)
    repo.annex("fsck", "--fast")
    assert not repo.has(key)
    # All of it again, with what git-annex has written down meanwhile.
    origin.annex("copy", "--to=ours", "unlocked")
    check_filled(repo, key)
    assert is_clean(repo)


def test_git_annex_takes_what_we_filled_for_the_content(
    origin: Repo, served: tuple[Repo, str], openssh: SshServer
) -> None:
    """Without our records git-annex would make a new key of a file with a WORM key."""
    repo, key = served
    origin.git("remote", "add", "ours", openssh.url("ours", repo.path))
    origin.annex("copy", "--to=ours", "unlocked")
    repo.annex("drop", "--force", "unlocked")
    check_emptied(repo, key)
    repo.annex("get", "unlocked")
    origin.annex("drop", "--from=ours", "unlocked")
    check_emptied(repo, key)


def test_a_key_without_digest_keeps_its_name(
    world: World, current: Client, place: Path, openssh: SshServer
) -> None:
    origin = Repo.create(world, current, place / "origin")
    origin.git("config", "annex.backend", "WORM")
    key = origin.add("f", HELLO)
    origin.annex("unlock", "f")
    origin.git("commit", "--quiet", "-m", "unlock")
    repo = origin.clone(str(origin.path), place / "served")
    origin.git("remote", "add", "ours", openssh.url("ours", repo.path))
    origin.annex("copy", "--to=ours", "f")
    assert (repo.path / "f").read_bytes() == HELLO
    assert is_clean(repo)
    assert repo.key("f") == key
    origin.annex("drop", "--from=ours", "f")
    assert (repo.path / "f").read_bytes() == pointer(key)
    assert is_clean(repo)


@pytest.mark.parametrize("edit", [b"edits\n", b"a longer edit\n"])
def test_an_edit_stays_when_a_client_drops(
    origin: Repo, served: tuple[Repo, str], openssh: SshServer, edit: bytes
) -> None:
    repo, key = served
    thin = repo.git("config", "annex.thin").out == "true\n"
    origin.git("remote", "add", "ours", openssh.url("ours", repo.path))
    origin.annex("copy", "--to=ours", "unlocked")
    (repo.path / "unlocked").write_bytes(edit)
    origin.annex("drop", "--from=ours", "unlocked")
    assert (repo.path / "unlocked").read_bytes() == edit
    if not thin:
        assert (repo.path / "exec").read_bytes() == pointer(key)
    repo.annex("restage")
    changed = repo.git("status", "--porcelain").out
    assert " M unlocked\n" in changed


def test_files_added_and_moved_since_git_annex_ran_are_known(
    origin: Repo, served: tuple[Repo, str]
) -> None:
    """Our list of files is the one that git-annex has after its next run."""
    repo, key = served
    look(repo)
    repo.git("mv", "unlocked", "moved")
    content = Content(open_repository(str(repo.path)))
    assert put_content(content, Key.parse(key.encode()), HELLO)
    assert (repo.path / "moved").read_bytes() == HELLO
    assert not (repo.path / "unlocked").exists()
    opened = open_repository(str(repo.path))
    assert ":moved\n" in restage_log(opened)
    repo.annex("setpresentkey", key, repo.uuid, "1")
    repo.annex("restage")
    assert repo.git("status", "--porcelain").out == "R  unlocked -> moved\n"


def test_a_database_that_we_made_is_git_annexs_too(
    served: tuple[Repo, str],
) -> None:
    repo, key = served
    opened = open_repository(str(repo.path))
    assert not Path(opened.annex_dir, "keysdb").exists()
    assert put_content(Content(opened), Key.parse(key.encode()), HELLO)
    assert rows(opened, "associated") == []
    look(repo)
    files = {file for _, file in rows(opened, "associated")}
    assert files == {b"unlocked", b"exec", b"d/locked"}
    assert work_path(opened, "unlocked").read_bytes() == HELLO
