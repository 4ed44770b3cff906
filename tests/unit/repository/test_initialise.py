"""Initialising: what it leaves, and that a crash anywhere is taken up (spec 02 §14.3)."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from annexshell.errors import Unsupported
from annexshell.logs.mapped import Trust
from annexshell.model.ids import UUID, looks_like_uuid
from annexshell.repository import configfile, identity, probing
from annexshell.repository import initialise as module
from annexshell.repository.branch import Branch
from annexshell.repository.errors import InitializationFailed, InitializationRefused
from annexshell.repository.firstlogs import FirstLogs
from annexshell.repository.initialise import describe, initialise
from annexshell.repository.open import Repository, open_repository
from tests.support.shell import git, write_identity
from tests.support.world import write_program

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


STEPS = [
    *((FirstLogs, name) for name in ("_say", "_tunes", "_record_tunes", "_introduce")),
    *((module, name) for name in ("_make_sentinal", "install", "amend_config")),
]


@pytest.mark.thorough
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("owner", "step"), STEPS, ids=lambda v: str(v)[-25:])
def test_a_crash_is_taken_up_with_the_same_uuid(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    step: str,
    after: bool,
) -> None:
    make(tmp_path / "origin", "--bare")
    path = tmp_path / "r"
    git("clone", "-q", "--bare", "--shared", tmp_path / "origin", path)
    git("-C", path, "config", "annex.tune.objecthash1", "true")
    git("-C", path, "config", "annex.initgroups", "b  a")
    real = getattr(owner, step)

    def killed(*arguments: object) -> None:
        if after:
            real(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, killed)
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
    branch = Branch(repository)
    assert list(branch.descriptions()) == [chosen]
    assert branch.read(b"group.log").startswith(chosen + b" a b timestamp=")
    tuned = branch.read(b"difference.log")
    assert tuned.startswith(chosen + b" fromList [OneLevelObjectHash] timestamp=")
    # Its objects are another's, whatever the first attempt has made of it.
    assert branch.trust() == {chosen: Trust.UNTRUSTED}
    assert repository.config.get("annex.hardlink") == "true"


def test_a_pending_file_that_is_damaged_is_not_believed(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    (path / "annex").mkdir()
    (path / "annex" / "annexshell-init").write_bytes(b"0123\n[evil]\n")
    assert looks_like_uuid(initialise(opened(path), DESCRIPTION).uuid)


def test_the_operators_command_can_prevent_it(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    git("-C", path, "config", "annex.pre-init-command", "pwd > asked; false")
    with pytest.raises(InitializationRefused, match="pwd > asked"):
        initialise(opened(path), DESCRIPTION)
    assert (path / "asked").read_text() == f"{path.resolve()}\n"
    assert not opened(path).uuid
    # The script takes the command's place.
    write_program(path / "hooks/pre-init-annex", "exit 0")
    assert initialise(opened(path), DESCRIPTION).uuid


def test_a_command_that_may_not_run_prevents_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "r", "--bare")
    git("-C", path, "config", "annex.pre-init-command", "touch ran")
    monkeypatch.setattr(identity, "may_run_programs_of", lambda path: False)
    with pytest.raises(InitializationRefused):
        initialise(opened(path), DESCRIPTION)
    assert not (path / "ran").exists()


def test_a_pid_lock_is_taken_and_given_back(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    git("-C", path, "config", "annex.pidlock", "true")
    assert looks_like_uuid(initialise(opened(path), DESCRIPTION).uuid)
    assert not (path / "annex" / "pidlock").exists()


def test_a_private_repository_is_described_in_private_alone(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    git("-C", path, "config", "annex.private", "true")
    git("-C", path, "config", "annex.initwanted", "standard")
    repository = initialise(opened(path), DESCRIPTION)
    Branch(repository).settle()
    assert git("-C", path, "ls-tree", "-r", "git-annex") == ""
    assert Branch(repository).descriptions() == {repository.uuid: DESCRIPTION}
    names = sorted(os.listdir(path / "annex/journal-private"))
    assert names == ["preferred-content.log", "uuid.log"]


def test_what_the_config_wants_is_said_on_the_branch(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    for name, value in (
        ("wanted", "include=*.x  or  (present)"),
        ("required", "standard"),
        ("groups", "  b a   b "),
    ):
        git("-C", path, "config", f"annex.init{name}", value)
    repository = initialise(opened(path), DESCRIPTION, clock=b"7s")
    branch, stamp = Branch(repository), b" timestamp=7s\n"
    wanted = branch.read(b"preferred-content.log")
    assert wanted == repository.uuid + b" include=*.x  or  (present)" + stamp
    required = branch.read(b"required-content.log")
    assert required == repository.uuid + b" standard" + stamp
    assert branch.read(b"group.log") == repository.uuid + b" a b" + stamp


CRIPPLED = probing.Abilities(
    locks=True, fifos=False, symlinks=False, write_protection=True
)


def test_a_crippled_file_system_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "probe", lambda path: CRIPPLED)
    path = make(tmp_path / "r", "--bare")
    config = initialise(opened(path), DESCRIPTION).config
    assert config.get("annex.crippledfilesystem") == "true"
    assert config.get("core.symlinks") == "false"
    assert config.get("annex.sshcaching") == "false"
    with pytest.raises(Unsupported, match="crippled"):
        initialise(opened(make(tmp_path / "w")), DESCRIPTION)


def test_a_file_system_without_locks_gets_a_pid_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.fcntl

    def lockless(fd: int, command: int, argument: Any = 0) -> Any:
        here = os.readlink(f"/proc/self/fd/{fd}").startswith(str(tmp_path))
        if here and command == fcntl.F_OFD_SETLK:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        return real(fd, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", lockless)
    path = make(tmp_path / "r", "--bare")
    config = initialise(opened(path), DESCRIPTION).config
    assert config.get("annex.pidlock") == "true"
    assert not (path / "annex/pidlock").exists()


def test_what_a_sound_file_system_gets_set(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    before = git("-C", path, "config", "--list", "--local").splitlines()
    initialise(opened(path), DESCRIPTION)
    after = git("-C", path, "config", "--list", "--local").splitlines()
    new = [line.partition("=")[0] for line in after if line not in before]
    assert new == ["annex.uuid", "annex.version"]


def test_shared_settings_of_the_branch_are_taken_over(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    branch = Branch(opened(path))
    branch.create()
    line = b"1s annex.securehashesonly true\n"
    branch.change(b"config.log", opened(path).uuid, lambda old: line)
    repository = initialise(opened(path), DESCRIPTION)
    assert repository.config.get("annex.securehashesonly") == "true"


OTHER = b"00000000-1111-4222-8333-444444444444"


def listing(path: Path, log: bytes, value: bytes) -> None:
    """Another repository's line in a log of the branch."""
    branch = Branch(opened(path))
    branch.create()
    line = b"%b %b timestamp=1s\n" % (OTHER, value)
    branch.change(log, UUID(OTHER), lambda old: line)


def test_a_clone_of_a_tuned_repository_is_tuned(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    value = b"fromList [ObjectHashLower,OneLevelBranchHash]"
    listing(path, b"difference.log", value)
    repository = initialise(opened(path), DESCRIPTION, clock=b"7s")
    config = repository.config
    assert [*config.names("annex.tune.")] == [
        "annex.tune.branchhash1",
        "annex.tune.objecthashlower",
    ]
    assert config.boolean("annex.tune.objecthashlower", False)
    log = Branch(repository).read(b"difference.log")
    assert repository.uuid + b" " + value + b" timestamp=7s\n" in log


@pytest.mark.parametrize("value", [b"fromList [Simulation]", b"fromList [New]", b"x"])
def test_a_tuning_that_is_not_known_is_left_to_the_operator(
    tmp_path: Path, value: bytes
) -> None:
    path = make(tmp_path / "r", "--bare")
    listing(path, b"difference.log", value)
    with pytest.raises(Unsupported, match="tuning"):
        initialise(opened(path), DESCRIPTION)
    assert not opened(path).uuid


def test_a_clone_cannot_be_tuned_otherwise(tmp_path: Path) -> None:
    path = make(tmp_path / "r", "--bare")
    listing(path, b"uuid.log", b"the first one")
    git("-C", path, "config", "annex.tune.objecthash1", "true")
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
