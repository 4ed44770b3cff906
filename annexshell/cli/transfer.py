"""The commands sendkey and recvkey, which carry content by rsync (spec 02 §9, §10, §15)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from functools import partial

from annexshell.cli.audited import audit_of
from annexshell.cli.commands import Invocation
from annexshell.cli.errors import (
    ContentChanged,
    KeyNotPresent,
    RsyncFailed,
    VerificationFailed,
)
from annexshell.cli.keys import LocationLog, only_key, open_here, remote_uuid
from annexshell.cli.output import tell
from annexshell.cli.rsync import receiver_words, run_rsync, sender_words
from annexshell.errors import RequestError
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.model.payload import Validity
from annexshell.repository.audit import ABSENT, DELIVERED, STORED, Entry
from annexshell.repository.content import Content
from annexshell.repository.intake import Intake
from annexshell.repository.open import Repository

_NOBODY = UUID(b"00000000-0000-0000-0000-000000000000")
"""Stands for a sender that did not say who it is: others must see its reception too."""


def sendkey(invocation: Invocation) -> int:
    """Send one key's content; 0 only if it stayed the same from start to end.

    Raises KeyNotPresent, ContentChanged, RsyncFailed, RsyncNotRun, and ShellError.
    """
    repository = open_here(invocation)
    key = only_key(invocation)
    if key is None:
        return 0
    content = Content(repository)
    entry = _entry(invocation, repository, key)
    status = _told(entry, lambda: _send(invocation, content, entry, key))
    if entry.outcome == ABSENT:
        raise KeyNotPresent(key=key)
    return status


def _entry(invocation: Invocation, repository: Repository, key: Key) -> Entry:
    audit = audit_of(repository, invocation.surroundings, invocation.parameters)
    return audit.request(invocation.command, key=key.text)


def _told(entry: Entry, transfer: Callable[[], None]) -> int:
    """0, or 1 with the reason on stderr: nothing but 0 is looked at (spec 02 §15)."""
    try:
        with entry:
            transfer()
    except RequestError as error:
        tell(error)
        return 1
    return 0


def _send(invocation: Invocation, content: Content, entry: Entry, key: Key) -> None:
    peer = remote_uuid(invocation.parameters)
    opened = content.open_for_get(key)
    if opened is None:
        entry.outcome = ABSENT
        return
    patience = content.annex.patience(opened.size)
    words = sender_words(opened.path, invocation.parameters.rsync_options, patience)
    upload = content.begin_upload(key, peer=peer) if peer else None
    with opened, closing(upload) if upload else nullcontext():
        code = run_rsync(words)
        if code:
            raise RsyncFailed(key=key, code=code)
        # rsync found the file by its name; the descriptor says whether it was this one.
        if not opened.still_valid():
            raise ContentChanged(key=key)
        entry.bytes = opened.size
        entry.outcome = DELIVERED


def recvkey(invocation: Invocation) -> int:
    """Receive one key's content, verify, store and record it; 0 only then.

    Content that is present already is received all the same, and thrown away once it is
    verified. Raises VerificationFailed, RsyncFailed, RsyncNotRun, and ShellError.
    """
    repository = open_here(invocation)
    key = only_key(invocation)
    if key is None:
        return 0
    log, content = LocationLog(invocation, repository), Content(repository)
    entry = _entry(invocation, repository, key)
    status = _told(entry, lambda: _receive(invocation, content, entry, key, log))
    if log.changed:
        content.annex.hooks.content_changed(repository.path)
    return status


def _receive(
    invocation: Invocation, content: Content, entry: Entry, key: Key, log: LocationLog
) -> None:
    peer = remote_uuid(invocation.parameters) or _NOBODY
    with content.begin_again(key, peer=peer) as intake:
        try:
            _fill(invocation, intake)
        finally:
            # Also of what stays for the next attempt.
            entry.offset = intake.offset
            entry.bytes = max(intake.size() - intake.offset, 0)
        record = partial(log.record, key, True)
        if intake.unproven or not intake.finish(Validity.VALID, record):
            raise VerificationFailed(key=key)
        entry.outcome = STORED


def _fill(invocation: Invocation, intake: Intake) -> None:
    options = invocation.parameters.rsync_options
    words = receiver_words(intake.path, options, intake.patience)
    # rsync may outlive us, and must not write beside the next one: the reception's locks
    # last until it has ended too.
    code = run_rsync(words, inherit=intake.lock_descriptors, largest=intake.largest())
    if code:
        raise RsyncFailed(key=intake.key, code=code)
    intake.count_written()
