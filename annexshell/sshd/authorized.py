"""authorized_keys as sshd reads them: a key, its forced command, its environment.

Only options that are fully honoured are accepted. A line with any other is refused as a
whole and named in the log: an option that is ignored is a restriction that is not there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import asyncssh
import attrs

_HARMLESS = frozenset(
    (
        "restrict",
        "no-agent-forwarding",
        "no-port-forwarding",
        "no-pty",
        "no-user-rc",
        "no-x11-forwarding",
    )
)
"""They take away what this server never offers."""


class BadLine(Exception):
    """Why a line of authorized_keys is refused."""


@attrs.frozen
class AuthorizedKey:
    """One usable line."""

    key: asyncssh.SSHKey
    command: str | None = None
    """Run by ``/bin/sh -c`` in place of what the client asks for."""
    environment: tuple[tuple[str, str], ...] = ()
    origins: str | None = None
    """The pattern list of ``from=``."""

    def accepts(self, key: asyncssh.SSHKey, address: str) -> bool:
        """Whether this line lets ``key`` in from the network address ``address``."""
        if key != self.key:
            return False
        if self.origins is None:
            return True
        found = _restricted(self.key, self.origins)
        return found.validate(key, address, address) is not None


def _restricted(key: asyncssh.SSHKey, origins: str) -> asyncssh.SSHAuthorizedKeys:
    """asyncssh's matching of network addresses; raises ValueError for a bad list."""
    public = key.export_public_key("openssh").decode().strip()
    return asyncssh.import_authorized_keys(f'from="{origins}" {public}')


def read_authorized_keys(
    text: str, refused: Callable[[int, str], None]
) -> list[AuthorizedKey]:
    """The usable lines; ``refused`` is told number and reason of every other one."""
    keys: list[AuthorizedKey] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            keys.append(_read_line(line))
        except BadLine as error:
            refused(number, str(error))
    return keys


def _read_line(line: str) -> AuthorizedKey:
    options: list[tuple[str, str | None]] = []
    key = _public_key(line)
    if key is None:
        options, rest = _split_options(line)
        key = _public_key(rest)
    if key is None:
        raise BadLine("no public key that is understood")
    return _with_options(key, options)


def _public_key(text: str) -> asyncssh.SSHKey | None:
    try:
        return asyncssh.import_public_key(text)
    except asyncssh.KeyImportError:
        return None


def _split_options(line: str) -> tuple[list[tuple[str, str | None]], str]:
    """Options by OpenSSH's rules, and the rest: in quotes only ``\\"`` is special."""
    options: list[tuple[str, str | None]] = []
    at = 0
    while True:
        start = at
        while at < len(line) and line[at] not in ',= \t"':
            at += 1
        name, value = line[start:at].lower(), None
        if line[at : at + 2] == '="':
            value, at = _quoted(line, at + 2)
        if not name:
            raise BadLine("an option without a name")
        options.append((name, value))
        if line[at : at + 1] != ",":
            break
        at += 1
    if line[at : at + 1] not in (" ", "\t"):
        raise BadLine(f"the option {name} is not followed by a comma or a key")
    return options, line[at:].strip()


def _quoted(line: str, at: int) -> tuple[str, int]:
    found: list[str] = []
    while at < len(line):
        if line[at] == '"':
            return "".join(found), at + 1
        if line.startswith('\\"', at):
            at += 1
        found.append(line[at])
        at += 1
    raise BadLine("a quote that is not closed")


def _with_options(
    key: asyncssh.SSHKey, options: list[tuple[str, str | None]]
) -> AuthorizedKey:
    once: dict[str, str] = {}
    environment: dict[str, str] = {}
    for name, value in options:
        if name in _HARMLESS and value is None:
            continue
        if name not in ("command", "environment", "from") or value is None:
            raise BadLine(f"the option {name} is not supported in this form")
        if name == "environment":
            # As in sshd the first one counts: a second may not undo a restriction.
            environment.setdefault(*_variable(value))
        elif name in once:
            raise BadLine(f"the option {name} is given twice")
        else:
            once[name] = value
    origins = once.get("from")
    if origins is not None:
        _check_origins(key, origins)
    return AuthorizedKey(key, once.get("command"), tuple(environment.items()), origins)


def _check_origins(key: asyncssh.SSHKey, origins: str) -> None:
    # The list is quoted again for asyncssh, so nothing in it may need escaping.
    if not origins.strip() or "\\" in origins or '"' in origins:
        raise BadLine("the list of from= cannot be used")
    try:
        for pattern in origins.split(","):
            if "/" in pattern:
                # asyncssh would take it for a host's name, and "!10.0.0.1/24,*" then
                # keeps nobody out.
                ipaddress.ip_network(pattern.strip().removeprefix("!"))
        _restricted(key, origins)
    except ValueError as error:
        raise BadLine(f"the list of from= cannot be used: {error}") from error


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isascii() or not name.replace("_", "a").isalnum():
        raise BadLine(f"environment={text} is not of the form NAME=VALUE")
    return name, value
