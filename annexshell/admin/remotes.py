"""The remotes that a gateway can publish: by git's config, and through other gateways."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import attrs

from annexshell.admin.changes import Snapshot
from annexshell.admin.errors import ExportOnly, IllegalName, UnknownUUID
from annexshell.errors import AnnexshellError
from annexshell.logs.proxies import is_legal_name
from annexshell.model.ids import UUID, is_safe_uuid
from annexshell.proxy.instantiated import Remote, instantiated
from annexshell.repository.config import GitConfig, as_boolean

_SPECIAL = (
    *("adb", "borgrepo", "buprepo", "compute", "ddarrepo", "directory"),
    *("externaltype", "glacier", "hooktype", "httpalso", "mask", "rclone"),
    *("rsyncurl", "s3", "tahoe", "web", "webdav"),
)
"""What tells that a remote without url is a special remote, and of which type."""
_NO_UUID = UUID(b"")

PROXY = "proxy to this remote"
NODE = "use this remote as a cluster node"


@attrs.frozen
class Candidate:
    """A remote, with the type of a special one. ``remote.uuid`` is empty if not known."""

    remote: Remote
    special: str = ""
    export_only: bool = False

    def refusal(self, use: str) -> AnnexshellError | None:
        """Why it cannot be put to ``use``, None if it can."""
        name = self.remote.name
        if not self.remote.uuid:
            return UnknownUUID(name=name, use=use)
        if self.export_only:
            return ExportOnly(name=name, use=use)
        if not is_legal_name(os.fsencode(name)):
            return IllegalName(name=name, use=use)
        return None


def candidates(known: Snapshot) -> list[Candidate]:
    """Git remotes by name, then special remotes, then those that gateways bring."""
    config = known.config
    found = [one for name in config.remotes() for one in _configured(known, name)]
    found.sort(key=lambda c: (c.special, os.fsencode(c.remote.name)))
    return [*found, *(Candidate(remote) for remote in behind_gateways(known))]


def behind_gateways(known: Snapshot) -> Iterator[Remote]:
    """The remotes that are reached through a gateway that is a remote (spec 01 §11.2)."""
    living = {uuid: known.living(uuid) for uuid in known.recorded}
    return instantiated(known.config, known.lines, living)


def usable(
    found: Iterable[Candidate], use: str
) -> tuple[list[Remote], tuple[AnnexshellError, ...]]:
    """Those that can be put to ``use``, and why the others cannot."""
    good, warnings = [], []
    for candidate in found:
        refusal = candidate.refusal(use)
        if refusal is None:
            good.append(candidate.remote)
        else:
            warnings.append(refusal)
    return good, tuple(warnings)


def is_published(config: GitConfig, remote: Remote) -> bool:
    """Whether the config asks for it; any value of annex-cluster-node does."""
    if as_boolean(remote.setting(config, "proxy"), False):
        return True
    return remote.setting(config, "cluster-node") is not None


def _configured(known: Snapshot, name: str) -> Iterator[Candidate]:
    config = known.config
    uuid = UUID(os.fsencode(config.get(f"remote.{name}.annex-uuid") or ""))
    if not is_safe_uuid(uuid):
        uuid = _NO_UUID
    remote = Remote(name, uuid, name)
    if config.get(f"remote.{name}.url") is not None:
        yield Candidate(remote)
        return
    kinds = [k for k in _SPECIAL if config.get(f"remote.{name}.annex-{k}") is not None]
    if kinds:
        yield Candidate(remote, kinds[0], _is_export_only(known, name, uuid))


def _is_export_only(known: Snapshot, name: str, uuid: UUID) -> bool:
    own = known.config.get(f"remote.{name}.annex-config-uuid")
    settings = known.special.get(UUID(os.fsencode(own)) if own else uuid, {})
    return as_boolean(settings.get("exporttree"), False) and not as_boolean(
        settings.get("annexobjects"), False
    )
