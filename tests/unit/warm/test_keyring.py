"""What is in the keyring of the login that started a resident is for nobody else."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

import pytest

from annexshell.warm.keyring import _CALLS, forget_login

_JOIN, _SEARCH = 1, 10
_SESSIONS = -3
NAME = b"annexshell-tests"


def keyctl(*words: object) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    return int(library.syscall(_CALLS[os.uname().machine], *words))


def in_child(act: Callable[[], bool]) -> bool:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if act() else 1)
    return os.waitpid(pid, 0)[1] == 0


def has_ticket() -> bool:
    return keyctl(_SEARCH, _SESSIONS, b"keyring", NAME, 0) >= 0


def log_in() -> bool:
    """Have a session keyring with something in it: here another keyring."""
    return keyctl(_JOIN, None) >= 0 and _added() >= 0


def _added() -> int:
    numbers = {250: 248, 219: 217, 271: 269, 280: 278}
    number = numbers[_CALLS[os.uname().machine]]
    library = ctypes.CDLL(None)
    return int(library.syscall(number, b"keyring", NAME, None, 0, _SESSIONS))


usable = pytest.mark.skipif(
    os.uname().machine not in _CALLS or not in_child(log_in),
    reason="no keyrings here",
)


@usable
def test_what_a_login_has_is_gone() -> None:
    assert in_child(lambda: log_in() and has_ticket())

    def forgotten() -> bool:
        log_in()
        forget_login()
        return not has_ticket()

    assert in_child(forgotten)


@usable
def test_what_the_user_has_is_there() -> None:
    def kept() -> bool:
        log_in()
        forget_login()
        return keyctl(_SEARCH, _SESSIONS, b"keyring", b"_uid.%d" % os.getuid(), 0) >= 0

    assert in_child(kept)
