"""What a person can do about an error of the operating system's."""

from __future__ import annotations

import errno
import os

_FULL = "free some space there"
_GONE = "mount its file system again"
_OVERLOAD = "the server is overloaded: try again later"
_REMEDIES = {
    errno.EDQUOT: "the quota of the account {account} is used up: raise it, or free some space",
    errno.ENOSPC: _FULL,
    errno.EROFS: "remount it writable (after a look at why it is not)",
    errno.EACCES: "let the account {account} in: check owner and modes",
    errno.EPERM: "let the account {account} do it: check owner, modes and attributes",
    errno.EIO: "the disk or its connection is failing: see the kernel's log",
    errno.ENODEV: _GONE,
    errno.ENXIO: _GONE,
    errno.ENOTCONN: _GONE,
    errno.ESTALE: _GONE,
    errno.EHOSTDOWN: _GONE,
    errno.ETIMEDOUT: _GONE,
    errno.ELOOP: "mend the symlinks",
    errno.EMFILE: _OVERLOAD,
    errno.ENFILE: _OVERLOAD,
    errno.ENOMEM: _OVERLOAD,
    errno.EAGAIN: _OVERLOAD,
}


def explained(error: OSError) -> str:
    """What the system says, and what to do about it where that is known."""
    text = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{text}; {remedy.format(account=account())}" if remedy else text


def account() -> str:
    """The name of the account we run as, or its number."""
    import pwd  # only for somebody to read

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
