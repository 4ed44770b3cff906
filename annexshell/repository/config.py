"""A repository's git config, read once with one git process (spec 02 §4.1, §18).

Light: the restricted shell reads the config before anything heavy is loaded, so this
module and `open` use the standard library alone, without subprocess and typing.
"""

from __future__ import annotations

import os

from annexshell.repository.gitprocess import git_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TRUE = frozenset(("true", "yes", "on", "1"))
_FALSE = frozenset(("false", "no", "off", "0", ""))
_PREFIXES = "kmgtpezy"


class GitConfig:
    """Names to values; a name without a value (``[a] b``) reads as ``true``."""

    def __init__(self, items: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in items:
            self._values.setdefault(name, []).append(value)

    def adding(self, name: str, value: str) -> GitConfig:
        """The same with another value of ``name``, which is the last."""
        items = ((n, one) for n, every in self._values.items() for one in every)
        return GitConfig([*items, (name, value)])

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
        return int(value) if value is not None and _is_number(value) else default

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
    return _is_number(word) or default


def parse_size(text: str) -> int | None:
    """A data size in bytes, None if it is not one (spec 02 §18)."""
    text = text.strip()
    unit = text.lstrip("0123456789.")
    number = text[: len(text) - len(unit)]
    whole, dot, fraction = number.partition(".")
    if not whole or not (whole + fraction).isdigit() or (dot and not fraction):
        return None
    factor = _unit(unit.strip().lower())
    return None if factor is None else int(float(number) * factor)


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit()


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


def read_config(git_dir: str) -> GitConfig:
    """All of git's config for the repository with this git directory.

    System, global, worktree and included config count too. Raises GitFailed with git's
    complaint.
    """
    text = ask_git(git_dir) if known is None else known(git_dir)
    return GitConfig([_item(record) for record in text.split(b"\0") if record])


def ask_git(git_dir: str) -> bytes:
    """git's list of all config, each record ended by a NUL. Raises GitFailed."""
    return git_output(git_dir, "config", "--null", "--list")


known: Callable[[str], bytes] | None = None
"""Stands in for `ask_git` in a process that knows the answer of earlier ones."""


def _item(record: bytes) -> tuple[str, str]:
    name, newline, value = record.partition(b"\n")
    return os.fsdecode(name), os.fsdecode(value) if newline else "true"
