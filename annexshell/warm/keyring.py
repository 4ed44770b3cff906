"""The kernel's keyring of a login, which is not for the sessions of other logins.

Tickets and tokens (Kerberos, AFS) may be in it. What a resident inherits from the login that
started it, all its sessions would have.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

_CALLS = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "ppc64le": 271, "s390x": 280}
_JOIN, _LINK = 1, 8
_SESSIONS, _USERS = -3, -4
_NONE_HERE = (errno.ENOSYS, errno.EPERM)


def forget_login() -> None:
    """Have a session keyring of our own, in which is what the user has without a login.

    Nothing is done where the kernel has no keyrings, or lets nobody use them. Raises
    OSError.
    """
    number = _CALLS.get(os.uname().machine)
    if number is None or sys.maxsize <= 1 << 32:
        return
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(number, _JOIN, None) < 0:
        found = ctypes.get_errno()
        if found in _NONE_HERE:
            return
        raise OSError(found, os.strerror(found))
    # As pam_keyinit does. Without it, what is in the user's own can just not be had.
    library.syscall(number, _LINK, _USERS, _SESSIONS)
