"""Initialising: what it leaves, and that a crash anywhere is taken up (spec 02 §14.3)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from annexshell.errors import InitializationFailed, Unsupported
from annexshell.model.ids import looks_like_uuid
from annexshell.repository import configfile
from annexshell.repository import initialise as module
from annexshell.repository.branch import Branch
from annexshell.repository.initialise import describe, initialise
from annexshell.repository.open import Repository, open_repository
from tests.support.shell import git, write_identity

DESCRIPTION = b"tester@host:~/r"


class Killed(BaseException):
    """Stands for the end of the process; no handler of ours may catch it."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    write_identity(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    yield


def opened(path: Path) -> Repository:
    return open_repository(str(path.resolve()))


def make(path: Path, *options: str) -> Path:
    git("init", "-q", *options, path)
    return path


def test_a_bare_repository(tmp_path: Path) -> None:
    path = make(tmp_path / "r.git", "--bare")
    hooks = sorted(os.listdir(path / "hooks"))
    repository = initialise(opened(path), DESCRIPTION, clock=b"7s")
    assert looks_like_uuid(repository.uuid)
    assert repository.config.get("annex.version") == "10"
    assert sorted(os.listdir(path / "hooks")) == hooks
    assert repository.config.get("filter.annex.smudge") is None
    log = Branch(repository).read(b"uuid.log")
    assert log == repository.uuid + b" " + DESCRIPTION + b" timestamp=7s\n"
    assert git("-C", path, "rev-parse", "--verify", "git-annex")
    sentinal = (path / "annex" / "sentinal").stat()
    seconds, fraction = divmod(sentinal.st_mtime_ns, 10**9)
    cache = (path / "annex" / "sentinal.cache").read_text()
    assert cache == f"{sentinal.st_ino} 0 {seconds} {fraction}"


def test_filters_and_hooks_only_with_git_annex(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = make(tmp_path / "without")
    initialise(opened(without), DESCRIPTION)
    assert opened(without).config.get("filter.annex.smudge") is None
    assert not (without / ".git" / "hooks" / "post-receive").exists()

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    path = make(tmp_path / "with")
    own = path / ".git" / "hooks" / "pre-commit"
    own.write_text("#!/bin/sh\n")
    (path / ".git" / "info" / "attributes").write_text("*.x text")
    initialise(opened(path), DESCRIPTION)
    config = opened(path).config
    assert config.get("filter.annex.smudge") == "git-annex smudge -- %f"
    assert config.get("filter.annex.clean") == "git-annex smudge --clean -- %f"
    assert config.get("filter.annex.process") == "git-annex filter-process"
    assert own.read_text() == "#!/bin/sh\n"
    assert os.access(path / ".git" / "hooks" / "post-receive", os.X_OK)
    attributes = (path / ".git" / "info" / "attributes").read_text()
    assert attributes == "*.x text\n* filter=annex\n"


def test_an_initialised_repository_keeps_its_uuid(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    early = opened(path)
    first = initialise(early, DESCRIPTION)
    # As the second of two at once: it was opened before the first had finished.
    assert initialise(early, DESCRIPTION).uuid == first.uuid


def test_git_annex_in_between_is_not_overruled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "r", "--bare")
    theirs = "00000000-1111-4222-8333-444444444444"

    def amend(config: str, addition: Callable[[], bytes | None]) -> bool:
        git("-C", path, "config", "annex.uuid", theirs)
        return real(config, addition)

    real = configfile.amend_config
    monkeypatch.setattr(module, "amend_config", amend)
    assert initialise(opened(path), DESCRIPTION).uuid == theirs.encode()
    assert git("-C", path, "config", "--get-all", "annex.uuid").split() == [theirs]


STEPS = ["_check_untuned", "_describe_on", "_make_sentinal", "amend_config"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_is_taken_up_with_the_same_uuid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    path = make(tmp_path / "r", "--bare")
    real = getattr(module, step)

    def killed(*arguments: object) -> None:
        if after:
            real(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, step, killed)
        with pytest.raises(Killed):
            initialise(opened(path), DESCRIPTION)
    halfway = opened(path)
    chosen = (path / "annex" / "annexshell-init").read_bytes().strip()
    done = after and step == "amend_config"
    assert halfway.uuid == (chosen if done else b"")
    assert (halfway.config.get("annex.version") is not None) == done
    assert not (path / "annex" / "objects").exists()

    repository = initialise(halfway, DESCRIPTION)
    assert repository.uuid == chosen
    assert list(Branch(repository).descriptions()) == [chosen]


def test_a_pending_file_that_is_damaged_is_not_believed(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    (path / "annex").mkdir()
    (path / "annex" / "annexshell-init").write_bytes(b"0123\n[evil]\n")
    assert looks_like_uuid(initialise(opened(path), DESCRIPTION).uuid)


def test_what_needs_the_operator_is_left_to_them(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    git("-C", path, "config", "annex.pre-init-command", "true")
    with pytest.raises(Unsupported):
        initialise(opened(path), DESCRIPTION)
    assert not opened(path).uuid
    assert not (path / "annex").exists()


def test_a_pid_lock_is_taken_and_given_back(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    git("-C", path, "config", "annex.pidlock", "true")
    assert looks_like_uuid(initialise(opened(path), DESCRIPTION).uuid)
    assert not (path / "annex" / "pidlock").exists()


def test_a_private_repository_is_described_nowhere(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    git("-C", path, "config", "annex.private", "true")
    repository = initialise(opened(path), DESCRIPTION)
    assert Branch(repository).descriptions() == {}


def test_shared_settings_of_the_branch_are_taken_over(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    branch = Branch(opened(path))
    branch.create()
    line = b"1s annex.securehashesonly true\n"
    branch.change(b"config.log", opened(path).uuid, lambda old: line)
    repository = initialise(opened(path), DESCRIPTION)
    assert repository.config.get("annex.securehashesonly") == "true"


def test_a_clone_of_a_tuned_repository_is_left_to_the_operator(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    branch = Branch(opened(path))
    branch.create()
    line = b"00000000-1111-4222-8333-444444444444 fromList [ObjectHashLower] timestamp=1s\n"
    branch.change(b"difference.log", opened(path).uuid, lambda old: line)
    with pytest.raises(Unsupported, match="tune"):
        initialise(opened(path), DESCRIPTION)


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    (path / "annex").write_text("in the way")
    with pytest.raises(InitializationFailed, match="annex"):
        initialise(opened(path), DESCRIPTION)


def test_shared_repositories_stay_shared(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare", "--shared=group")
    initialise(opened(path), DESCRIPTION)
    for name in ("sentinal", "sentinal.cache", "annexshell-init.lck"):
        assert (path / "annex" / name).stat().st_mode & 0o060 == 0o060


@pytest.mark.parametrize(
    ("path", "home", "shown"),
    [
        ("/home/u/r", "/home/u", b":~/r"),
        ("/home/u", "/home/u", b":~"),
        ("/home/u2/r", "/home/u", b":/home/u2/r"),
        ("/srv/a\nb", "/home/u", b":/srv/a\\nb"),
    ],
)
def test_descriptions(path: str, home: str, shown: bytes) -> None:
    text = describe(path, home)
    assert text.endswith(shown)
    assert os.uname().nodename.encode() in text
