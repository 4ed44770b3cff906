"""A repository's git config, read once with one git process (spec 02 §4.1, §18).

Light: the restricted shell reads the config before anything heavy is loaded, so this
module and `open` use the standard library alone, without subprocess.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

_TRUE = frozenset(("true", "yes", "on", "1"))
_FALSE = frozenset(("false", "no", "off", "0", ""))
_DIGITS = re.compile(r"-?[0-9]+\Z")
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*\Z")
_PREFIXES = "kmgtpezy"


class ConfigFailed(Exception):
    """git could not read the config; the text is git's own complaint."""


class GitConfig:
    """Names to values; a name without a value (``[a] b``) reads as ``true``."""

    def __init__(self, items: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in items:
            self._values.setdefault(name, []).append(value)

    def get(self, name: str) -> str | None:
        """The last value of ``name``; section and variable in lower case."""
        values = self._values.get(name)
        return values[-1] if values else None

    def all(self, name: str) -> list[str]:
        """Every value of ``name``, in git's order."""
        return self._values.get(name, [])

    def names(self, prefix: str) -> Iterator[str]:
        """Every name set that starts with ``prefix``."""
        return (name for name in self._values if name.startswith(prefix))

    def boolean(self, name: str, default: bool) -> bool:
        """git-annex's reading: what is neither true nor false counts as not set."""
        return as_boolean(self.get(name), default)

    def integer(self, name: str, default: int) -> int:
        """A decimal number; anything else counts as not set."""
        value = self.get(name)
        return int(value) if value is not None and _DIGITS.match(value) else default

    def size(self, name: str, default: int) -> int:
        """A size in bytes such as ``100 MB`` or ``1.5GiB``; nonsense counts as not set."""
        value = self.get(name)
        size = None if value is None else parse_size(value)
        return default if size is None else size

    def remotes(self) -> list[str]:
        """The names of all remotes that the config knows anything of, in its order."""
        found = (n[len("remote.") :].rpartition(".")[0] for n in self.names("remote."))
        return list(dict.fromkeys(name for name in found if name))

    def remote(self, remote: str, setting: str) -> str | None:
        """``remote.<remote>.annex-<setting>``, else ``annex.<setting>`` (spec 01 §7.1)."""
        own = self.get(f"remote.{remote}.annex-{setting}")
        return self.get(f"annex.{setting}") if own is None else own


def as_boolean(value: str | None, default: bool) -> bool:
    """git-annex's reading of a boolean setting (spec 02 §18)."""
    if value is None:
        return default
    word = value.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    return _DIGITS.match(word) is not None or default


def parse_size(text: str) -> int | None:
    """A data size in bytes, None if it is not one (spec 02 §18)."""
    found = _SIZE.match(text)
    if found is None:
        return None
    number, unit = float(found[1]), found[2].lower()
    factor = _unit(unit)
    return None if factor is None else int(number * factor)


def _unit(unit: str) -> float | None:
    if unit in ("", "b", "byte", "bytes"):
        return 1
    power = _PREFIXES.find(unit[0]) + 1
    rest = unit[1:]
    if not power:
        return None
    if rest in ("", "b"):
        return float(1000**power)
    if rest == "ib":
        return float(1024**power)
    return float(1000**power) / 8 if rest == "bit" else None


def read_config(directory: str) -> GitConfig:
    """All of git's config for ``directory``.

    Raises ConfigFailed with git's complaint. The path came from the forced command or was
    checked against it, so git's ownership check is not wanted here (spec 02 §4.1).
    """
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    argv = [
        "git",
        "-C",
        directory,
        "-c",
        "safe.directory=*",
        "-c",
        "safe.bareRepository=all",
    ]
    actions = [
        (os.POSIX_SPAWN_DUP2, out_write, 1),
        (os.POSIX_SPAWN_DUP2, err_write, 2),
    ]
    try:
        pid = os.posix_spawnp(
            "git",
            [*argv, "config", "--null", "--list"],
            os.environ,
            file_actions=actions,
        )
    except OSError as error:
        for fd in (out_read, err_read):
            os.close(fd)
        raise ConfigFailed(f"git cannot be run: {error.strerror}") from error
    finally:
        os.close(out_write)
        os.close(err_write)
    with open(out_read, "rb") as out, open(err_read, "rb") as err:
        text = out.read()
        complaint = err.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        raise ConfigFailed(complaint.decode("utf-8", "backslashreplace").strip())
    return GitConfig([_item(record) for record in text.split(b"\0") if record])


def _item(record: bytes) -> tuple[str, str]:
    name, newline, value = record.partition(b"\n")
    return os.fsdecode(name), os.fsdecode(value) if newline else "true"
