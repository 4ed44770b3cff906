"""Two users of one group share a repository, whichever way it is shared (spec 02 §5.1)."""

from __future__ import annotations

import os
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pygit2
import pytest
from pygit2.enums import ConfigLevel

from annexshell.model.key import Key
from annexshell.model.payload import Validity
from annexshell.repository.branch import Branch
from annexshell.repository.content import Content
from annexshell.repository.open import open_repository
from tests.support.content import (
    HELLO,
    begin,
    drop,
    interrupt,
    make_repository,
    put,
    sha256_key,
)
from tests.support.world import remove_tree

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")

OTHER_USER = 65534
GROUP = 64321
KEY = sha256_key(HELLO)
BIG = b"0123456789abcdef" * 4096
BIG_KEY = sha256_key(BIG)


@pytest.fixture
def top() -> Iterator[Path]:
    """A folder that another user can reach, with the group's own; pytest's are private."""
    umask = os.umask(0o077)
    place = Path(tempfile.mkdtemp(prefix="annexshell-"))
    os.chown(place, 0, GROUP)
    place.chmod(0o2770)
    yield place
    os.umask(umask)
    remove_tree(place)


def as_other_user(action: Callable[[], None]) -> None:
    """Do it as somebody else of the group, who does not know the home's settings."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([GROUP])
            os.setgid(OTHER_USER)
            os.setuid(OTHER_USER)
            os.environ["HOME"] = "/nonexistent"
            for level in (ConfigLevel.GLOBAL, ConfigLevel.XDG):
                pygit2.settings.search_path[level] = "/nonexistent"
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def store(path: Path, key: Key, data: bytes) -> None:
    repository = open_repository(str(path))
    branch = Branch(repository)
    with begin(Content(repository), key) as intake:
        intake.prehash()
        intake.write(data[intake.offset :])
        assert intake.finish(
            Validity.VALID, lambda: branch.record(key, repository.uuid, True)
        )
    branch.settle()


def check(path: Path, key: Key) -> None:
    """Lock the content, read its log and remove it."""
    repository = open_repository(str(path))
    content, branch = Content(repository), Branch(repository)
    assert content.present(key)
    assert branch.locations(key) == {repository.uuid}
    lock = content.lock_shared(key)
    assert lock is not None
    lock.unlock()
    assert drop(content, key)
    assert not content.present(key)
    branch.record(key, repository.uuid, False)
    branch.settle()


@pytest.mark.thorough
@pytest.mark.parametrize("version", ["8", "10"])
@pytest.mark.parametrize("setting", ["group", "all", "0660", "0664"])
def test_either_can_go_on_with_what_the_other_left(
    top: Path, setting: str, version: str
) -> None:
    path = top / "r"
    options = ["--bare", f"--shared={setting}"]
    subprocess.run(["git", "init", "-q", *options, str(path)], check=True)
    make_repository(path, version=version, core_sharedRepository=setting)
    for made in (path / "annex", path / "annex/sentinal"):
        os.chmod(made, 0o2770 if made.is_dir() else 0o660)
    store(path, KEY, HELLO)
    interrupt(Content(open_repository(str(path))), BIG_KEY, BIG[:1000])

    def others() -> None:
        check(path, KEY)
        store(path, BIG_KEY, BIG)

    as_other_user(others)
    check(path, BIG_KEY)
    content = Content(open_repository(str(path)))
    assert put(content, KEY, HELLO)
    as_other_user(lambda: check_locked_out_of_nothing(path))


def check_locked_out_of_nothing(path: Path) -> None:
    content = Content(open_repository(str(path)))
    opened = content.open_for_get(KEY)
    assert opened is not None
    opened.close()
    assert drop(content, KEY)
