"""The commands sendkey and recvkey, which carry content by rsync (spec 02 §9, §10, §15)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from functools import partial

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
from annexshell.repository.content import Content
from annexshell.repository.intake import Intake

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
    return _told(lambda: _send(invocation, Content(repository), key))


def _told(transfer: Callable[[], object]) -> int:
    """0, or 1 with the reason on stderr: nothing but 0 is looked at (spec 02 §15)."""
    try:
        transfer()
    except RequestError as error:
        tell(error)
        return 1
    return 0


def _send(invocation: Invocation, content: Content, key: Key) -> int:
    """The bytes of the content that was sent."""
    peer = remote_uuid(invocation.parameters)
    opened = content.open_for_get(key)
    if opened is None:
        raise KeyNotPresent(key=key)
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
        return opened.size


def recvkey(invocation: Invocation) -> int:
    """Receive one key's content, verify, store and record it; 0 only then.

    Content that is present already is received all the same, and thrown away once it is
    verified. Raises VerificationFailed, RsyncFailed, RsyncNotRun, and ShellError.
    """
    repository = open_here(invocation)
    key = only_key(invocation)
    if key is None:
        return 0
    log = LocationLog(invocation, repository)
    return _told(lambda: _receive(invocation, Content(repository), key, log))


def _receive(
    invocation: Invocation, content: Content, key: Key, log: LocationLog
) -> int:
    """The bytes of the content that was received."""
    peer = remote_uuid(invocation.parameters) or _NOBODY
    with content.begin_again(key, peer=peer) as intake:
        _fill(invocation, intake)
        record = partial(log.record, key, True)
        if intake.unproven or not intake.finish(Validity.VALID, record):
            raise VerificationFailed(key=key)
        return intake.written


def _fill(invocation: Invocation, intake: Intake) -> None:
    options = invocation.parameters.rsync_options
    words = receiver_words(intake.path, options, intake.patience)
    # rsync may outlive us, and must not write beside the next one: the reception's locks
    # last until it has ended too.
    code = run_rsync(words, inherit=intake.lock_descriptors, largest=intake.largest())
    if code:
        raise RsyncFailed(key=intake.key, code=code)
    intake.count_written()
