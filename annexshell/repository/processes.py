"""What a process that holds a lock is, for a person to find it (Linux: from /proc)."""

from __future__ import annotations

from annexshell.errors import printable

_LONGEST = 60


def described(pid: int) -> str:
    """``process 12 (git-annex get x)``, and whether it is suspended.

    A number that no process here has belongs to another host, or its process just ended.
    """
    try:
        words = _read(pid, "cmdline").replace(b"\0", b" ").strip()
        stat = _read(pid, "stat")
    except OSError:
        return f"process {pid} (not running on this host)"
    name = printable(words or stat.partition(b"(")[2].rpartition(b")")[0])
    if len(name) > _LONGEST:
        name = name[:_LONGEST] + "..."
    state = stat.rpartition(b")")[2].split()[:1]
    if state in ([b"T"], [b"t"]):
        return f"process {pid} ({name}), which is suspended (kill -CONT {pid} wakes it)"
    return f"process {pid} ({name})"


def _read(pid: int, what: str) -> bytes:
    with open(f"/proc/{pid}/{what}", "rb") as file:
        return file.read(4096)
