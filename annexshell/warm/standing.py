"""What the kernel lets a process do, as /proc tells it: has a session the launcher's?

A session is forked by the resident, so its limits, capabilities, namespaces and so on are
those of whoever started that one. Where anything differs, the launcher serves by itself.
"""

from __future__ import annotations

import os

_COMPARED = (
    *(
        "Uid",
        "Gid",
        "Groups",
        "SigBlk",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
    ),
    *("NoNewPrivs", "Seccomp", "Seccomp_filters", "Speculation_Store_Bypass"),
    *("Cpus_allowed", "Mems_allowed"),
)
_OF_THE_LIBRARY = 0b11 << 31
"""Signals 32 and 33, which the C library keeps for itself and posix_spawn ignores."""
_NAMESPACES = ("mnt", "user", "pid", "net", "uts", "ipc", "time")

Standing = tuple[object, ...]


def standing(pid: int) -> tuple[Standing, int]:
    """All that has to be equal, and the umask. Raises OSError and KeyError."""
    process = f"/proc/{pid}"
    status = _status(_read(f"{process}/status"))
    root = os.stat(f"{process}/root/")
    return (
        tuple(status.get(name) for name in _COMPARED),
        int(status["SigIgn"], 16) & ~_OF_THE_LIBRARY,
        _read(f"{process}/limits"),
        (root.st_dev, root.st_ino),
        tuple(_namespace(f"{process}/ns/{name}") for name in _NAMESPACES),
        _label(f"{process}/attr/current"),
        _label(f"{process}/loginuid"),
        os.sched_getscheduler(pid),
        os.getpriority(os.PRIO_PROCESS, pid),
    ), int(status["Umask"], 8)


def _status(text: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in text.decode("latin-1").splitlines())
    return {name: value.strip() for name, _, value in lines}


def _namespace(path: str) -> str | None:
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return None  # a kernel without this kind


def _label(path: str) -> bytes | None:
    """Of the security module or the kernel's audit, None where there is no such thing."""
    try:
        return _read(path)
    except OSError:
        return None


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16)
    finally:
        os.close(fd)
