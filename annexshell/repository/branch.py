"""The git-annex branch as this repository knows it now (spec 03 §11.1, §12.1, §12.2).

What is known about a file is what the journal and the branch say together, always: either
alone may lack lines of the other. Nothing is cached that could be old: other processes write both.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING

from annexshell.errors import JournalFailed, LockTimeout, printable
from annexshell.logs import clusters, location, mapped, proxies
from annexshell.logs.mapped import Trust
from annexshell.logs.merge import join
from annexshell.logs.proxies import Proxied
from annexshell.model.clock import SECOND, Clock, clock_now
from annexshell.model.ids import UUID, is_cluster_uuid, is_safe_uuid
from annexshell.model.key import Key
from annexshell.repository.absence import Absence
from annexshell.repository.accounts import Accounts
from annexshell.repository.journal import MAX_LOG, Journal
from annexshell.repository.open import Repository

if TYPE_CHECKING:
    from annexshell.repository.git import Git, ObjectId
    from annexshell.repository.settling import Settling

    Source = tuple[ObjectId | None, *tuple[bytes | None, ...]]

log = logging.getLogger(__name__)

Edit = Callable[[bytes], bytes | None]
"""From a log's text to its whole new text, None for no change."""

_BRANCH = "refs/heads/git-annex"
_OF_CLUSTERS = (b"cluster.log", b"trust.log")
_MAX_LINE = 64 << 10
_DAY = 86400 * SECOND


class Branch:
    """Reading and writing the logs of one repository.

    ``clock`` replaces the time of every change (GIT_ANNEX_VECTOR_CLOCK). ``timeout`` is
    how many seconds to wait for the journal's lock. Everything blocks; reading takes no
    lock. Raises BranchUnreadable and JournalFailed, which is never taken for an empty log;
    what writes raises LockTimeout too.
    """

    def __init__(
        self,
        repository: Repository,
        clock: Clock | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        self._repository = repository
        self._config = repository.config
        self._clock = clock
        self._timeout = timeout
        self._journal = Journal(repository)
        self._clusters: tuple[object, dict[UUID, frozenset[UUID]]] | None = None
        self._unsynced: set[bool] = set()
        self._one_level = self._config.boolean("annex.tune.branchhash1", False)

    # -- reading --------------------------------------------------------------------------

    def read(self, path: bytes) -> bytes:
        """All that is known of the file at ``path``; empty if there is none."""
        # Journal first, then the ref: a commit moves the ref before it deletes the file.
        private = self._read_private(path) if self.private_uuids else None
        return self._join(path, self._public(path), private)

    def holders(self, key: Key) -> frozenset[UUID]:
        """The repositories said to have the content."""
        return location.holders(self.read(self.location_path(key)))

    def locations(self, key: Key) -> frozenset[UUID]:
        """The repositories said to have the content, with the clusters they make up."""
        path = self.location_path(key)
        # As `read`, with one look at the ref for both.
        private = self._read_private(path) if self.private_uuids else None
        waiting = self._journal.read(path)
        source = self._source(_OF_CLUSTERS)
        public = self._join(path, self._committed(path, source[0]), waiting)
        found = location.holders(self._join(path, public, private))
        if not found or not (known := self._known_clusters(source)):
            return found
        return clusters.with_clusters(found, known)

    def descriptions(self) -> dict[UUID, bytes]:
        """uuid.log; the text is whatever somebody chose, not fit for a terminal."""
        return mapped.descriptions(self.read(b"uuid.log"))

    def trust(self) -> dict[UUID, Trust]:
        """trust.log, overridden by remote.<name>.annex-trustlevel of the git config."""
        levels = mapped.trust_levels(self.read(b"trust.log"))
        words = {level.value: level for level in Trust}
        for remote in self._config.remotes():
            level = words.get(
                self._config.get(f"remote.{remote}.annex-trustlevel") or ""
            )
            uuid = self._config.get(f"remote.{remote}.annex-uuid")
            if level is not None and uuid:
                levels[UUID(os.fsencode(uuid))] = level
        return levels

    def proxied_by(self, gateway: UUID) -> tuple[Proxied, ...]:
        """What the gateway says it is a proxy for; being listed alone permits nothing."""
        return proxies.proxied_by(self.read(b"proxy.log")).get(gateway, ())

    def clusters(self) -> dict[UUID, frozenset[UUID]]:
        """Each cluster's nodes that are not dead.

        Every request to a cluster asks. So what was read is kept, together with all that
        it was read from: the commit, and what waited in the journal.
        """
        return dict(self._known_clusters(self._source(_OF_CLUSTERS)))

    def _known_clusters(self, source: Source) -> dict[UUID, frozenset[UUID]]:
        if self._clusters is None or self._clusters[0] != source:
            self._clusters = source, self._living_nodes()
        return self._clusters[1]

    def source(self, paths: Iterable[bytes]) -> object:
        """What `read` of these files goes by: while this is equal, so are their texts.

        To be asked before they are read. Takes microseconds, unlike reading.
        """
        return self._source(paths)

    def _source(self, paths: Iterable[bytes]) -> Source:
        # Journal first, as in `read`.
        waiting: list[bytes | None] = []
        for path in paths:
            waiting.append(self._journal.read(path))
            if self.private_uuids:
                waiting.append(self._read_private(path))
        return (self._git.tip(_BRANCH), *waiting)

    def _living_nodes(self) -> dict[UUID, frozenset[UUID]]:
        known = clusters.clusters(self.read(b"cluster.log"))
        if not known:
            return known
        dead = [uuid for uuid, level in self.trust().items() if level is Trust.DEAD]
        return clusters.without_dead(known, dead)

    def location_path(self, key: Key) -> bytes:
        """The branch path of the key's location log."""
        return location.location_path(key, one_level=self._one_level)

    @property
    def dirty(self) -> bool:
        """Whether something waits in the journal; cheap, unlike `settle`."""
        return bool(self._journal.names(1))

    # -- writing --------------------------------------------------------------------------

    def record(
        self,
        key: Key,
        uuid: UUID,
        present: bool,
        *,
        unless: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Say in the journal, durably, whether ``uuid`` has the content.

        Returns whether that was news. A cluster never has content of its own: no-op.
        ``unless`` is asked under the journal's lock; if it says yes nothing is written.
        """
        if is_cluster_uuid(uuid):
            return False
        _check_uuids(key, (uuid,))
        clock = self._now()
        with self._journal.locked(self._timeout):
            return not unless() and self._record(key, {uuid: present}, clock)

    def record_all(self, key: Key, found: Mapping[UUID, bool]) -> bool:
        """`record` for several repositories at once: all of them, or none."""
        return self._record_all(key, found, self._timeout)

    def _record_all(
        self, key: Key, found: Mapping[UUID, bool], timeout: float | None
    ) -> bool:
        found = {uuid: found[uuid] for uuid in found if not is_cluster_uuid(uuid)}
        _check_uuids(key, found)
        clock = self._now()
        with self._journal.locked(timeout):
            return self._record(key, found, clock)

    def record_at_once(self, key: Key, found: Mapping[UUID, bool]) -> bool:
        """`record_all`, where nobody has the journal's lock and it takes no time to load
        what it needs; False, with nothing done, where it would."""
        if "_git" not in self.__dict__:
            return False
        try:
            self._record_all(key, found, 0)
        except LockTimeout:
            return False
        return True

    def _record(self, key: Key, found: Mapping[UUID, bool], clock: Clock) -> bool:
        """With the journal's lock."""
        path, changed = self.location_path(key), False
        for private in (False, True):
            here = [u for u in found if (u in self.private_uuids) == private]
            if not here:
                continue
            base = new = self._base(path, private)
            for uuid in here:
                said = location.with_line(new, uuid, found[uuid], clock)
                if said is not None:
                    new, written = said
                    _doubt_future(written, uuid)
            if new != base:
                self._journal.write(path, new, private=private)
                changed = True
            self.accounts.completed(key, base, new, [u for u in here if found[u]])
        return changed

    def check_recordable(self, key: Key, uuid: UUID) -> None:
        """Raise what `record` would: to be asked before content is removed (§11.5)."""
        if is_cluster_uuid(uuid):
            return
        _check_uuids(key, (uuid,))
        path, private = self.location_path(key), uuid in self.private_uuids
        with self._journal.locked(self._timeout):
            self._base(path, private)
            self._journal.check(path, private=private)

    def removing(
        self, key: Key, uuid: UUID, then: Callable[[], None] = lambda: None
    ) -> Absence:
        """`check_recordable` and `record` of an absence under one lock of the journal.

        The content goes before what this gives is closed, which must not take long, and is
        recorded by its `record`: all that it needs is on the disk by then but for one
        rename, which `sync` has reach it. ``then`` is called once it is recorded.
        """
        if is_cluster_uuid(uuid):
            return Absence(then)
        _check_uuids(key, (uuid,))
        clock = self._now()
        path, private = self.location_path(key), uuid in self.private_uuids
        lock = self._journal.locked(self._timeout)
        try:
            base = self._base(path, private)
            said = location.with_line(base, uuid, False, clock)
            if said is None:
                return Absence(then, lock)
            new, written = said
            _doubt_future(written, uuid)
            staged = self._journal.staged(path, new, private=private)
        except BaseException:
            lock.close()
            raise

        def recorded() -> None:
            self._unsynced.add(private)
            self.accounts.completed(key, base, new, ())
            then()

        return Absence(recorded, lock, staged)

    def sync(self) -> None:
        """Have what was recorded in `removing` reach the disk."""
        while self._unsynced:
            self._journal.sync(private=self._unsynced.pop())

    def change(self, path: bytes, uuid: UUID, edit: Edit) -> bool:
        """Edit any log, on behalf of ``uuid``; returns whether the text changed.

        What concerns a private repository stays out of the branch (spec 03 §7.2).
        """
        private = uuid in self.private_uuids
        with self._journal.locked(self._timeout):
            new = edit(self._base(path, private))
            if new is None:
                return False
            self._journal.write(path, new, private=private)
        return True

    def journal_locked(self) -> AbstractContextManager[object]:
        """Nobody writes to the journal or commits it within the block."""
        return self._journal.locked(self._timeout)

    def settle(self, timeout: float | None = None) -> None:
        """Commit the journal and merge sibling branches; nothing to do is fine.

        Fit for a thread of its own. Raises BranchNotCommitted where git does not let us,
        and LockTimeout; what was recorded then stays in the journal, safe.
        """
        self._settling().run(self._timeout if timeout is None else timeout)

    def create(self) -> None:
        """Make the branch if the repository has none (spec 03 §2)."""
        self._settling().create()

    # -- parts ----------------------------------------------------------------------------

    def _settling(self) -> Settling:
        from annexshell.repository.settling import Settling

        return Settling(self._repository, self._journal)

    @cached_property
    def accounts(self) -> Accounts:
        """What is told of sizes, where they are known; opens nothing."""
        return Accounts(self._repository)

    @cached_property
    def _git(self) -> Git:
        # Importing pygit2 takes longer than many sessions do.
        from annexshell.repository.settling import open_git

        return open_git(self._repository)

    @cached_property
    def private_uuids(self) -> frozenset[UUID]:
        """The repositories that the branch must not know of."""
        config, found = self._config, set()
        if config.boolean("annex.private", False):
            found.add(self._repository.uuid)
        for remote in config.remotes():
            if config.boolean(f"remote.{remote}.annex-private", False):
                own = config.get(f"remote.{remote}.annex-config-uuid")
                uuid = own or config.get(f"remote.{remote}.annex-uuid")
                found.add(UUID(os.fsencode(uuid or "")))
        return frozenset(found - {UUID(b"")})

    def _public(self, path: bytes) -> bytes:
        waiting = self._journal.read(path)
        return self._join(path, self._committed(path, self._git.tip(_BRANCH)), waiting)

    def _committed(self, path: bytes, tip: ObjectId | None) -> bytes:
        return b"" if tip is None else self._git.text_at(tip, path, MAX_LOG)

    def _read_private(self, path: bytes) -> bytes | None:
        try:
            return self._journal.read(path, private=True)
        except JournalFailed as error:
            log.warning("%s", error)
            return None

    def _base(self, path: bytes, private: bool) -> bytes:
        """What a writer starts from; public writes must not reveal private lines."""
        text = self._public(path)
        if private:
            text = self._join(path, text, self._journal.read(path, private=True))
        if len(text) > _MAX_LINE and max(map(len, text.split(b"\n"))) > _MAX_LINE:
            raise JournalFailed(where=path, detail=f"a line of over {_MAX_LINE} bytes")
        return text

    def _join(self, path: bytes, one: bytes, other: bytes | None) -> bytes:
        if other is None:
            return one
        is_location = location.is_location_path(path, one_level=self._one_level)
        return join(one, other, location=is_location)

    def _now(self) -> Clock:
        return clock_now() if self._clock is None else self._clock


def _doubt_future(written: Clock, uuid: UUID) -> None:
    if written > clock_now() + _DAY:
        log.warning(
            "a log line about %s is dated in the future: check that machine's clock",
            printable(uuid),
        )


def _check_uuids(key: Key, uuids: Iterable[UUID]) -> None:
    """Others would read a line about anything else as something else."""
    if not all(map(is_safe_uuid, uuids)):
        raise JournalFailed(where=key, detail="not the uuid of a repository")
