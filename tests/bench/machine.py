"""What the figures were measured on."""

from __future__ import annotations

import hashlib
import os
import platform
import ssl
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path

import annexshell
from tests.support.client import Client
from tests.support.world import ROOT

_PART = 1 << 20
_HASHED = 128


def facts(client: Client, place: Path) -> dict[str, str]:
    """The machine and the versions; repositories lie at ``place``."""
    info = Path("/proc/cpuinfo").read_text()
    return {
        "Date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "Processor": processor(info),
        "Cores": str(os.cpu_count()),
        "SHA instructions": "yes" if has_sha(info) else "no",
        "SHA-256, one core": f"{hash_speed() / 1e9:.2f} GB/s ({ssl.OPENSSL_VERSION})",
        "Memory": f"{_memory() / (1 << 30):.0f} GiB",
        "Kernel": f"{platform.system()} {platform.release()}",
        "File system": file_system(Path("/proc/mounts").read_text(), place),
        "Python": platform.python_version(),
        "git": _said("git", "--version").removeprefix("git version "),
        "git-annex": client.version,
        "OpenSSH": _said("ssh", "-V"),
        "annexshell": f"{annexshell.__version__} ({_commit()})",
    }


def processor(info: str) -> str:
    """The name of the processor, from the text of /proc/cpuinfo."""
    for line in info.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    return platform.machine()


def has_sha(info: str) -> bool:
    """Whether it has instructions for SHA-256."""
    flags = {"sha_ni", "sha2"}
    return any(
        flags & set(line.partition(":")[2].split())
        for line in info.splitlines()
        if line.startswith(("flags", "Features"))
    )


def hash_speed() -> float:
    """Bytes that one thread hashes by SHA-256 in a second of processor time."""
    digest, part = hashlib.sha256(), bytes(_PART)
    begun = time.process_time()
    for _ in range(_HASHED):
        digest.update(part)
    return _HASHED * _PART / (time.process_time() - begun)


def file_system(mounts: str, place: Path) -> str:
    """The file system at ``place`` and how it is mounted, from the text of /proc/mounts.

    Options are told because they count: with "discard" a commit after something was
    removed waits for the device.
    """
    found = ("/", "unknown")
    for line in mounts.splitlines():
        _, point, kind, options, *_ = line.split()
        if place.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, f"{kind} ({options.replace(',', ', ')})")
    return found[1]


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _said(*command: str) -> str:
    """The first line a program says, on either stream; what is missing is said so."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT
        )
    except FileNotFoundError:
        return "not installed"
    return (done.stdout + done.stderr).partition("\n")[0].strip()


def _commit() -> str:
    told = _said("git", "describe", "--always", "--dirty", "--abbrev=10")
    return "no checkout" if told.startswith("fatal") else told
