"""What is seen of one key by preferred content, maxsize and sizes (spec 04 §11).

All nodes are judged by one snapshot, and where sizes count, room is spoken for before
anybody else may look. git-annex judges one node after the other, each with what the one
before has changed, and so stores extra copies.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import attrs

from annexshell.errors import AnnexshellError, printable
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.placement.complaints import Complaints
from annexshell.placement.configuration import Settings
from annexshell.placement.facts import BranchFacts, associated_file
from annexshell.placement.judge import Judge
from annexshell.repository.branch import Branch
from annexshell.repository.gitprocess import GitFailed
from annexshell.repository.open import Repository
from annexshell.wanted.evidence import Known
from annexshell.wanted.preferences import Preferences

if TYPE_CHECKING:
    from annexshell.repository.sizes import RepoSizes

_UNREADABLE = (AnnexshellError, GitFailed, OSError)


@attrs.define(eq=False)
class Sight:
    """One key as it is at one moment: a `View`. It is good until the choice is made."""

    judge: Judge
    facts: BranchFacts
    complaints: Complaints
    told: bool = False
    _known: Known = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # One for all nodes: who is picked by sizes is the same, whoever asks.
        self._known = Known(self.facts, self.judge.configuration)

    def wants(self, uuid: UUID) -> bool:
        """See `View`. Where a fact cannot be read the key is taken for wanted."""
        preferences = self.judge.preferences
        try:
            self._known.spend(preferences.work(uuid))
            self.complaints.look_at(uuid, preferences.preferred(uuid))
            return self.judge.wants(uuid, self.facts, default=True, known=self._known)
        except _UNREADABLE as error:
            self._tell(error)
            return True

    def left(self, uuid: UUID) -> int | None:
        """See `View`; below 0 for a repository that is over its maxsize."""
        most = self.judge.configuration.maxsize.get(uuid)
        if most is None:
            return None
        try:
            used = self.facts.sizes().get(uuid)
        except _UNREADABLE as error:
            self._tell(error)
            return None
        return None if used is None else most - used

    @property
    def _key(self) -> str:
        return printable(self.facts.key.text if self.facts.key else "it")

    def _tell(self, error: Exception) -> None:
        if not self.told:
            self.told = True
            self.complaints.cannot_tell(self._key, error)


class Outlook:
    """Looks and chooses for one session. Fit for one thread at a time."""

    def __init__(self, repository: Repository, branch: Branch) -> None:
        self._repository = repository
        self._branch = branch
        self._settings = Settings(repository, branch)
        self._complaints = Complaints(repository, branch)
        self._sizes: RepoSizes | None = None
        self._goes_by_sizes: tuple[Preferences | None, bool] = (None, False)

    def place(
        self, key: Key, name: bytes, choose: Callable[[Sight], Collection[UUID]]
    ) -> bool:
        """Let ``choose`` pick, and reserve room there if sizes count; whether they do."""
        # Where sizes counted the last time that is not looked up once more before: what
        # was configured while we waited for the lock counts.
        if not self._goes_by_sizes[1]:
            judge = Judge(*self._settings.current())
            if not self._must_count(judge):
                sizes = _Late(self._repo_sizes)
                chosen = choose(self._sight(judge, key, name, sizes))
                if sizes.asked:
                    self.reserve(key, chosen)
                return sizes.asked
        with self._repo_sizes().deciding() as deciding:
            judge = Judge(*self._settings.current())
            self._must_count(judge)
            sizes_now = deciding.sizes
            chosen = choose(self._sight(judge, key, name, lambda: sizes_now))
            deciding.reserve(key, chosen)
        return True

    def reserve(self, key: Key, uuids: Collection[UUID]) -> None:
        """See `RepositoryPlacer`, as for all methods here."""
        self._repo_sizes().add(key, uuids)

    def release(self, key: Key) -> None:
        if self._sizes is not None:
            self._sizes.release(key)

    def close(self) -> None:
        if self._sizes is not None:
            self._sizes.close()
            self._sizes = None

    def _sight(
        self,
        judge: Judge,
        key: Key,
        name: bytes,
        sizes: Callable[[], Mapping[UUID, int]],
    ) -> Sight:
        file = associated_file(name, self._repository.path)
        parts = (self._repository, self._branch, judge.configuration)
        return Sight(judge, BranchFacts(*parts, key, file, sizes), self._complaints)

    def _must_count(self, judge: Judge) -> bool:
        """Whether sizes count for any node of any cluster."""
        if self._goes_by_sizes[0] is not judge.preferences:
            self._goes_by_sizes = (judge.preferences, _goes_by_sizes(judge))
        return self._goes_by_sizes[1]

    def _repo_sizes(self) -> RepoSizes:
        if self._sizes is None:
            from annexshell.repository.sizes import RepoSizes

            self._sizes = RepoSizes(self._repository, self._branch)
        return self._sizes


@attrs.define(eq=False)
class _Late:
    """Sizes for a repository that is, by the branch, no node of any cluster."""

    repo_sizes: Callable[[], RepoSizes]
    asked: bool = False

    def __call__(self) -> Mapping[UUID, int]:
        self.asked = True
        return self.repo_sizes().current()


def _goes_by_sizes(judge: Judge) -> bool:
    nodes = frozenset[UUID]().union(*judge.configuration.clusters.values())
    if not nodes.isdisjoint(judge.configuration.maxsize):
        return True
    return judge.preferences.may_use_sizes(nodes)
