"""What a person at a real client is told of each fault, and that it works again after.

Clients show nothing that configlist says on stderr. They show what it says on stdout in
place of an answer, if they asked to have the repository initialised, as sync does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.interop.conftest import needed_client
from tests.support.client import CLIENTS, Client, Repo
from tests.support.gateway import Gateway
from tests.support.process import Result, Word, kill_session, run, start
from tests.support.sshserver import SshServer
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("cold")

CONTENT = b"what is copied\n"


class Fault(NamedTuple):
    """How a repository is broken and mended, and what the person at the client reads."""

    name: str
    make: Callable[[Path], None]
    mend: Callable[[Path], None]
    told: str


def away(path: Path) -> Path:
    return path.with_name("away")


def gone(path: Path) -> None:
    path.rename(away(path))


def back(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    away(path).rename(path)


def to_file(path: Path) -> None:
    gone(path)
    path.write_text("a file\n")


def to_empty(path: Path) -> None:
    gone(path)
    path.mkdir()


def to_link(path: Path) -> None:
    gone(path)
    path.symlink_to("nowhere")


def break_config(path: Path) -> None:
    shutil.copy(path / "config", away(path))
    with (path / "config").open("a") as config:
        config.write("[annex\n")


def mend_config(path: Path) -> None:
    shutil.copy(away(path), path / "config")


FAULTS = [
    Fault("missing", gone, back, "no such directory ({path}): mount its disk"),
    Fault("file", to_file, back, "no such directory ({path}): {path} is a file"),
    Fault("link", to_link, back, "no such directory ({path}): it is a link to "),
    Fault("empty", to_empty, back, "({path}): the directory is empty; mount its disk"),
    Fault("config", break_config, mend_config, "bad config line "),
]
every_fault = pytest.mark.parametrize("fault", FAULTS, ids=[f.name for f in FAULTS])


@pytest.fixture(scope="session", params=[CLIENTS[0], CLIENTS[-1]])
def client(request: pytest.FixtureRequest, world: World) -> Client:
    """The newest and the oldest: what they show differs most."""
    return needed_client(str(request.param), world)


@pytest.fixture
def served(world: World, current: Client, place: Path) -> Repo:
    return Repo.create(world, current, place / "served", bare=True)


@pytest.fixture
def me(
    world: World, client: Client, place: Path, served: Repo, openssh: SshServer
) -> Repo:
    """A client that knows the repository's url and nothing else of it."""
    made = Repo.create(world, client, place / "me")
    made.git("remote", "add", "o", openssh.url("ours", served.path))
    made.add("file", CONTENT)
    return made


def acquainted(me: Repo, served: Repo) -> str:
    """Make the client know the repository's uuid; the key of its file."""
    me.git("config", "remote.o.annex-uuid", served.uuid)
    return me.key("file")


def is_ignored(me: Repo) -> bool:
    asked = me.git("config", "--get", "remote.o.annex-ignore", check=False)
    return asked.out.strip() == "true"


def says_no_nonsense(result: Result) -> None:
    assert "internal error" not in result.all and "Traceback" not in result.all, result
    assert "does not have git-annex installed" not in result.all, result


@every_fault
def test_a_repository_that_is_not_there_at_first_contact(
    me: Repo, served: Repo, fault: Fault
) -> None:
    fault.make(served.path)
    for words in (["info", "--fast", "o"], ["sync", "o", "--no-content"]):
        shown = me.annex(*words, check=False)
        says_no_nonsense(shown)
        assert not is_ignored(me), shown
    assert 'Instead, got: "annexshell: ' in shown.all, shown
    assert fault.told.format(path=served.path) in shown.all, shown
    fault.mend(served.path)
    me.annex("sync", "o", "--no-content")
    me.annex("copy", "--to", "o", "file")
    assert served.has(me.key("file"))


@every_fault
def test_a_repository_that_is_not_there_any_more(
    me: Repo, served: Repo, fault: Fault
) -> None:
    key = acquainted(me, served)
    fault.make(served.path)
    shown = me.annex("copy", "--to", "o", "file", check=False)
    says_no_nonsense(shown)
    assert shown.code == 1 and shown.all.count("annexshell: ") == 1, shown
    assert fault.told.format(path=served.path) in shown.all
    assert not is_ignored(me)
    fault.mend(served.path)
    me.annex("copy", "--to", "o", "file")
    assert served.has(key)


def test_a_lost_uuid_is_told_and_mended(me: Repo, served: Repo) -> None:
    """git works here, so that only the line on stdout can tell."""
    uuid = served.uuid
    served.git("config", "--unset", "annex.uuid")
    shown = me.annex("sync", "o", "--no-content", check=False)
    said = "annexshell: annex.uuid is missing but the repository was initialized before"
    assert shown.all.count(said) == 1, shown
    assert not is_ignored(me)
    me.git("config", "remote.o.annex-uuid", uuid)
    shown = me.annex("copy", "--to", "o", "file", check=False)
    assert f"but found uninitialized repository ({served.path})" in shown.all, shown
    served.git("config", "annex.uuid", uuid)
    me.annex("copy", "--to", "o", "file")


def test_another_repository_at_the_place(me: Repo, served: Repo) -> None:
    uuid = served.uuid
    acquainted(me, served)
    served.git("config", "annex.uuid", "11111111-1111-4111-8111-111111111111")
    shown = me.annex("copy", "--to", "o", "file", check=False)
    said = f"expected repository UUID {uuid} but found UUID 11111111-"
    assert shown.code == 1 and shown.all.count(said) == 1, shown
    assert str(served.path) in shown.all and not is_ignored(me)
    served.git("config", "annex.uuid", uuid)
    me.annex("copy", "--to", "o", "file")


def test_an_unknown_version_of_the_repository(me: Repo, served: Repo) -> None:
    acquainted(me, served)
    served.git("config", "annex.version", "99")
    shown = me.annex("copy", "--to", "o", "file", check=False)
    said = f"annexshell: annex.version 99 is not supported ({served.path})"
    assert shown.code == 1 and shown.all.count(said) == 1, shown
    served.git("config", "annex.version", "10")
    me.annex("copy", "--to", "o", "file")


def test_what_the_owner_forbids_is_for_good(
    world: World, me: Repo, place: Path, openssh: SshServer
) -> None:
    """.noannex is the owner's decision: only that makes the client ignore the remote."""
    path = place / "forbidden"
    path.mkdir()
    forbidden = Repo(world, me.client, path)
    forbidden.git("init", "--quiet")
    (path / ".noannex").write_text("ask ann\n")
    me.git("remote", "set-url", "o", openssh.url("ours", path))
    me.annex("sync", "o", "--no-content", check=False)
    assert is_ignored(me)


# -- faults of single requests --------------------------------------------------------------


def test_a_failed_upload_is_told_once_and_the_next_one_works(
    me: Repo, served: Repo
) -> None:
    """Clients show nothing of the ERROR to a PUT."""
    key = acquainted(me, served)
    tmp = served.path / "annex" / "tmp"
    if tmp.exists():
        tmp.rmdir()
    tmp.write_text("in the way\n")
    shown = me.annex("copy", "--to", "o", "file", check=False)
    says_no_nonsense(shown)
    said = f"annexshell: opening the temporary file failed ({tmp}"
    assert shown.code == 1 and shown.all.count(said) == 1, shown
    tmp.unlink()
    me.annex("copy", "--to", "o", "file")
    assert served.has(key)


def test_content_that_cannot_be_looked_for_is_not_recorded_as_missing(
    me: Repo, served: Repo
) -> None:
    """Clients of 2023 take ERROR for absence."""
    key = acquainted(me, served)
    me.annex("copy", "--to", "o", "file")
    uuid = served.uuid
    objects = served.path / "annex" / "objects"
    objects.rename(away(objects))
    objects.symlink_to("objects")
    shown = me.annex("fsck", "--fast", "--from", "o", "file", check=False)
    assert shown.code == 1 and shown.all.count("looking for content failed") == 1, shown
    assert "mend the symlinks" in shown.all
    assert uuid in me.whereis(key)
    objects.unlink()
    away(objects).rename(objects)
    me.annex("fsck", "--fast", "--from", "o", "file")


def test_what_a_read_only_key_may_not_do_is_told(
    me: Repo, served: Repo, openssh: SshServer
) -> None:
    key = acquainted(me, served)
    me.annex("copy", "--to", "o", "file")
    me.git("remote", "set-url", "o", openssh.url("readonly", served.path))
    shown = me.annex("drop", "--from", "o", "file", "--force", check=False)
    assert shown.code == 1 and shown.all.count("this repository is read-only") == 1, (
        shown
    )
    me.annex("drop", "--force", "file")
    me.annex("get", "file")
    me.git("config", "remote.o.annex-uuid", served.uuid)
    other = me.add("other", b"another file\n")
    shown = me.annex("copy", "--to", "o", "other", check=False)
    assert shown.code == 1 and shown.all.count("this repository is read-only") == 1, (
        shown
    )
    assert served.has(key) and not served.has(other)


HOLDING = """
import fcntl, sys
lock = open(sys.argv[1], "a+")
fcntl.lockf(lock, fcntl.LOCK_SH)
print("held", flush=True)
sys.stdin.read()
"""


def test_the_holder_of_a_lock_is_named(me: Repo, served: Repo) -> None:
    """A suspended git-annex holds the lock on the content."""
    key = acquainted(me, served)
    me.annex("copy", "--to", "o", "file")
    lock = served.object(key).with_name(served.object(key).name + ".lck")
    lock.parent.chmod(0o755)
    argv: list[Word] = [sys.executable, "-c", HOLDING, lock]
    holder = start(argv, cwd=me.path, env=me.env, stderr=subprocess.DEVNULL)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        os.kill(holder.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)
        shown = me.annex("drop", "--from", "o", "file", "--force", check=False)
    finally:
        kill_session(holder)
    assert shown.code == 1, shown
    assert shown.all.count(f"held by process {holder.pid} (") == 1, shown
    assert "which is suspended" in shown.all and "content is locked" in shown.all
    me.annex("drop", "--from", "o", "file", "--force")
    assert not served.has(key)


# -- disks that are full or read-only: as root, who can mount some ---------------------------


@pytest.fixture
def small(place: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    path = place / "small"
    path.mkdir()
    mount: list[Word] = [
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "size=3m",
        "annexshell-test",
        path,
    ]
    if os.getuid() != 0 or run(mount, cwd=place, env=os.environ, check=False).code:
        pytest.skip("mounting a file system takes root, and a kernel that lets it")
    yield path
    run(["umount", "--lazy", path], cwd=place, env=os.environ)


def test_a_read_only_disk_still_gives(
    world: World,
    current: Client,
    me: Repo,
    small: Path,
    openssh: SshServer,
    place: Path,
) -> None:
    served = Repo.create(world, current, small / "served", bare=True)
    served.git("config", "annex.diskreserve", "0")
    me.git("remote", "set-url", "o", openssh.url("ours", served.path))
    key = acquainted(me, served)
    me.annex("copy", "--to", "o", "file")
    remount: list[Word] = ["mount", "-o", "remount,ro", small]
    run(remount, cwd=place, env=os.environ)
    me.annex("drop", "--force", "file")
    me.annex("get", "file")
    me.annex("fsck", "--from", "o", "file")
    other = me.add("other", b"another file\n")
    for words in (["copy", "--to", "o", "other"], ["drop", "--from", "o", "file"]):
        shown = me.annex(*words, "--force", check=False)
        says_no_nonsense(shown)
        assert shown.code == 1, shown
        assert shown.all.count("Read-only file system; remount it writable") == 1, shown
    run(["mount", "-o", "remount,rw", small], cwd=place, env=os.environ)
    me.annex("copy", "--to", "o", "other")
    me.annex("drop", "--from", "o", "file")
    assert served.has(other) and not served.has(key)


def test_a_full_disk_still_gives(
    world: World, current: Client, me: Repo, small: Path, openssh: SshServer
) -> None:
    served = Repo.create(world, current, small / "served", bare=True)
    served.git("config", "annex.diskreserve", "0")
    me.git("remote", "set-url", "o", openssh.url("ours", served.path))
    acquainted(me, served)
    me.annex("copy", "--to", "o", "file")
    with (small / "filler").open("wb", buffering=0) as filler:
        with pytest.raises(OSError, match="No space left"):
            while True:
                filler.write(bytes(4096))
    me.annex("drop", "--force", "file")
    me.annex("get", "file")
    other = me.add("other", b"another file\n" * 1000)
    shown = me.annex("copy", "--to", "o", "other", check=False)
    says_no_nonsense(shown)
    assert shown.code == 1, shown
    full = shown.all.count("not enough free space, need ")
    assert full + shown.all.count("No space left on device; free some space") == 1, (
        shown
    )
    (small / "filler").unlink()
    me.annex("copy", "--to", "o", "other")
    assert served.has(other)


# -- proxied ----------------------------------------------------------------------------------


@pytest.fixture
def through(
    gateway: Gateway, current: Client, world: World, place: Path, openssh: SshServer
) -> Repo:
    """A client of a gateway with a node by path and one by ssh."""
    gateway.add_path_node("disk")
    gateway.add_ssh_node("far", openssh, "ours")
    gateway.publish()
    made = Repo.create(world, current, place / "through")
    made.git("remote", "add", "gw", openssh.url("ours", gateway.repo.path))
    made.add("file", CONTENT)
    made.annex("sync", "gw", "--no-content")
    return made


def test_a_node_on_a_disk_that_is_not_mounted(gateway: Gateway, through: Repo) -> None:
    node = gateway.nodes["disk"]
    gone(node.path)
    shown = through.annex("copy", "--to", "gw-disk", "file", check=False)
    says_no_nonsense(shown)
    said = f"cannot connect to disk: no such directory ({node.path}): mount its disk"
    assert shown.code == 1 and shown.all.count(said) == 1, shown
    node.path.mkdir()
    shown = through.annex("copy", "--to", "gw-disk", "file", check=False)
    assert "cannot connect to disk: not a git repository" in shown.all, shown
    assert "the directory is empty" in shown.all, shown
    back(node.path)
    through.annex("copy", "--to", "gw-disk", "file")


def test_a_node_that_is_another_repository_now(gateway: Gateway, through: Repo) -> None:
    for name in ("disk", "far"):
        node = gateway.nodes[name]
        uuid = node.uuid
        node.git("config", "annex.uuid", "11111111-1111-4111-8111-111111111111")
        shown = through.annex("copy", "--to", f"gw-{name}", "file", check=False)
        says_no_nonsense(shown)
        assert shown.code == 1 and f"cannot connect to {name}: " in shown.all, shown
        node.git("config", "annex.uuid", uuid)
        through.annex("copy", "--to", f"gw-{name}", "file")


def test_a_node_by_ssh_that_is_not_reached(gateway: Gateway, through: Repo) -> None:
    url = gateway.repo.git("config", "remote.far.url").out.strip()
    gateway.repo.git(
        "config", "remote.far.url", url.replace("openssh-ours", "nowhere.invalid")
    )
    shown = through.annex("copy", "--to", "gw-far", "file", check=False)
    says_no_nonsense(shown)
    assert shown.code == 1 and "cannot connect to far: ssh cannot reach it" in shown.all
    assert "nowhere.invalid" in shown.all  # ssh's own line
    gateway.repo.git("config", "remote.far.url", url)
    through.annex("copy", "--to", "gw-far", "file")


# -- git and the account ------------------------------------------------------------------------


def test_a_login_without_a_command(world: World, openssh: SshServer) -> None:
    argv = ["ssh", "-T", openssh.host("ours")]
    shown = run(argv, cwd=world.place, env=world.env(), check=False)
    assert shown.code == 1 and "this account serves git and git-annex only" in shown.all


def test_git_names_the_command_for_a_repository_of_another_owner(
    me: Repo, served: Repo
) -> None:
    if os.getuid() != 0:
        pytest.skip("giving a repository to somebody else takes root")
    acquainted(me, served)
    for path in (served.path, *served.path.rglob("*")):
        os.chown(path, 65534, 65534)
    shown = me.git("fetch", "o", check=False)
    assert f"safe.directory {served.path}" in shown.all, shown
    me.annex("copy", "--to", "o", "file")
