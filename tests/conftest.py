"""What all tests share: on CI, an interop test that would be skipped has failed."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest


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
