"""Which repository an operator means, and what repositories are called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

import attrs

from annexshell.admin.changes import Snapshot, snapshot
from annexshell.admin.errors import (
    NoSuchRepository,
    RepositoryWithoutUUID,
    SeveralRepositories,
)
from annexshell.admin.gateway import Gateway
from annexshell.admin.remotes import candidates
from annexshell.errors import printable
from annexshell.model.ids import UUID

_HERE = (".", "here")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@attrs.frozen(slots=False)
class Names:
    """Everything a repository can be named by, at one moment."""

    known: Snapshot
    path: str

    @classmethod
    def of(cls, gateway: Gateway) -> Names:
        """Raises BranchUnreadable and JournalFailed."""
        return cls(snapshot(gateway), gateway.repository.path)

    @cached_property
    def remotes(self) -> Mapping[str, UUID]:
        """Remotes by name, those behind gateways too; no uuid if it is not known."""
        found = [candidate.remote for candidate in candidates(self.known)]
        return {remote.name: remote.uuid for remote in reversed(found)}

    def uuid(self, name: str) -> UUID:
        """The repository that ``name`` means.

        As git-annex has it: ``here``, a remote, a description that is the only one, or a
        uuid that is known. But a uuid comes before a description: whoever may push chooses
        those. Raises NoSuchRepository, SeveralRepositories and RepositoryWithoutUUID.
        """
        if name in _HERE:
            return self.known.gateway
        if name in self.remotes:
            if not self.remotes[name]:
                raise RepositoryWithoutUUID(name=name, path=self.path)
            return self.remotes[name]
        text = name.encode("utf-8", "surrogateescape")
        if not text:
            raise NoSuchRepository(name="", path=self.path)
        if text in self.uuids:
            return UUID(text)
        found = [u for u, about in self.known.descriptions.items() if about == text]
        if len(found) > 1:
            several = ", ".join(printable(uuid) for uuid in sorted(found)[:_SHOWN])
            raise SeveralRepositories(name=name, path=self.path, uuids=several)
        if not found:
            raise NoSuchRepository(name=name, path=self.path)
        return found[0]

    @cached_property
    def uuids(self) -> frozenset[UUID]:
        """Those of uuid.log, of remotes, and our own."""
        own = {self.known.gateway, *self.known.descriptions, *self.remotes.values()}
        return frozenset(own - {UUID(b"")})

    def spelled(self, uuid: UUID) -> str:
        """``description [remote]`` as git-annex spells it, fit to be printed.

        Empty if nothing is known but the uuid.
        """
        about = printable(self.known.descriptions.get(uuid, b""))
        return _with_name(about, self._own_name(uuid))

    def described(self, uuid: UUID) -> str:
        """As git-annex has it in JSON, which knows no ``here``; what is no UTF-8 is
        spelled out."""
        about = self.known.descriptions.get(uuid, b"").decode(
            "utf-8", "backslashreplace"
        )
        own = uuid == self.known.gateway
        return about if own else _with_name(about, self._names.get(uuid, ""))

    def short(self, uuid: UUID) -> str:
        """A remote's name, else a description, else the uuid; fit to be printed."""
        about = printable(self.known.descriptions.get(uuid, b""))
        return self._own_name(uuid) or about or printable(uuid)

    def in_text(self, text: str) -> str:
        """``text`` with what repositories are called in place of their uuids."""
        return _UUID.sub(lambda found: self.short(UUID(found[0].encode())), text)

    def _own_name(self, uuid: UUID) -> str:
        if uuid == self.known.gateway:
            return "here"
        return printable(self._names.get(uuid, ""))

    @cached_property
    def _names(self) -> Mapping[UUID, str]:
        return {uuid: name for name, uuid in self.remotes.items() if uuid}


def _with_name(about: str, remote: str) -> str:
    if not about or about == remote:
        return remote
    return f"{about} [{remote}]" if remote else about


_SHOWN = 5
