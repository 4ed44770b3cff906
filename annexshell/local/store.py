"""LocalStore: the repository at hand, or a node on this machine (spec 01 §5, spec 02 §17).

The repository's own code is blocking. What may take long (hashing, syncing, waiting for a
lock, commits) runs in a thread; a stat or an open does not.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import TypeVar

import attrs
import trio

from annexshell.errors import (
    ContentLocked,
    LockTimeout,
    RepositoryReplaced,
    RequestError,
    ShellError,
    TransferInProgress,
)
from annexshell.local.aside import ContentHook, TrashBin
from annexshell.local.intake import LocalIntake
from annexshell.local.threads import in_thread
from annexshell.model.clock import Clock, boot_seconds
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Payload, Validity, nothing
from annexshell.repository.branch import Branch
from annexshell.repository.content import Content
from annexshell.repository.contentlocks import SharedLock
from annexshell.repository.intake import Intake
from annexshell.repository.objects import Found, OpenObject
from annexshell.repository.open import Repository
from annexshell.repository.remedies import explained
from annexshell.repository.retention import RETAIN_NS
from annexshell.repository.space import room
from annexshell.repository.timeouts import stall_timeout
from annexshell.store import AlreadyHave, HeldLock, Outcome

log = logging.getLogger("annexshell.local")

SETTLE_PATIENCE = 5.0
"""Seconds to wait for the journal's lock; a client may be waiting for us meanwhile."""

T = TypeVar("T")


class LocalStore:
    """``repository``, served to ``peer``: the client's uuid, or the gateway's for a node."""

    def __init__(
        self,
        repository: Repository,
        peer: UUID,
        clock: Clock | None = None,
        trash: TrashBin | None = None,
        *,
        alone: bool = False,
    ) -> None:
        """``trash`` is where annex.trashbin leads; without it nothing is removed then.

        ``alone`` says that nothing else in the process goes on while this is asked: then
        no request is worth a thread. Raises UnsupportedVersion.
        """
        self.uuid = repository.uuid
        self._path = repository.path
        self._peer = peer
        self._content = Content(repository)
        self._clock = clock
        self._opened = repository, Branch(repository, clock)
        self._config = repository.config
        self._trash = trash
        self._alone = alone
        self._hook = ContentHook(self._content.annex)
        self._warm = False
        self._checked = repository
        self._kept: list[tuple[SharedLock, float]] = []

    def _fresh(self) -> Content:
        """The content, of the repository that we were asked for and of no other.

        A disk may have been unmounted or replaced under the path (spec 02 §17.5): then
        what is not found there is not absent. Raises RepositoryReplaced.
        """
        try:
            repository = self._content.annex.refresh().repository
            if repository is self._checked:
                return self._content
            found = repository.uuid
        except OSError as error:
            detail = explained(error)
            raise RepositoryReplaced(where=self._path, detail=detail) from error
        except ShellError as error:
            raise RepositoryReplaced(where=self._path, detail=error) from error
        if found != self.uuid:
            detail = "another repository is there now"
            raise RepositoryReplaced(where=self._path, detail=detail)
        self._checked = repository
        return self._content

    @property
    def _branch(self) -> Branch:
        """The log by the config as it was last read: how to lock it, and what is private."""
        now = self._content.annex.repository
        if now is not self._opened[0]:
            self._opened = now, Branch(now, self._clock)
        return self._opened[1]

    def room(self) -> int:
        """Bytes that can be written before the reserve is touched; blocks.

        Raises RepositoryReplaced and StorageFailed.
        """
        return room(self._fresh().annex)

    def _warm_up(self) -> None:
        # Loading what writes the log takes longer than many a transfer.
        if not self._warm:
            self._warm = True
            threading.Thread(target=_load_git).start()

    @property
    def prompt(self) -> bool:
        """Whether `present`, and what `get` begins with, take no thread."""
        return not self._content.annex.thin

    def present_at_once(self, key: Key) -> bool | None:
        content = self._fresh()
        return None if content.annex.thin else content.present(key)

    async def present(self, key: Key) -> bool:
        return await self._maybe_slow(partial(self._fresh().present, key))

    async def _maybe_slow(self, work: Callable[[], T]) -> T:
        # With annex.thin, telling may mean reading all of the content.
        return await in_thread(work) if self._content.annex.thin else work()

    async def _run(self, work: Callable[[], T]) -> T:
        return work() if self._alone else await in_thread(work)

    @asynccontextmanager
    async def lock(self, key: Key) -> AsyncIterator[HeldLock | None]:
        content = self._fresh()
        try:
            lock = await self._run(partial(content.lock_shared, key))
        except ContentLocked:
            lock = None
        if lock is None:
            yield None
            return
        held, until = (
            _LocalLock(lock, self._run),
            trio.current_time() + RETAIN_NS / 10**9,
        )
        try:
            yield held
        finally:
            if lock.promise is None and not held.unlocked:
                # Before version 10 nothing on the disk keeps the promise, only the lock.
                self._kept.append((lock, until))
            else:
                lock.close()

    async def remove(self, key: Key, before: int | None = None) -> Outcome:
        content = self._fresh()
        found, never_came = self._seen(content, key)
        if never_came:
            return Outcome(True)
        self._warm_up()
        # In one go, also if the client is leaving: a gateway's log must hear of it too.
        work = partial(self._remove, content, key, before, found)
        # Only a thread can be called back from, to fill the trash bin.
        run = self._run if self._trash is None else in_thread
        return Outcome(await run(work))

    def _remove(
        self, content: Content, key: Key, before: int | None, found: Found | None
    ) -> bool:
        branch, recorded = self._branch, False

        def note() -> None:
            nonlocal recorded
            recorded = self._hook.due = True

        def record() -> None:
            branch.record(key, self.uuid, False)
            note()

        try:
            removed = content.remove(
                key,
                before,
                boot_seconds,
                prepare=partial(branch.check_recordable, key, self.uuid),
                record=record,
                recording=partial(branch.removing, key, self.uuid, note),
                trash=None if self._trash is None else self._keep_elsewhere,
                found=found,
            )
        finally:
            # Only now: what was freed is freed in one commit. Also after a late failure.
            branch.sync()
        if removed and not recorded:  # It was gone; what the log says may be older.
            self._mend(partial(self._say_it_is_gone, key))
        return removed

    def _seen(self, content: Content, key: Key) -> tuple[Found | None, bool]:
        """What lies there, and whether there is neither content nor a word of it in the log.

        So it is in most nodes of a cluster, and looking takes less than a thread would.
        """
        try:
            found = content.find(key)
            # With annex.thin there may be more to look at.
            gone = found is None and not content.annex.thin
            return found, gone and self._log_is_right(key)
        except (RequestError, OSError):
            return None, False  # It is met again, and told, where it is removed.

    def _say_it_is_gone(self, key: Key) -> None:
        # Most nodes of a cluster never had it: they need not wait for the journal's lock.
        right = partial(self._log_is_right, key)
        if not right():
            self._branch.record(key, self.uuid, False, unless=right)

    def _note(self, key: Key, present: bool) -> None:
        """Log, and remember that there is something for the hook."""
        self._branch.record(key, self.uuid, present)
        self._hook.due = True

    def _keep_elsewhere(self, key: Key, content: OpenObject) -> None:
        """In a thread of ours: the content goes to the trash bin, and that is logged."""
        assert self._trash is not None
        repository = self._content.annex.repository
        uuid = trio.from_thread.run(self._trash.keep, repository, key, content)
        self._branch.record(key, uuid, True)

    def _log_is_right(self, key: Key) -> bool:
        """Whether the log does not say "present" of absent content.

        git-annex leaves it so where there was nothing to remove (spec 03 §12.2).
        """
        logged = self.uuid in self._branch.locations(key)
        return not logged or self._content.present(key)

    def _mend(self, work: Callable[[], object]) -> None:
        """Correct the log. What fails here is the log's trouble, not the content's."""
        try:
            with self._content.annex.locks.kept() as ours:
                if ours:
                    work()
        except (RequestError, OSError) as error:
            log.warning("%s", error)

    @asynccontextmanager
    async def get(self, key: Key, offset: int, name: bytes) -> AsyncIterator[Payload]:
        content = self._fresh()
        opened = await self._maybe_slow(partial(content.open_for_get, key, offset))
        if opened is None:
            yield nothing(Validity.INVALID)
            return
        upload = content.begin_upload(key, peer=self._peer, name=name)
        with opened, closing(upload):
            yield Payload(
                opened.length,
                opened.fd,
                position=opened.offset,
                verdict=partial(_verdict, opened),
                source=self._path,
            )

    @asynccontextmanager
    async def put(
        self, key: Key, name: bytes
    ) -> AsyncIterator[LocalIntake | AlreadyHave]:
        content = self._fresh()
        self._warm_up()
        record = partial(self._note, key, True)
        intake = await self._begin_intake(content, key, name)
        if intake is None:
            # The client may drop its copy now: what is here must be durable, and logged.
            # A log that cannot be written is no reason to send it again; a failed sync is.
            present = partial(self._branch.record, key, self.uuid, True)
            noted = partial(self._mend, present)
            if not await self._run(partial(content.adopt, key, noted)):
                holder = content.annex.locks.held_elsewhere()
                detail = f"held by {holder}" if holder else "it is being removed"
                raise ContentLocked(key=key, detail=detail)
            yield AlreadyHave()
            return
        with intake:
            yield LocalIntake(intake, record)

    async def _begin_intake(
        self, content: Content, key: Key, name: bytes
    ) -> Intake | None:
        """As `Content.begin_intake`, waiting for whoever else receives the key.

        Raises TransferInProgress when that one does not get on, and RepositoryReplaced: a
        disk may be changed meanwhile. Polls: the kernel's own waiting for a lock could not
        be cancelled when the client leaves.
        """
        begin = partial(content.begin_intake, key, peer=self._peer, name=name)
        watch = None
        while True:
            try:
                intake = await self._run(begin)
                return intake if watch is None else self._still_here(intake)
            except TransferInProgress as error:
                if watch is None:
                    watch = content.watch(key, stall_timeout(self._config))
                if not await in_thread(partial(watch.gets_on, trio.current_time())):
                    raise
                if watch.becomes_long():
                    log.warning(
                        "waiting for another upload: %s", error.fields["holder"]
                    )
            await trio.sleep(watch.pause())
            self._fresh()

    def _still_here(self, intake: Intake | None) -> Intake | None:
        """``intake``, unless the disk was changed while it was begun."""
        try:
            self._fresh()
        except BaseException:
            if intake is not None:
                intake.close()
            raise
        return intake

    async def timestamp(self) -> int:
        return boot_seconds()

    async def settle(self) -> None:
        """Commit what was recorded, and start the hook for it."""
        await settle_branch(self._branch)
        if self._trash is not None:
            await self._trash.settle()
        self._hook.start()

    async def aclose(self) -> None:
        """Locks of dead lockers are held for as long as promised (spec 01 §5.4)."""
        if not self._hook.idle:
            await in_thread(self._hook.finish)
        if self._trash is not None:
            await self._trash.aclose()
        while self._kept:
            lock, until = self._kept[0]
            await trio.sleep_until(until)
            lock.close()
            self._kept.pop(0)


async def settle_branch(branch: Branch) -> None:
    """Commit what waits in the journal. Failing is no harm: the journal keeps it."""
    try:
        if branch.dirty:
            await in_thread(partial(branch.settle, SETTLE_PATIENCE))
    except LockTimeout as error:
        # Whoever holds the lock so long is committing, or the next one takes ours along.
        log.debug("%s", error)
    except RequestError as error:
        log.warning("%s", error)


async def _verdict(opened: OpenObject) -> Validity:
    return Validity.VALID if opened.still_valid() else Validity.INVALID


def _load_git() -> None:
    import annexshell.repository.gitlib  # noqa: F401


@attrs.define
class _LocalLock:
    lock: SharedLock
    run: Callable[[Callable[[], None]], Awaitable[None]]
    unlocked: bool = False

    async def unlock(self) -> None:
        await self.run(self.lock.unlock)
        self.unlocked = True
