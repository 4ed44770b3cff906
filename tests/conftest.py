"""What all tests share: on CI, an interop test that would be skipped has failed."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """The programs installed beside this Python are found, activated or not."""
    here = os.path.dirname(sys.executable)
    os.environ["PATH"] = os.pathsep.join([here, os.environ.get("PATH", os.defpath)])


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
