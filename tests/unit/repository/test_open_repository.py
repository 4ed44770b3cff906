"""Every way a directory argument can name a repository (spec 01 §1.3, 02 §4.1 to §4.3)."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from annexshell.errors import (
    ConfigUnreadable,
    NoSuchRepository,
    NotARepository,
)
from annexshell.repository import open as opening
from annexshell.repository.open import (
    Repository,
    expand,
    find_git_dir,
    locate,
    open_repository,
    resolve,
)
from annexshell.repository.paths import AnnexPaths
from tests.support.shell import UUID_HERE, git, make_annex


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def found(path: Path) -> Repository:
    return open_repository(locate(str(path), "/nonexistent"))


def commit(repository: Path) -> None:
    git("-C", repository, "commit", "-q", "--allow-empty", "-m", "first")


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("/srv/r", "/srv/r"),
        ("r", "/home/u/r"),
        ("", "/home/u/"),
        ("~", "/home/u/"),
        ("~/r", "/home/u/r"),
        ("~//etc", "/home/u/etc"),
        ("/~/r", "/home/u/r"),
        ("/~", "/home/u/"),
        ("~nobody-of-this-name/r", "/home/u/~nobody-of-this-name/r"),
        ("../x", "/home/u/../x"),
    ],
)
def test_expand(argument: str, path: str) -> None:
    assert expand(argument, "/home/u") == path


@pytest.mark.parametrize("form", ["~{}/r", "/~{}/r"])
def test_another_users_home(form: str) -> None:
    user = pwd.getpwuid(os.getuid())
    expected = os.path.join(user.pw_dir, "r")
    assert expand(form.format(user.pw_name), "/home/u") == expected


def test_dot_git_stands_in_for_a_missing_directory(top: Path) -> None:
    make_annex(top / "r.git")
    assert resolve("r", str(top)) == str(top / "r.git")
    with pytest.raises(NoSuchRepository):
        resolve("r/", str(top))
    (top / "r").mkdir()
    assert resolve("r", str(top)) == str(top / "r")


@pytest.mark.parametrize("argument", ["none", "file", "r\0x"])
def test_what_is_no_directory_is_not_found(top: Path, argument: str) -> None:
    (top / "file").touch()
    with pytest.raises(NoSuchRepository):
        resolve(argument, str(top))


def test_a_bare_repository(top: Path) -> None:
    path = make_annex(top / "r.git")
    repository = found(path)
    assert repository.path == repository.git_dir == str(path)
    assert repository.annex_dir == str(path / "annex")
    assert repository.common_dir == str(path)
    assert repository.work_tree is None and repository.bare
    assert repository.uuid == UUID_HERE.encode()


@pytest.mark.parametrize("inside", ["", ".git"])
def test_a_repository_with_a_work_tree(top: Path, inside: str) -> None:
    path = make_annex(top / "r", bare=False)
    repository = found(path / inside)
    assert repository.path == repository.work_tree == str(path)
    assert repository.git_dir == str(path / ".git")
    assert not repository.bare


def test_a_bare_repository_without_core_bare(top: Path) -> None:
    path = make_annex(top / "r.git")
    git("-C", path, "config", "--unset", "core.bare")
    assert found(path).bare


def test_core_bare_counts_beside_a_git_directory(top: Path) -> None:
    path = make_annex(top / "r", bare=False)
    git("-C", path, "config", "core.bare", "true")
    repository = found(path)
    assert repository.bare
    assert repository.git_dir == str(path / ".git")


def test_symlinks_are_resolved_once(top: Path) -> None:
    path = make_annex(top / "r", bare=False)
    (top / "link").symlink_to("r")
    assert found(top / "link").path == str(path)


def test_a_subdirectory_is_no_repository(top: Path) -> None:
    path = make_annex(top / "r", bare=False)
    (path / "sub").mkdir()
    for inside in ("sub", ".git/objects", ".git/refs"):
        with pytest.raises(NotARepository):
            found(path / inside)


def test_a_symlink_put_in_place_after_the_check_is_not_followed(top: Path) -> None:
    for outside in (
        make_annex(top / "out" / "tree", bare=False),
        make_annex(top / "out" / "bare"),
    ):
        (top / "in").mkdir()
        (top / "in" / outside.name).mkdir()
        checked = locate(str(top / "in" / outside.name), "/nonexistent")
        (top / "in" / outside.name).rmdir()
        (top / "in").rmdir()
        (top / "in").symlink_to("out")
        with pytest.raises(NotARepository):
            open_repository(checked)
        (top / "in").unlink()


def test_a_plain_directory_is_no_repository(top: Path) -> None:
    with pytest.raises(NotARepository):
        found(top)


@pytest.mark.parametrize(
    "pointer", ["gitdir: nowhere\n", "nonsense\n", "", "gitdir: .\n"]
)
def test_a_git_file_that_leads_nowhere(top: Path, pointer: str) -> None:
    git("init", "-q", "--bare", top / "r")
    (top / "r" / ".git").write_text(pointer if pointer else "")
    if pointer == "gitdir: .\n":
        assert find_git_dir(str(top / "r")) == str(top / "r")
        return
    with pytest.raises(NotARepository):
        found(top / "r")


def test_a_separate_git_directory(top: Path) -> None:
    git("init", "-q", "--separate-git-dir", top / "store", top / "r")
    repository = found(top / "r")
    assert repository.git_dir == str(top / "store")
    assert repository.work_tree == str(top / "r")
    assert repository.annex_dir == str(top / "store" / "annex")
    # Nothing leads from there to its work tree, but objects are where it has them.
    repository = found(top / "store")
    assert repository.work_tree is None and not repository.bare
    assert AnnexPaths.of(repository).schemes == ("mixed", "lower")


@pytest.mark.parametrize("linked", [False, True])
def test_whoever_points_to_a_repository_could_write_to_it(
    top: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    """Else relative paths of its config, also of programs, would begin at a stranger's."""
    make_annex(top / "r", bare=False)
    (top / "elsewhere").mkdir()
    pointer = top / "elsewhere" / ".git"
    if linked:
        pointer.symlink_to(top / "r/.git")
    else:
        pointer.write_text(f"gitdir: {top}/r/.git\n")
    assert found(top / "elsewhere").git_dir == str(top / "r/.git")
    us, stranger = os.geteuid(), os.geteuid() + 12345
    owners = {str(pointer): stranger, str(top / "r/.git"): us}
    monkeypatch.setattr(opening, "_owner_of", lambda path: owners[path])
    with pytest.raises(NotARepository):
        found(top / "elsewhere")
    owners[str(top / "r/.git")] = stranger
    assert found(top / "elsewhere").git_dir == str(top / "r/.git")


def test_core_worktree_leads_to_the_work_tree(top: Path) -> None:
    path = make_annex(top / "r", bare=False)
    (top / "elsewhere").mkdir()
    git("-C", path, "config", "core.worktree", "../../elsewhere")
    assert found(path).work_tree == str(top / "elsewhere")


def test_a_linked_worktree_shares_the_annex(top: Path) -> None:
    main = make_annex(top / "main", bare=False)
    commit(main)
    git("-C", main, "worktree", "add", "-q", top / "linked")
    repository = found(top / "linked")
    assert repository.git_dir == str(main / ".git" / "worktrees" / "linked")
    assert repository.annex_dir == str(main / ".git" / "annex")
    assert repository.common_dir == str(main / ".git")
    assert repository.work_tree == str(top / "linked")
    assert repository.uuid == UUID_HERE.encode()
    assert found(Path(repository.git_dir)).work_tree == str(top / "linked")


def test_a_linked_worktree_that_git_annex_converted(top: Path) -> None:
    main = make_annex(top / "main", bare=False)
    commit(main)
    git("-C", main, "worktree", "add", "-q", top / "linked")
    (top / "linked" / ".git").unlink()
    (top / "linked" / ".git").symlink_to("../main/.git/worktrees/linked")
    (main / ".git" / "worktrees" / "linked" / "annex").symlink_to("../../annex")
    repository = found(top / "linked")
    assert repository.annex_dir == str(main / ".git" / "annex")
    assert repository.work_tree == str(top / "linked")


def test_a_linked_worktree_of_a_bare_repository_is_not_bare(top: Path) -> None:
    make_annex(top / "main", bare=False)
    commit(top / "main")
    git("clone", "-q", "--bare", top / "main", top / "r.git")
    git("-C", top / "r.git", "worktree", "add", "-q", top / "linked")
    assert found(top / "r.git").bare
    assert found(top / "linked").work_tree == str(top / "linked")


def test_a_submodule(top: Path) -> None:
    make_annex(top / "part", bare=False)
    commit(top / "part")
    git("init", "-q", top / "whole")
    add = ["submodule", "add", "-q", str(top / "part"), "part"]
    git("-c", "protocol.file.allow=always", "-C", top / "whole", *add)
    repository = found(top / "whole" / "part")
    git_dir = top / "whole" / ".git" / "modules" / "part"
    assert repository.git_dir == repository.common_dir == str(git_dir)
    assert repository.work_tree == str(top / "whole" / "part")
    assert found(git_dir).work_tree == str(top / "whole" / "part")


def test_a_submodule_that_git_annex_converted(top: Path) -> None:
    path = make_annex(top / "modules" / "part", bare=False)
    (top / "part").mkdir()
    (top / "part" / ".git").symlink_to("../modules/part/.git")
    repository = found(top / "part")
    assert repository.git_dir == str(path / ".git")
    assert repository.work_tree == str(top / "part")


@pytest.mark.parametrize(
    "variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_CONFIG_GLOBAL"]
)
def test_the_environment_cannot_name_another_repository(
    top: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_annex(top / "other.git", uuid="00000000-0000-4000-8000-000000000000")
    path = make_annex(top / "r.git")
    value = other / "config" if variable == "GIT_CONFIG_GLOBAL" else other
    monkeypatch.setenv(variable, str(value))
    repository = found(path)
    assert repository.uuid == UUID_HERE.encode()
    assert repository.git_dir == str(path)


def test_config_of_the_environment_does_not_count(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_annex(top / "r.git")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "annex.version")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "5")
    assert found(path).config.get("annex.version") == "10"


def test_a_repository_of_another_owner_is_served(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_annex(top / "r.git")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert found(path).uuid == UUID_HERE.encode()


def test_config_that_git_cannot_read_is_told_in_gits_words(top: Path) -> None:
    path = make_annex(top / "r.git")
    (path / "config").write_text("[broken\n")
    with pytest.raises(ConfigUnreadable, match="bad config line 1"):
        found(path)


def test_a_format_that_git_does_not_know_is_told_in_gits_words(top: Path) -> None:
    """As refs in reftables are to a git older than those."""
    path = make_annex(top / "r")
    git("-C", path, "config", "core.repositoryformatversion", "1")
    with (path / "config").open("a") as text:
        text.write("[extensions]\n\tunheardof = true\n")
    with pytest.raises(ConfigUnreadable, match="unheardof"):
        found(path)


def test_reread_sees_the_config_as_it_is_now(top: Path) -> None:
    path = make_annex(top / "r.git")
    repository = found(path)
    git("-C", path, "config", "annex.version", "9")
    assert repository.config.get("annex.version") == "10"
    assert repository.reread().config.get("annex.version") == "9"


def test_a_path_that_is_no_text(top: Path) -> None:
    name = os.fsdecode(b"caf\xc3\xa9\xff\n")
    make_annex(top / name)
    assert found(top / name).path == str(top / name)
