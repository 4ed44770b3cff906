"""inannex and dropkey as a client starts them (spec 01 §1.8, spec 02 §11, §15)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.model.key import Key
from annexshell.repository.filelock import try_lock
from annexshell.repository.open import Repository
from annexshell.repository.paths import AnnexPaths, ObjectPlace
from tests.support.content import (
    HELLO,
    HERE,
    files_below,
    make_repository,
    sha256_key,
    write_object,
)
from tests.support.shell import Done, environment, git, run_shell, write_identity

ABSENT = sha256_key(b"absent")
OTHER = "00000000-1111-4222-8333-444444444444"
KEY = sha256_key(HELLO)


@pytest.fixture(params=["8", "10"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    write_identity(tmp_path)
    made = make_repository(tmp_path / "r.git", version=str(request.param))
    write_object(made, KEY, HELLO)
    return made


def shell(repository: Repository, command: str, *words: str | Key, **env: str) -> Done:
    home = Path(repository.path).parent
    arguments = [command, "r.git", *map(str, words)]
    return run_shell(*arguments, env=environment(home, **env))


def place_of(repository: Repository, key: Key = KEY) -> ObjectPlace:
    return AnnexPaths.of(repository).places(key)[0]


def journal(repository: Repository) -> list[bytes]:
    folder = Path(repository.annex_dir, "journal")
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path.read_bytes() for path in found if not path.name.startswith(".")]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 0),
        ((KEY,), 0),
        ((KEY, KEY, "--uuid", HERE), 0),
        ((ABSENT,), 1),
        ((KEY, ABSENT), 1),
        ((ABSENT, "bad"), 1),
        ((KEY, "bad"), 1),
        (("",), 1),
        ((KEY, "--uuid", OTHER), 1),
    ],
)
def test_inannex_tells_by_its_exit_code(
    repository: Repository, words: tuple[str | Key, ...], code: int
) -> None:
    done = shell(repository, "inannex", *words, GIT_ANNEX_SHELL_READONLY="1")
    assert (done.returncode, done.stdout) == (code, b""), done.stderr


def test_inannex_does_not_guess_while_content_is_being_removed(
    repository: Repository,
) -> None:
    place = place_of(repository)
    path = place.lock if repository.config.get("annex.version") == "10" else ""
    lock = try_lock(path or place.object, exclusive=True)
    assert lock is not None
    with lock:
        done = shell(repository, "inannex", KEY)
        assert done.returncode == 100 and b"locked for removal" in done.stderr
    assert shell(repository, "inannex", KEY).returncode == 0


def test_content_that_somebody_relies_on_is_present(repository: Repository) -> None:
    place = place_of(repository)
    path = place.lock if repository.config.get("annex.version") == "10" else ""
    lock = try_lock(path or place.object, exclusive=False)
    assert lock is not None
    with lock:
        assert shell(repository, "inannex", KEY).returncode == 0
        done = shell(repository, "dropkey", KEY, "--force")
    assert done.returncode == 1 and b"content is locked" in done.stderr
    assert os.path.exists(place.object) and journal(repository) == []


def test_a_disk_that_does_not_tell_is_not_an_absent_key(repository: Repository) -> None:
    objects = Path(repository.annex_dir, "objects")
    objects.rename(objects.with_name("elsewhere"))
    os.symlink("objects", objects)
    done = shell(repository, "inannex", KEY)
    assert done.returncode == 100 and b"cannot be told" in done.stderr


def test_an_unmounted_repository_is_not_an_absent_key(tmp_path: Path) -> None:
    done = run_shell("inannex", "r.git", str(KEY), env=environment(tmp_path))
    assert done.returncode == 100 and b"no such directory" in done.stderr
    (tmp_path / "r.git").mkdir()
    done = run_shell("inannex", "r.git", str(KEY), env=environment(tmp_path))
    assert done.returncode == 100 and b"the directory is empty" in done.stderr
    done = run_shell("dropkey", "r.git", "--force", str(KEY), env=environment(tmp_path))
    assert done.returncode == 255


def test_dropkey_needs_force(repository: Repository) -> None:
    for words in ((KEY,), (), ("bad",)):
        done = shell(repository, "dropkey", *words)
        assert done.returncode == 1
        assert b"dropkey can cause data loss; use --force if you're sure" in done.stderr
    assert os.path.exists(place_of(repository).object)


@pytest.mark.parametrize("options", [("--force",), ("--quiet", "--force", "--fast")])
def test_dropkey_removes_and_records_in_the_journal_only(
    repository: Repository, options: tuple[str, ...]
) -> None:
    done = shell(repository, "dropkey", *options, KEY, GIT_ANNEX_VECTOR_CLOCK="7s")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert not list(files_below(Path(repository.annex_dir, "objects")))
    assert journal(repository) == [b"7s 0 %b\n" % HERE.encode()]
    assert git("-C", repository.path, "for-each-ref") == ""


def test_dropkey_of_absent_content_changes_nothing(repository: Repository) -> None:
    assert shell(repository, "dropkey", "--force").returncode == 0
    assert shell(repository, "dropkey", "--force", ABSENT, ABSENT).returncode == 0
    assert journal(repository) == []


def test_dropkey_takes_each_key_on_its_own(repository: Repository) -> None:
    other = sha256_key(b"other")
    write_object(repository, other, b"other")
    done = shell(repository, "dropkey", "--force", KEY, "bad", other, ABSENT)
    assert done.returncode == 1 and b"bad key (bad)" in done.stderr
    assert not os.path.exists(place_of(repository).object)
    assert not os.path.exists(place_of(repository, other).object)
    assert len(journal(repository)) == 2


def test_what_is_dropped_goes_to_the_trash_bin_first(tmp_path: Path) -> None:
    trash = make_repository(tmp_path / "bin", annex_uuid="0" * 8 + HERE[8:])
    more = {"annex_trashbin": "bin", "remote_bin_url": "../bin"}
    repository = make_repository(tmp_path / "r.git", more=more)
    path = write_object(repository, KEY, HELLO)
    assert shell(repository, "dropkey", "--force", KEY).returncode == 0
    assert not path.exists()
    assert Path(place_of(trash).object).read_bytes() == HELLO
    write_object(repository, KEY, HELLO)
    os.rename(trash.path, tmp_path / "away")
    done = shell(repository, "dropkey", "--force", KEY)
    assert done.returncode == 1 and b"annex.trashbin=bin" in done.stderr
    assert path.exists()


def test_promised_content_is_not_dropped(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r.git")
    path = write_object(repository, KEY, HELLO)
    stamp = path.with_name(path.name + ".rtm")
    stamp.write_text("99999999999s")
    done = shell(repository, "dropkey", "--force", KEY)
    assert done.returncode == 1 and b"promised for" in done.stderr
    assert path.exists() and stamp.exists()


def test_content_whose_absence_cannot_be_recorded_stays(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r.git")
    path = write_object(repository, KEY, HELLO)
    Path(repository.annex_dir, "journal").write_text("in the way")
    done = shell(repository, "dropkey", "--force", KEY)
    assert done.returncode == 1 and done.stderr.startswith(b"annexshell: ")
    assert path.exists()


@pytest.mark.parametrize("command", ["inannex", "sendkey", "recvkey", "dropkey"])
def test_what_is_no_annex_has_no_keys(tmp_path: Path, command: str) -> None:
    git("init", "-q", "--bare", tmp_path / "plain")
    words = [command, "plain", "--force", str(KEY)]
    done = run_shell(*words, env=environment(tmp_path))
    assert done.returncode == 1
    assert b"Not a git-annex or gcrypt repository." in done.stderr


@pytest.mark.parametrize("command", ["recvkey", "dropkey", "gcryptsetup"])
def test_read_only_accounts_change_nothing(
    repository: Repository, command: str
) -> None:
    env = {"GIT_ANNEX_SHELL_READONLY": "1"}
    done = shell(repository, command, "--force", KEY, **env)
    assert done.returncode == 1
    assert b"Action blocked by GIT_ANNEX_SHELL_READONLY" in done.stderr
    assert os.path.exists(place_of(repository).object)


@pytest.mark.parametrize("command", ["inannex", "sendkey", "recvkey", "dropkey"])
def test_commands_stay_in_the_directory_allowed(
    repository: Repository, command: str
) -> None:
    (Path(repository.path).parent / "other.git").mkdir()
    env = {"GIT_ANNEX_SHELL_DIRECTORY": "other.git"}
    done = shell(repository, command, "--force", KEY, **env)
    assert done.returncode == 1
    assert b"Only allowed to access" in done.stderr
    assert os.path.exists(place_of(repository).object)
