"""Sessions both ways: started cold, and by a resident that is shared by many tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.session import CLIENT_UUID, Session
from tests.support.shell import (
    Way,
    choose,
    environment,
    make_annex,
    shell_argv,
    write_identity,
)
from tests.support.warm import Residents, is_warm
from tests.support.world import remove_tree

_LAUNCH = "import sys; from annexshell.warm.launcher import main; sys.exit(main())"


@pytest.fixture(scope="session")
def warm_way() -> Iterator[Way]:
    """By way of the launcher, with a resident that takes what it is given.

    One for all tests of a worker. Whoever changes what a resident must agree with, such as
    the locale, starts another one: all are ended in the end.
    """
    place = Path(tempfile.mkdtemp(prefix="ax-")).resolve()
    with Residents(place / "run") as residents:
        way = Way(_LAUNCH, residents.variables)
        cold = choose(way)
        try:
            residents.start(environment(place))
            _hand_over(place)
        finally:
            choose(cold)
        yield way
    remove_tree(place)


def _hand_over(home: Path) -> None:
    """Else each test would be cold twice, and nobody would see it."""
    write_identity(home)
    make_annex(home / "r.git")
    argv = shell_argv("p2pstdio", "r.git", CLIENT_UUID)
    with Session(argv, cwd=home, env=environment(home)) as session:
        session.greet()
        assert is_warm(session.pid), session.stderr
        assert session.end().code == 0


@pytest.fixture(params=["cold", "warm"])
def both_ways(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test is run twice. What it starts is started cold, or by the launcher."""
    if request.param == "cold":
        yield
        return
    cold = choose(request.getfixturevalue("warm_way"))
    yield
    choose(cold)
