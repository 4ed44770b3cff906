"""The notifychanges command as a client meets it (spec 01 §5.7)."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from annexshell.repository.open import open_repository
from tests.support.session import Session
from tests.support.shell import UUID_HERE, environment, git, make_annex, run_shell

_START = "import sys; from annexshell.cli.shell import main; sys.exit(main())"
CLUSTER = "acf788bc-41dd-8c24-b6ef-c199bfe447e6"
OTHER = "99999999-9999-4999-8999-999999999999"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_annex(tmp_path / "r.git")
    return tmp_path.resolve()


def started(home: Path, command: str = "r.git", **env: str) -> Session:
    words = f"git-annex-shell notifychanges {command}"
    argv = [sys.executable, "-c", _START, "-c", words]
    return Session(argv, cwd=home, env=environment(home, **env))


def commit(repository: Path, message: str) -> str:
    tree = git("-C", repository, "mktree", "--missing").strip()
    return git("-C", repository, "commit-tree", tree, "-m", message).strip()


def update(repository: Path, ref: str, message: str) -> bytes:
    sha = commit(repository, message)
    git("-C", repository, "update-ref", ref, sha)
    return sha.encode()


def test_what_was_there_what_comes_and_the_end(home: Path) -> None:
    repository = home / "r.git"
    first = update(repository, "refs/heads/main", "one")
    with started(home) as client:
        assert client.hear() == b"READY"
        assert client.hear() == b"CHANGED " + first
        second = update(repository, "refs/heads/main", "two")
        assert client.hear() == b"CHANGED " + second
        client.say(b"whatever", b"is said")
        third = update(repository, "refs/heads/a/b", "three")
        assert client.hear() == b"CHANGED " + third
        ended = client.end()
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_nothing_is_said_of_an_empty_repository(home: Path) -> None:
    with started(home) as client:
        assert client.hear() == b"READY"
        ended = client.end()
    assert (ended.code, ended.out) == (0, "")


@pytest.mark.parametrize(
    "name",
    [
        "GIT_ANNEX_SHELL_READONLY",
        "GIT_ANNEX_SHELL_APPENDONLY",
        "GIT_ANNEX_SHELL_LIMITED",
    ],
)
def test_a_restricted_key_is_notified_too(home: Path, name: str) -> None:
    with started(home, f"r.git --uuid {UUID_HERE}", **{name: "1"}) as client:
        assert client.hear() == b"READY"
        assert client.end().code == 0


def test_each_ref_has_a_line_of_its_own(home: Path) -> None:
    shas = {b"%040x" % n for n in range(1, 1102)}
    for sha in shas:
        (home / "r.git/refs/heads" / sha.decode()).write_bytes(sha + b"\n")
    with started(home) as client:
        assert client.hear() == b"READY"
        told = [client.hear() for _ in shas]
        assert client.end().out == ""
    assert set(told) == {b"CHANGED " + sha for sha in shas}


def test_refs_that_vanish_are_an_error(home: Path) -> None:
    with started(home) as client:
        assert client.hear() == b"READY"
        shutil.rmtree(home / "r.git/refs")
        assert client.hear() == b""
        ended = client.end()
    assert ended.code == 255
    assert f"the refs are not there any more ({home}/r.git/refs)" in ended.err


def test_a_reader_that_is_gone_ends_it(home: Path) -> None:
    with started(home) as client:
        assert client.hear() == b"READY"
        assert client.process.stdout is not None
        client.process.stdout.close()
        assert client.process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("settings", "accepted"),
    [
        ({}, False),
        ({"annex.version": "10"}, True),
        ({"core.gcrypt-id": ":id:abc"}, True),
    ],
)
def test_which_repositories_are_watched(
    home: Path, settings: dict[str, str], accepted: bool
) -> None:
    git("init", "-q", "--bare", home / "plain.git")
    for name, value in settings.items():
        git("-C", home / "plain.git", "config", name, value)
    done = run_shell(*("notifychanges", str(home / "plain.git")), env=environment(home))
    if accepted:
        assert (done.returncode, done.stdout) == (0, b"READY\n")
    else:
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"Not a git-annex or gcrypt repository." in done.stderr


def test_a_pushed_git_annex_branch_is_enough(home: Path) -> None:
    plain = home / "plain.git"
    git("init", "-q", "--bare", plain)
    update(plain, "refs/heads/git-annex", "pushed")
    done = run_shell("notifychanges", str(plain), env=environment(home))
    assert done.stdout.startswith(b"READY\nCHANGED ")


def gateway(home: Path, *, allowed: bool) -> Path:
    """A gateway whose branch offers the remote ``OTHER``."""
    from tests.support.repositories import Repo

    path = home / "r.git"
    line = f"1700000000s {UUID_HERE} {OTHER}:node\n".encode()
    Repo(path, True, home).commit({b"proxy.log": line}, parents=())
    git("-C", path, "config", "remote.node.url", "/nowhere")
    git("-C", path, "config", "remote.node.annex-uuid", OTHER)
    if allowed:
        git("-C", path, "config", "remote.node.annex-proxy", "true")
    assert open_repository(os.fspath(path)).uuid
    return path


def test_the_gateways_refs_for_a_proxied_remote(home: Path) -> None:
    path = gateway(home, allowed=True)
    with started(home, f"r.git --uuid {OTHER}") as client:
        assert client.hear() == b"READY"
        assert client.hear().startswith(b"CHANGED ")
        sha = update(path, "refs/heads/main", "one")
        assert client.hear() == b"CHANGED " + sha
        assert client.end().code == 0


def cluster(home: Path, *, ours: bool) -> Path:
    """A gateway whose branch offers a cluster."""
    from tests.support.repositories import Repo

    path = home / "r.git"
    files = {
        b"proxy.log": f"1700000000s {UUID_HERE} {CLUSTER}:mine\n".encode(),
        b"cluster.log": f"1700000000s {CLUSTER} {OTHER}\n".encode(),
    }
    Repo(path, True, home).commit(files, parents=())
    if ours:
        git("-C", path, "config", "annex.cluster.mine", CLUSTER)
    return path


def test_the_gateways_refs_for_a_cluster(home: Path) -> None:
    path = cluster(home, ours=True)
    with started(home, f"r.git --uuid {CLUSTER}") as client:
        assert client.hear() == b"READY"
        assert client.hear().startswith(b"CHANGED ")
        sha = update(path, "refs/heads/main", "one")
        assert client.hear() == b"CHANGED " + sha
        assert client.end().code == 0


def test_a_cluster_that_only_the_branch_knows_is_refused(home: Path) -> None:
    cluster(home, ours=False)
    with started(home, f"r.git --uuid {CLUSTER}") as client:
        assert client.hear() == b""
        ended = client.end()
    assert ended.code == 1 and "run annexshell-admin extendcluster" in ended.err


@pytest.mark.parametrize("ours", [True, False])
def test_other_commands_are_refused_for_a_cluster(home: Path, ours: bool) -> None:
    cluster(home, ours=ours)
    words = f"git-annex-shell inannex r.git K --uuid {CLUSTER}"
    done = run_shell("-c", words, env=environment(home))
    assert done.returncode == 1
    said = b"Cannot proxy inannex command." if ours else b"cannot be served here"
    assert said in done.stderr


def test_a_remote_that_is_not_proxied_is_refused(home: Path) -> None:
    gateway(home, allowed=False)
    with started(home, f"r.git --uuid {OTHER}") as client:
        assert client.hear() == b""
        ended = client.end()
    assert ended.code == 1 and f"but found UUID {UUID_HERE}" in ended.err
