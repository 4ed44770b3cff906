"""What all tests share: on CI, an interop test that would be skipped has failed."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Generator

import pytest
from hypothesis import settings

import annexshell.transport.zerocopy
from tests.support.shell import COLD

# The same examples every time; HYPOTHESIS_PROFILE=deep looks for new ones.
settings.register_profile("quick", derandomize=True, max_examples=60, deadline=None)
settings.register_profile("ci", derandomize=True, max_examples=200, deadline=None)
settings.register_profile("deep", max_examples=5000, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """The programs installed beside this Python are found, activated or not.

    Whatever is started starts cold, unless the test asks for something else.
    """
    os.environ["XDG_CONFIG_HOME"] = COLD
    # A run in the background may ignore them, and what tests start would ignore them too.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    on_ci = os.environ.get("CI", "").lower() in ("1", "true")
    profile = os.environ.get("HYPOTHESIS_PROFILE", "ci" if on_ci else "quick")
    settings.load_profile(profile)
    here = os.path.dirname(sys.executable)
    os.environ["PATH"] = os.pathsep.join([here, os.environ.get("PATH", os.defpath)])


@pytest.fixture(params=[True, False], ids=["zerocopy", "copied"])
def zerocopy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is run twice: the second time every byte is read and written."""
    monkeypatch.setattr(annexshell.transport.zerocopy, "allowed", request.param)


def pytest_collection_finish() -> None:
    """Thousands of tests are no garbage: looking through them each time takes long."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """CI must have sshd and every client: a skip there would hide that it has not."""
    report = yield
    on_ci = os.environ.get("CI", "").lower() in ("1", "true")
    if on_ci and report.skipped and item.get_closest_marker("interop"):
        report.outcome = "failed"
        report.longrepr = (
            f"skipped on CI, where nothing may be missing: {report.longrepr}"
        )
    return report


def pytest_make_parametrize_id(val: object) -> str | None:
    """Long values name no test: the name is in the environment of every program started,
    and what is random would be another one in each worker."""
    if isinstance(val, str | bytes) and len(val) > 200:
        return f"{len(val)} {'characters' if isinstance(val, str) else 'bytes'}"
    return None
