"""All that a session may need, loaded ahead, while sessions that run are left in peace."""

from __future__ import annotations

import importlib
import os
import pkgutil
import threading

import annexshell

_PACKAGES = (
    *("model", "protocol", "logs", "wanted", "policy", "repository", "transport"),
    *("placement", "local", "remotes", "proxy", "cluster", "serve"),
)
_MODULES = ("errors", "store", "cli.p2pstdio", "cli.confined", "cli.errors")
_STANDARD = ("json", "logging", "signal", "sqlite3", "subprocess", "tempfile")
_POLITE = 10


def load_everything() -> None:
    """Import what serves sessions. Raises ImportError where that is impossible."""
    failed: list[BaseException] = []

    def load() -> None:
        # Of the thread alone: a process that is not root's could not take it back.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _POLITE)
        try:
            for name in _names():
                importlib.import_module(name)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    if failed:
        raise ImportError("not everything can be loaded") from failed[0]


def _names() -> list[str]:
    top = annexshell.__path__[0]
    names = [
        f"annexshell.{package}.{found.name}"
        for package in _PACKAGES
        for found in pkgutil.iter_modules([os.path.join(top, package)])
    ]
    return [*_STANDARD, *(f"annexshell.{name}" for name in _MODULES), *names]
