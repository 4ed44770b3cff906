"""Which requests of a client are audited, and what their answers say of the outcome."""

from __future__ import annotations

import attrs

from annexshell.model.payload import Payload, Validity
from annexshell.protocol import messages as m
from annexshell.repository import audit as log
from annexshell.repository.audit import Audit, Entry

AUDITED = frozenset((m.Put, m.Get, m.Remove, m.RemoveBefore, m.LockContent, m.Connect))
_NAMING = (m.Put, m.Get)
_KEYED = (m.Put, m.Get, m.Remove, m.RemoveBefore, m.LockContent)
NOWHERE = Audit()
_OUTCOMES: dict[type[m.Message], dict[type[m.Message], str]] = {
    m.Put: {
        m.Success: log.STORED,
        m.Failure: log.FAILED,
        m.AlreadyHave: log.ALREADY_PRESENT,
    },
    m.Remove: {m.Success: log.REMOVED, m.Failure: log.REFUSED},
    m.LockContent: {m.Success: log.LOCKED, m.Failure: log.REFUSED},
}
_OUTCOMES[m.RemoveBefore] = _OUTCOMES[m.Remove]
_PLAIN: dict[type[m.Message], type[m.Message]] = {
    m.SuccessPlus: m.Success,
    m.FailurePlus: m.Failure,
    m.AlreadyHavePlus: m.AlreadyHave,
}


@attrs.define(eq=False)
class Noted:
    """A request under way, and the line that will be written of it."""

    kind: type[m.Message]
    entry: Entry
    verdict: Validity = Validity.UNSAID

    def answered(self, message: m.Message) -> None:
        """What the answer tells of the outcome."""
        kind = type(message)
        outcomes = _OUTCOMES.get(self.kind)
        if outcomes is None:
            return
        outcome = outcomes.get(_PLAIN.get(kind, kind))
        if outcome is not None:
            self.entry.outcome = outcome
            # Those named are the ones for which it became true, also if the whole failed.
            done = outcomes[m.Success]
            self.entry.nodes |= {uuid: done for uuid in getattr(message, "uuids", ())}

    def moving(self, payload: Payload) -> None:
        """``payload`` is what the request moves."""
        self.entry.payload = payload

    def delivering(self, payload: Payload) -> None:
        """``payload`` is what the client gets; what is said of it counts too."""
        self.moving(payload)
        self.entry.delivers = True
        inner = payload.verdict

        async def verdict() -> Validity:
            self.verdict = await inner()
            return self.verdict

        payload.verdict = verdict

    def acknowledged(self, answer: m.Message) -> None:
        """What the client said of the content it was sent."""
        payload = self.entry.payload
        if isinstance(answer, m.Error):
            self.entry.outcome = log.REJECTED
            self.entry.reason = answer.text.decode("utf-8", "backslashreplace")
        elif payload and not payload.length and self.verdict is Validity.INVALID:
            self.entry.outcome = log.ABSENT
        elif isinstance(answer, m.Success | m.SuccessPlus):
            self.entry.outcome = log.DELIVERED
        else:
            self.entry.outcome = log.REJECTED

    def locked(self) -> None:
        """Said at once, since the promise holds from now on, whatever becomes of us."""
        self.entry.write()
        self.entry.outcome = log.ABANDONED


class Unwritten(Noted):
    """A request of which nothing will be written: one stands for all, and keeps nothing."""

    def answered(self, message: m.Message) -> None:
        pass

    def moving(self, payload: Payload) -> None:
        pass

    def delivering(self, payload: Payload) -> None:
        pass

    def acknowledged(self, answer: m.Message) -> None:
        pass


_UNWRITTEN = Unwritten(m.Message, NOWHERE.request(""))


def note(audit: Audit, request: m.Message) -> Noted:
    """What will be written of ``request``; nothing, if it is none that is audited."""
    kind = type(request)
    if kind not in AUDITED or not audit.on:
        return _UNWRITTEN
    entry = audit.request(request.word.decode())
    if isinstance(request, m.Connect):
        entry.service = request.service
    elif isinstance(request, _KEYED):
        entry.key = request.key.text
    if isinstance(request, _NAMING):
        entry.file = request.name
    if isinstance(request, m.Get):
        entry.offset = request.offset
    return Noted(kind, entry)
