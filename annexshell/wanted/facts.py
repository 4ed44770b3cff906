"""What preferred content is decided from (spec 04 §1, §2).

Text is decoded as UTF-8 with surrogateescape, whatever the locale is: gateway and clients
have to agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Protocol

import attrs

from annexshell.logs.clusters import with_clusters
from annexshell.logs.mapped import Trust
from annexshell.model.ids import UUID
from annexshell.model.key import Key


@attrs.frozen(slots=False)
class Configuration:
    """What is said of all repositories at one moment.

    ``preferred``, ``required`` and ``group_preferred`` have the expressions, the last one
    by group. ``groups`` has each repository's groups, those of the dead too. ``maxsize`` is
    in bytes. Who is not in ``trust`` is semitrusted. ``clusters`` has each cluster's living
    nodes. ``numcopies`` is the one for all files, at least 1. ``directories`` has the
    ``preferreddir`` of special remotes. ``threshold`` is annex.fullybalancedthreshhold in
    percent, ``rebalance`` the option of that name.
    """

    preferred: Mapping[UUID, str] = attrs.field(factory=dict)
    required: Mapping[UUID, str] = attrs.field(factory=dict)
    group_preferred: Mapping[str, str] = attrs.field(factory=dict)
    groups: Mapping[UUID, frozenset[str]] = attrs.field(factory=dict)
    maxsize: Mapping[UUID, int] = attrs.field(factory=dict)
    trust: Mapping[UUID, Trust] = attrs.field(factory=dict)
    clusters: Mapping[UUID, frozenset[UUID]] = attrs.field(factory=dict)
    numcopies: int = 1
    directories: Mapping[UUID, str] = attrs.field(factory=dict)
    threshold: float = 90.0
    rebalance: bool = False

    @cached_property
    def members(self) -> Mapping[str, frozenset[UUID]]:
        """Each group's repositories."""
        found: dict[str, set[UUID]] = {}
        for uuid, groups in self.groups.items():
            for group in groups:
                found.setdefault(group, set()).add(uuid)
        return {group: frozenset(uuids) for group, uuids in found.items()}

    def trusted(self, uuid: UUID) -> Trust:
        """How far the repository is trusted."""
        return self.trust.get(uuid, Trust.SEMITRUSTED)

    def locations(self, holders: frozenset[UUID]) -> frozenset[UUID]:
        """Of those that the log lists the living, with their clusters (spec 04 §3.3).

        A cluster can be dead too.
        """
        found = with_clusters(holders, self.clusters) if holders else holders
        return frozenset(u for u in found if self.trusted(u) is not Trust.DEAD)


class Facts(Protocol):
    """What is known of one key, or of a file whose key is not known; looked up when asked.

    ``file`` is relative to the top of the repository, None if none is known. Everything may
    block, and raise what reading the branch raises.
    """

    @property
    def key(self) -> Key | None: ...

    @property
    def file(self) -> str | None: ...

    def holders(self) -> frozenset[UUID]:
        """Those that the location log lists as having the content, dead ones too."""

    def here(self) -> UUID | None:
        """The repository for which having the content is asked of `holds`; None for none."""

    def holds(self) -> bool:
        """Whether the content is in the repository `here`."""

    def metadata(self) -> Mapping[str, frozenset[str]]:
        """The current values of each field; names of fields are case-folded."""

    def urls(self) -> frozenset[str]:
        """The recorded urls, as they stand in the log."""

    def equivalents(self) -> frozenset[Key]:
        """The recorded keys that a VURL key stands for."""

    def numcopies(self) -> int | None:
        """What the attributes of ``file`` say; None if they say nothing."""

    def unused(self) -> bool:
        """Whether `git annex unused` has found that nothing uses the key."""

    def sizes(self) -> Mapping[UUID, int]:
        """Bytes that each repository has, and that are on their way there (spec 04 §8)."""


@attrs.frozen
class Question:
    """Whether ``uuid`` wants what ``facts`` are of.

    The repositories in ``absent`` are assumed not to have the content. ``default`` is the
    answer where nothing is configured.
    """

    uuid: UUID
    facts: Facts
    configuration: Configuration
    default: bool = False
    absent: frozenset[UUID] = frozenset()
