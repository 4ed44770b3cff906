"""Fixtures for tests with real git-annex clients over real ssh.

``ANNEXSHELL_TEST_SERVER`` names the program behind the accounts instead of ``annexshell``.
With ``ANNEXSHELL_TEST_SERVER=git-annex-shell`` the tests run against the program whose
place we take: a test that fails there, outside of test_defects.py, is itself wrong.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.client import CLIENTS, HOW, Client, find_client
from tests.support.gateway import Gateway
from tests.support.process import run
from tests.support.sshserver import Account, ServerDidNotStart, SshServer, running
from tests.support.sshserver import prepare as prepare_accounts
from tests.support.warm import Residents
from tests.support.world import World, find, remove_tree

SERVER_PROGRAM = os.environ.get("ANNEXSHELL_TEST_SERVER", "annexshell")


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.interop)
            item.add_marker(pytest.mark.xdist_group(_estate(item)))


def _estate(item: pytest.Item) -> str:
    """Tests that share what is dear to set up are run by one worker."""
    callspec = getattr(item, "callspec", None)
    params = callspec.params if callspec else {}
    # A share is one of many that are as good as different files.
    part = params.get("pair") or params.get("server") or params.get("share")
    return f"{item.path.stem} {part}"


def accounts(world: World) -> list[Account]:
    """The keys that may log in; "ours" is the program under test, unrestricted."""
    debian = world.place / "clients/10.20230126/git-annex-shell"
    return [
        Account("ours", SERVER_PROGRAM),
        Account("readonly", SERVER_PROGRAM, {"GIT_ANNEX_SHELL_READONLY": "1"}),
        Account("appendonly", SERVER_PROGRAM, {"GIT_ANNEX_SHELL_APPENDONLY": "1"}),
        Account("limited", SERVER_PROGRAM, {"GIT_ANNEX_SHELL_LIMITED": "true"}),
        Account(
            "confined",
            SERVER_PROGRAM,
            {"GIT_ANNEX_SHELL_DIRECTORY": str(world.place / "confined/repo")},
        ),
        Account("labelled", SERVER_PROGRAM, {"ANNEXSHELL_USER": "ann"}),
        Account("clocale", SERVER_PROGRAM, {"LC_ALL": "C"}),
        Account("reference", "git-annex-shell"),
        Account("reference2023", str(debian)),
    ]


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """The home, PATH and keys that all interop tests share."""
    if find("git") is None or find("ssh") is None:
        pytest.skip("git and ssh are not both installed")
    place = Path(tempfile.mkdtemp(prefix="ax-"))
    made = World(place)
    for version in CLIENTS:
        find_client(version, made)
    prepare_accounts(made, accounts(made))
    yield made
    remove_tree(place)


@pytest.fixture(scope="session", autouse=True)
def residents(world: World) -> Iterator[Residents]:
    """Sessions are warm. Those of all tests of a worker share residents."""
    with Residents(world.place / "run") as found:
        world.use_residents(found.variables)
        yield found


@pytest.fixture(scope="module")
def cold(world: World) -> Iterator[None]:
    """For files whose tests kill, count or measure sessions: those of the file are cold."""
    with world.cold():
        yield


def needed_client(version: str, world: World) -> Client:
    found = find_client(version, world)
    if found is None:
        pytest.skip(f"git-annex {version} is not here: {HOW[version]}")
    return found


@pytest.fixture(scope="session")
def current(world: World) -> Client:
    """The newest client, which also sets up servers and nodes."""
    return needed_client(CLIENTS[0], world)


@pytest.fixture(scope="session")
def program(world: World, current: Client) -> str:
    """The path of the program under test."""
    found = shutil.which(SERVER_PROGRAM, path=world.env(current.bin)["PATH"])
    assert found, f"{SERVER_PROGRAM} is not in PATH"
    return found


@pytest.fixture(scope="session", params=CLIENTS)
def client(request: pytest.FixtureRequest, world: World) -> Client:
    """Each version of the client in turn."""
    return needed_client(str(request.param), world)


@pytest.fixture(scope="session")
def servers(world: World, current: Client) -> Iterator[Callable[[str], SshServer]]:
    """Starts a server of a kind when it is first asked for, and keeps it running."""
    started: dict[str, SshServer] = {}
    with ExitStack() as stack:

        def get(kind: str) -> SshServer:
            if kind not in started:
                env = world.env(current.bin)
                try:
                    server = running(kind, world, accounts(world), env)
                    started[kind] = stack.enter_context(server)
                except ServerDidNotStart as reason:
                    if find("sshd") is None and kind == "openssh":
                        pytest.skip(
                            f"no sshd here: apt-get install openssh-server ({reason})"
                        )
                    raise
            return started[kind]

        yield get


@pytest.fixture(scope="session", params=["openssh", "embedded"])
def server(
    request: pytest.FixtureRequest, servers: Callable[[str], SshServer]
) -> SshServer:
    """Both ssh servers in turn, each with the same accounts."""
    return servers(str(request.param))


@pytest.fixture(scope="session")
def openssh(servers: Callable[[str], SshServer]) -> SshServer:
    """OpenSSH's server alone, where the ssh server makes no difference."""
    return servers("openssh")


@pytest.fixture(scope="session")
def places(world: World) -> Iterator[Callable[[], Path]]:
    """Makes short-named folders: git-annex's control sockets must fit into 100 bytes."""
    number = itertools.count()

    def new() -> Path:
        place = world.place / f"t{next(number)}"
        place.mkdir()
        return place

    yield new


@pytest.fixture
def place(places: Callable[[], Path]) -> Iterator[Path]:
    """A folder for one test, removed after it."""
    made = places()
    yield made
    remove_tree(made)


@pytest.fixture
def gateway(world: World, current: Client, place: Path) -> Gateway:
    """A bare gateway without nodes yet."""
    return Gateway.create(world, current, place / "gw", bare=True)


@pytest.fixture(scope="session", autouse=True)
def no_agent(world: World) -> None:
    """A test world in which ssh would find keys of the person running it proves nothing."""
    seen = run(
        ["sh", "-c", "echo ${SSH_AUTH_SOCK-none}"], cwd=world.place, env=world.env()
    )
    assert seen.out == "none\n"
