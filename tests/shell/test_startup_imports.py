"""The light path stays light: what a fresh interpreter may load, by name.

A refusal, the answer of an initialised repository and the hand-over to git are what a server
does most, and what an attacker can ask for as often as they like.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.repositories import Repo
from tests.support.session import CLIENT_UUID, Session
from tests.support.shell import UUID_HERE, environment, git, make_annex

NODE = "99999999-9999-4999-8999-999999999999"

# Beyond what the interpreter itself loads with -I -S.
STANDARD = frozenset(
    (
        "_collections",
        "_operator",
        "collections",
        "errno",
        "itertools",
        "keyword",
        "operator",
        "reprlib",
        "select",
        "__future__",
    )
)
SHELL = frozenset(
    f"annexshell{name}"
    for name in (
        "",
        ".cli",
        ".cli.commandline",
        ".cli.commands",
        ".cli.environment",
        ".model.writing",
        ".cli.shell",
        ".errors",
        ".model",
        ".model.ids",
        ".model.record",
        ".policy",
        ".policy.directory",
        ".policy.restrictions",
        ".repository",
        ".repository.config",
        ".repository.gitprocess",
        ".repository.open",
    )
)
MISSING = frozenset(("annexshell.repository.missing", "annexshell.repository.remedies"))
GIT = SHELL | {"annexshell.cli.gitshell", "annexshell.cli.confined"}
CONFIGLIST = SHELL | {
    "annexshell.cli.configlist",
    "annexshell.cli.identity",
    "annexshell.repository.supported",
}
START = """
import os, sys
sys.path.insert(0, os.environ["PYTHONPATH"])
before = set(sys.modules)
def tell(*ignored):
    os.write(3, "\\n".join(sorted(set(sys.modules) - before)).encode())
os.execvp = lambda *words: (tell(), os._exit(0))
from annexshell.cli.shell import main
status = main()
tell()
sys.exit(status)
"""


def loaded(
    home: Path,
    *arguments: str,
    isolated: str = "-I -S",
    talk: Callable[[Session], None] | None = None,
    start: str = START,
    **env: str,
) -> frozenset[str]:
    """The modules that a fresh interpreter loads; with ``-S`` no installed ones.

    What ``talk`` says to it is heard to the end before stdin is closed: a client that
    leaves sooner ends what takes long.
    """
    seen = home / "seen"
    code = (
        f"import os; os.dup2(os.open({str(seen)!r}, os.O_CREAT | os.O_WRONLY), 3);"
        f"exec({start!r})"
    )
    again = (
        "import os, sys; os.execv(sys.executable,"
        f" [sys.executable, *{isolated.split()!r}, '-c', {code!r}, *sys.argv[1:]])"
    )
    argv = [sys.executable, "-c", again, *arguments]
    with Session(argv, cwd=home, env=environment(home, **env)) as session:
        if talk is not None:
            talk(session)
        session.end()
    return frozenset(seen.read_text().split())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_annex(tmp_path / "r.git")
    return tmp_path.resolve()


@pytest.mark.parametrize(
    "command",
    [
        "git-annex-shell",
        "git-annex-shell configlist none",
        "git-annex-shell gcryptsetup r K",
        "git-annex-shell configlist r --bogus",
    ],
)
def test_refusing_a_command(home: Path, command: str) -> None:
    names = loaded(home, "-c", command, GIT_ANNEX_SHELL_READONLY="1")
    assert "annexshell.cli.shell" in names
    allowed = SHELL | MISSING if " none" in command else SHELL
    assert names - STANDARD - allowed == frozenset()


def test_refusing_a_command_that_is_audited(home: Path) -> None:
    """It takes the repository's config to know that nothing is to be written."""
    words = ("-c", "git-annex-shell dropkey r.git K")
    names = loaded(home, *words, GIT_ANNEX_SHELL_READONLY="1")
    audited = {".cli.audited", ".cli.identity", ".repository.audit"}
    audited |= {".repository.supported"}
    allowed = SHELL | {f"annexshell{name}" for name in audited}
    assert "annexshell.cli.audited" in names
    assert names - STANDARD - allowed == frozenset()


@pytest.mark.parametrize("directory", [None, "r.git"])
@pytest.mark.parametrize("command", ["true", "git-upload-pack 'r.git'"])
def test_handing_over_to_git(home: Path, command: str, directory: str | None) -> None:
    if directory is None:
        names = loaded(home, "-c", command)
    else:
        names = loaded(home, "-c", command, GIT_ANNEX_SHELL_DIRECTORY=directory)
    assert "annexshell.cli.gitshell" in names
    assert names - STANDARD - GIT == frozenset()


def test_configlist_of_an_initialised_repository(home: Path) -> None:
    names = loaded(home, "-c", "git-annex-shell 'configlist' 'r.git'")
    assert "annexshell.cli.configlist" in names
    assert names - STANDARD - CONFIGLIST == frozenset()


@pytest.mark.parametrize("command", ["inannex", "dropkey --force"])
def test_commands_on_keys_load_nothing_large(home: Path, command: str) -> None:
    """A gcrypt client runs one for each key; without a change nothing is logged."""
    key = "SHA256-s0--e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    name, *options = command.split()
    words = " ".join((name, "r.git", *options, key))
    names = loaded(home, "-c", f"git-annex-shell {words}", isolated="-I")
    assert "annexshell.cli.content" in names
    assert not names & {"trio", "pygit2", "subprocess", "sqlite3", "asyncio", "json"}
    assert ("annexshell.repository.audit" in names) is (name == "dropkey")


CLUSTER = "acbbdd76-2913-83e9-85c4-c7c039622a0f"


def upload(session: Session) -> None:
    session.greet()
    assert session.put(b"WORM-s5--a", b"hello", name=b"a").startswith(b"SUCCESS")


def cluster(home: Path, **logs: str) -> None:
    """A cluster of one node by path, and what else the branch says."""
    path = home / "r.git"
    make_annex(home / "node.git")
    git("-C", home / "node.git", "config", "annex.uuid", NODE)
    logs["proxy"] = f"1s {UUID_HERE} {NODE}:node {CLUSTER}:pool\n"
    logs["cluster"] = f"1s {CLUSTER} {NODE}\n"
    files = {f"{n.replace('_', '-')}.log".encode(): t.encode() for n, t in logs.items()}
    Repo(path, True, home).commit(files, parents=())
    settings = {
        "url": home / "node.git",
        "annex-uuid": NODE,
        "annex-cluster-node": "pool",
    }
    for name, value in settings.items():
        git("-C", path, "config", f"remote.node.{name}", str(value))
    git("-C", path, "config", "annex.cluster.pool", CLUSTER)


@pytest.mark.parametrize(
    "logs, unused",
    [
        ({}, ("placement.sight", "wanted", "repository.siz")),
        (
            {"preferred_content": f"{NODE} include=a timestamp=1s\n"},
            ("repository.siz",),
        ),
    ],
    ids=["nothing", "by name"],
)
def test_clusters_load_what_their_preferred_content_needs(
    home: Path, logs: dict[str, str], unused: tuple[str, ...]
) -> None:
    cluster(home, **logs)
    words = f"git-annex-shell p2pstdio r.git {CLIENT_UUID} --uuid {CLUSTER}"
    names = loaded(home, "-c", words, isolated="-I", talk=upload)
    log = (home / "node.git/annex/objects").rglob("WORM-s5--a")
    assert any(path.is_file() for path in log)
    assert "annexshell.placement.placer" in names
    unwanted = ("sqlite3", *(f"annexshell.{name}" for name in unused))
    assert [name for name in names if name.startswith(unwanted)] == []


def proxy(home: Path) -> None:
    """A node by path, which the repository is a proxy for."""
    path = home / "r.git"
    line = f"1s {UUID_HERE} {NODE}:node\n".encode()
    Repo(path, True, home).commit({b"proxy.log": line}, parents=())
    for name, value in {"url": "/gone", "annex-uuid": NODE, "annex-proxy": "1"}.items():
        git("-C", path, "config", f"remote.node.{name}", value)


@pytest.mark.parametrize(
    "uuid, unused",
    [
        (UUID_HERE, ("proxy", "remotes", "cluster", "serve.proxied", "serve.nodes")),
        (NODE, ("cluster", "serve.clustered")),
    ],
    ids=["itself", "a remote"],
)
def test_sessions_load_nothing_of_what_they_are_not_with(
    home: Path, uuid: str, unused: tuple[str, ...]
) -> None:
    proxy(home)
    words = f"git-annex-shell p2pstdio r.git {CLIENT_UUID} --uuid {uuid}"
    names = loaded(home, "-c", words, isolated="-I")
    assert "annexshell.serve.connection" in names
    unwanted = tuple(f"annexshell.{name}" for name in unused)
    assert [name for name in names if f"{name}.".startswith(unwanted)] == []


def test_the_launcher_loads_one_module_that_is_not_ours(home: Path) -> None:
    """And reads no file for it but its own two, beside those of the packages."""
    start = START.replace("cli.shell", "warm.launcher").replace(
        "status = main()", "status = 0"
    )
    seen = loaded(home, start=start)
    ours = {
        f"annexshell{name}" for name in ("", ".warm", ".warm.launcher", ".warm.place")
    }
    assert seen == ours | {"_socket"}
