"""Receiving one key's content (spec 02 §10).

    with begin_intake(...) as intake:      locks, space and a temporary file, or an error
        offer intake.offset to the sender
        intake.prehash()                   the part that was here; slow, a thread may do it
        intake.write(chunk) ...            or write_bytes and hash_bytes apart
        intake.finish(validity, record)    verified, durable, in place, recorded: or not

The digest always covers the file from its first byte in order. Whatever was written and
not yet hashed is read back from the file, so the two may run apart. Leaving the block at
any moment keeps what came, for the next attempt.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from annexshell.errors import StorageFailed
from annexshell.model.key import Key
from annexshell.model.payload import Validity
from annexshell.repository.annex import Annex, storage
from annexshell.repository.durable import Closing
from annexshell.repository.flushing import begin_writing_back
from annexshell.repository.hashing import Check, Verifier
from annexshell.repository.objects import Objects, digest_range
from annexshell.repository.partial import Partial
from annexshell.repository.placing import Placing, Record, check_acceptable
from annexshell.repository.space import check_room, check_space, room
from annexshell.repository.transfers import Transfer, begin_download

_FLUSHED = 8 << 20
"""Bytes for which the disk is not bothered before the end."""

log = logging.getLogger(__name__)


def begin_intake(
    annex: Annex,
    objects: Objects,
    placing: Placing,
    key: Key,
    *,
    peer: bytes,
    name: bytes = b"",
) -> Intake | None:
    """Get ready to receive ``key`` from the uuid ``peer``; None if it is present already.

    All that can be refused is refused here, before the sender is offered an offset. Raises
    KeyNotStorable, InsecureKey, TransferInProgress, NotEnoughSpace, StorageFailed, and
    what `check_of` does.
    """
    if objects.present(key):
        return None
    check = check_acceptable(annex, key)
    transfer = begin_download(annex, key, peer, name)
    intake = None
    try:
        if not objects.present(key):
            intake = _start(annex, check, transfer, placing)
    finally:
        if intake is None:
            transfer.close()
    return intake


def begin_again(
    annex: Annex, placing: Placing, key: Key, *, peer: bytes, name: bytes = b""
) -> Intake:
    """`begin_intake` without asking whether the content is present already.

    What is received then is verified, and thrown away if the content here is good.
    """
    check = check_acceptable(annex, key)
    transfer = begin_download(annex, key, peer, name)
    try:
        return _start(annex, check, transfer, placing)
    except BaseException:
        transfer.close()
        raise


def _start(annex: Annex, check: Check, transfer: Transfer, placing: Placing) -> Intake:
    if check.missing:
        # Not before it is our turn: whoever waits for that tries again and again.
        log.warning("cannot run %s: it is not installed in PATH", check.missing)
    partial = _open_partial(annex, check)
    try:
        check_space(annex, check.key, partial.size())
    except BaseException:
        partial.forget_if_empty()
        partial.close()
        raise
    return Intake(annex, check, transfer, partial, placing)


def _open_partial(annex: Annex, check: Check) -> Partial:
    """The temporary file, holding only what may be part of the content (D6)."""
    key = check.key
    with storage("opening the temporary file", annex.paths.tmp(key)):
        partial = Partial(annex, key)
        too_long = key.size is not None and partial.size() > key.size
        if too_long or not check.verifies:
            partial.restart()
        return partial


class Intake(Closing):
    """One reception. Not thread safe, except that hashing may run beside writing."""

    def __init__(
        self,
        annex: Annex,
        check: Check,
        transfer: Transfer,
        partial: Partial,
        placing: Placing,
    ) -> None:
        self.key = check.key
        self._check = check
        self._annex = annex
        self.offset = partial.size()
        """Bytes that were here before; the sender goes on from there."""
        self.written = self.offset
        """Bytes in the file now, by our count."""
        self._transfer = transfer
        self._partial = partial
        self._placing = placing
        self._verifier = Verifier(check)
        self._flushed = self.offset
        self._lock = threading.Lock()
        self._writing = self._closed = False

    @property
    def computes(self) -> bool:
        """Whether hashing is any work."""
        return self._verifier.computes

    @property
    def hashed(self) -> int:
        """Bytes covered by the digest so far."""
        return self._verifier.count

    def expect(self, length: int) -> None:
        """The sender says that ``length`` more bytes come.

        A key that has a size had its space checked before. Raises NotEnoughSpace and
        StorageFailed.
        """
        if self.key.size is None:
            check_room(self._annex, length)

    def prehash(self) -> None:
        """Hash what is in the file and was not hashed yet. Raises StorageFailed."""
        with storage("reading the temporary file", self._partial.path):
            digest_range(self._partial.fd, self._verifier, self.written)

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """The next bytes of the content; what fits is kept.

        Raises StorageFailed and, for a key without a size, NotEnoughSpace.
        """
        at_end = self.hashed == self.written
        self.write_bytes(chunk)
        if at_end:
            self.hash_bytes(chunk)

    def write_bytes(self, chunk: bytes | bytearray | memoryview) -> None:
        """Write only; `hash_bytes`, `prehash` or `finish` hashes them later."""
        rest = memoryview(chunk)
        self.expect(len(rest))
        with self._at_work():
            with storage("writing content", self._partial.path):
                while rest:
                    count = self._partial.append(rest)
                    self.written += count
                    rest = rest[count:]
            self._transfer.progress(self.written)
            self._flush()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """A block in which the file and the locks stay ours, whatever becomes of us.

        Raises StorageFailed after `close`.
        """
        with self._lock:
            if self._closed:
                raise StorageFailed(
                    action="writing content",
                    where=self.path,
                    detail="nobody waits for it",
                )
            self._writing = True
        try:
            yield
        finally:
            self._work_ended()

    def _work_ended(self) -> None:
        with self._lock:
            self._writing, closed = False, self._closed
        if closed:
            self._close()

    def _flush(self) -> None:
        """Have the disk begin with what was written, while more of it comes.

        `finish` has then less to wait for. It is told there what did not work.
        """
        if self._annex.fsync and self.written - self._flushed >= _FLUSHED:
            begin_writing_back(self._partial.fd, self._flushed, self.written)
            self._flushed = self.written

    def hash_bytes(self, chunk: bytes | bytearray | memoryview) -> None:
        """Hash bytes that were written, in the order they were written.

        Everything before them must have been hashed, by `prehash` if it was here before.
        """
        self._verifier.update(chunk)

    @property
    def shareable(self) -> Check | None:
        """The check of all the content, where a digest of others' could stand for ours."""
        if self.offset or not self._verifier.computes or self._check.programs:
            return None
        return self._check

    def verified_by(self, verifier: Verifier) -> None:
        """Let ``verifier`` stand for ours, if it took as many bytes for the same check.

        Those were all that `write_bytes` was given, and no others. If it does not, our own
        hashes what is in the file.
        """
        same = verifier.check == self.shareable and verifier.count == self.written
        if same and not self.hashed:
            self._verifier = verifier

    def finish(self, validity: Validity, record: Record) -> bool:
        """All bytes came: verify, make durable, put in place, record, in this order.

        ``record`` writes the location log; it runs while the content cannot be removed.
        False if it was not the key's content. Raises what keeps good content from being
        stored: StorageFailed, ContentLocked, InsecureKey, LockTimeout, BackendFailed, and
        what ``record`` raises. The temporary file is kept or deleted by spec 02 §9.4.
        """
        if self._partial.size() != self.written:
            return False
        if validity is Validity.INVALID and self.written == self.offset:
            return False
        self.prehash()
        # What cannot be verified is believed only if the sender vouches for it (D7).
        doubted = validity is Validity.INVALID and not self._verifier.verifies
        path = self._partial.path
        if doubted or self.hashed != self.written or not self._verifier.ok(path):
            with storage("deleting the temporary file", self._partial.path):
                self._partial.discard()
            return False
        self._placing.store(self.key, self._partial, record)
        self._transfer.succeeded()
        return True

    # -- where another program writes the file, by its name -----------------------------

    @property
    def path(self) -> str:
        """The temporary file's name."""
        return self._partial.path

    @property
    def lock_descriptors(self) -> list[int]:
        """See `Transfer.descriptors`."""
        return self._transfer.descriptors

    def largest(self) -> int:
        """Bytes that the file may have before the reserve is touched.

        Who writes by name is not watched byte by byte. Raises StorageFailed.
        """
        return self.written + room(self._annex)

    @property
    def patience(self) -> float:
        """Seconds that a sender who knows this much may be silent."""
        return self._annex.patience(self.offset)

    @property
    def unproven(self) -> bool:
        """Whether the file is as empty as before, and no field of the key says otherwise.

        A program that was given nothing to write ends in good order too.
        """
        told = self._verifier.verifies or self.key.size is not None
        return not (self.written or told)

    def size(self) -> int:
        """Bytes in the file, whoever wrote them. Raises StorageFailed."""
        return self._partial.size()

    def count_written(self) -> None:
        """The other program has ended: what is in the file now is what was received.

        None of it is hashed yet. Raises StorageFailed where the name leads to another file
        by now, or this file has another name, by which it could be changed later.
        """
        with storage("receiving content", self.path):
            if not self._partial.only_named(self.path):
                raise StorageFailed(
                    action="receiving content",
                    where=self.path,
                    detail="somebody replaced or linked the temporary file; send it again",
                )
            self.written = self._partial.size()

    def adopt(self, record: Record) -> bool:
        """DATA-PRESENT: record content that came here by other means, if it did."""
        return self._placing.adopt(self.key, record)

    def close(self) -> None:
        """End the reception; what came stays. Twice is harmless.

        While another thread writes, which may hang, that one ends it when it is done: until
        then nobody else may write to the file.
        """
        with self._lock:
            self._closed = True
            if self._writing:
                return
        self._close()

    def _close(self) -> None:
        self._partial.forget_if_empty()
        self._partial.close()
        self._transfer.close()
