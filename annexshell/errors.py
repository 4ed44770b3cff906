"""Everything annexshell can refuse or fail at: one class a reason.

A class carries the text a person reads, the exit code a peer looks at, and, by the family
it belongs to, what becomes of the conversation:

    ShellError      before any conversation: one line on stderr, then the exit code
    RequestError    one request fails with an ERROR line; the connection goes on
    LinkError       the connection itself is gone or broken; this link ends
    ProtocolError   a line that may not stand where it stands (whose mistake is in the class)

Those that only `repository` or only `cli` raises are in its own ``errors`` module.

Raising sites give fields, never sentences. The text follows
``<what> (<where>): <what to do>``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is the largest part of a refusal's start-up
    from typing import ClassVar


def printable(value: object) -> str:
    """Text for a terminal or an ERROR line: nothing in it can move a cursor.

    Bytes are read as UTF-8; what is no UTF-8 and what is a control character is escaped.
    """
    text = (
        value.decode("utf-8", "backslashreplace")
        if isinstance(value, bytes)
        else str(value)
    )
    if text.isprintable():
        return text
    return "".join(
        (
            char
            if char.isprintable()
            else char.encode("unicode_escape", "backslashreplace").decode()
        )
        for char in text
    )


class AnnexshellError(Exception):
    """The root of the hierarchy; ``text`` is formatted with the fields given."""

    text: ClassVar[str] = "{detail}"
    exit_code: ClassVar[int] = 1

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(
            self.text.format(**{n: printable(v) for n, v in fields.items()})
        )


# -- before any conversation -------------------------------------------------------------


class ShellError(AnnexshellError):
    """The command line is refused or cannot be carried out."""


class Mendable(ShellError):
    """Mended at the server, or passing: 255 has clients ask again (spec 01 §2, §13.1)."""

    exit_code = 255


class BadParameters(ShellError):
    text = "bad parameters ({detail}): correct the command line"


class UnknownOption(ShellError):
    text = "Invalid option `{option}' ({command}): leave it out"


class BadClientUUID(ShellError):
    text = (
        "not a repository uuid: {value} (p2pstdio): only letters, digits and -, at most 64,"
        " are accepted; check annex.uuid of the client"
    )


class GcryptNotP2P(ShellError):
    text = "a gcrypt repository has no P2P protocol ({path}): use it as a remote of type=gcrypt"


class BlockedBy(ShellError):
    text = "Action blocked by {variable}"


class OnlyAllowedTo(ShellError):
    text = "Only allowed to access {allowed} not {asked}"


class OnlyAllowedUnknown(ShellError):
    text = "Only allowed to access {allowed} and could not determine directory from command line"


class NotGitCommand(ShellError):
    text = "not a command this account may run: {command}: only git-annex and git may be used"


class GitShellFailed(ShellError):
    text = "git-shell failed ({detail}): install git, or put it into the account's PATH"


class NoSuchRepository(Mendable):
    """A mistyped path and a disk that is not mounted look the same."""

    text = "no such directory ({path}): mount its disk, or check the path in the remote's url"


class NotARepository(Mendable):
    text = "not a git repository ({path}): check the path in the remote's url"


class NestedRepository(NotARepository):
    """It may have been pushed there, with hooks and config of the client's choice."""

    exit_code = 1
    text = (
        "not served, because it lies inside another git repository and may have come with"
        " a push ({path}): move it to a place of its own"
    )


class ConfigUnreadable(Mendable):
    text = (
        "failed to read git config of git repository in {host} on {path}; perhaps this"
        " repository is not set up correctly or has moved: {detail}"
    )


class UnsupportedVersion(Mendable):
    text = "annex.version {version} is not supported ({path}): upgrade it with git annex upgrade"


class Unsupported(Mendable):
    text = (
        "{setting} is not supported yet ({path}): unset it, or use git-annex-shell here"
    )


class NotAnAnnex(ShellError):
    text = "Not a git-annex or gcrypt repository. ({path}): run git annex init there"


class UUIDMismatch(ShellError):
    text = (
        "expected repository UUID {expected} but found UUID {found} ({path}): another"
        " repository is there now, or the client's remote is out of date"
    )


class UUIDMissing(ShellError):
    text = (
        "expected repository UUID {expected} but found uninitialized repository ({path}):"
        " restore annex.uuid in its git config, or run git annex init there"
    )


class NotConfiguredToProxy(ShellError):
    text = "not configured to proxy for repository {description}"


class CannotServeCluster(ShellError):
    """Refusing is safe: an empty or half-known cluster must never say it has a key."""

    text = "cluster {uuid} cannot be served here: {detail}"


class RepositoryBusy(Mendable):
    text = "the repository is busy or not reachable now ({where}): {detail}; try again"


class AccessFailed(Mendable):
    text = "cannot be read or written ({where}): {detail}"


# -- one request fails, the conversation goes on -------------------------------------------


class RequestError(AnnexshellError):
    """Answered with ``ERROR text``; the connection stays. Without one, see Mendable."""

    exit_code = 255


class ReadOnly(RequestError):
    text = "this repository is read-only; write access denied"


class AppendOnly(RequestError):
    text = "this repository is append-only; removal denied"


class ContentLocked(RequestError):
    text = "content is locked ({key}): try again later; {detail}"


class TransferInProgress(RequestError):
    text = (
        "transfer already in progress, or unable to take transfer lock ({key}): it is"
        " received by {holder}; try again when that is done"
    )

    def __init__(self, *, key: object, holder: object = "another session") -> None:
        super().__init__(key=key, holder=holder)


class NotEnoughSpace(RequestError):
    text = (
        "not enough free space, need {missing} more ({where}): free some, or adjust"
        " annex.diskreserve"
    )


class InsecureKey(RequestError):
    text = (
        "annex.securehashesonly blocked transfer of {backend} key ({where}): migrate the file"
        " to a secure backend"
    )


class KeyNotStorable(RequestError):
    text = "this key cannot be stored here ({key}): {detail}"


class NotVerifiable(KeyNotStorable):
    """The key tells how its content can be verified, but that cannot be done here."""

    text = "the content of this key cannot be verified here ({key}): {detail}"


class BackendFailed(RequestError):
    """The program of an external backend broke: its word is not replaced by trust."""

    text = "the program {program} failed ({key}): {detail}; see whether it works"


class NotAvailable(RequestError):
    text = "{request} is not available on this connection: {detail}"


class RemovalRefused(RequestError):
    text = "the content will not be removed ({key}): {detail}"


class BadOffset(RequestError):
    text = "the offset {offset} is not a position in a file"


class StorageFailed(RequestError):
    text = "{action} failed ({where}): {detail}"


class JournalFailed(RequestError):
    text = "the location log could not be written ({where}): {detail}"


class BranchUnreadable(RequestError):
    """Never taken for an empty log: the next write would publish that (spec 03 §13)."""

    text = (
        "the git-annex branch cannot be read ({where}): {detail}; check the repository with"
        " git fsck"
    )


class BranchNotCommitted(RequestError):
    """What was recorded is safe in the journal; somebody's next commit takes it along."""

    text = (
        "the git-annex branch cannot be committed to ({where}): {detail}; the changes stay"
        " in the journal until git annex merge, or the next session, can commit them"
    )


class LockTimeout(RequestError):
    text = "gave up waiting for a lock ({where}): held by {holder}; let it finish, or end it"


class RepositoryReplaced(RequestError):
    """What is not found under the path now must not be taken for absent."""

    text = "the repository is not there any more ({where}): {detail}"


class RemovedMeanwhile(RequestError):
    """Nobody may be told that it is there: a client would drop its own copy."""

    text = "the content was removed meanwhile ({key}): try again"


class PeerUnreachable(RequestError):
    text = "cannot connect to {name}: {detail}"


class PeerFailed(RequestError):
    text = "{name} failed: {detail}"


class PeerRefused(RequestError):
    """A node's own ERROR text, passed on as it came."""

    text = "{detail}"


class NotOnReachableNodes(RequestError):
    """Never told as absence: it may be where nobody could look."""

    text = (
        "no node of the cluster that could be asked has the content ({key}): {detail}; try"
        " again when that is mended"
    )


class OtherLength(RequestError):
    text = (
        "it offers {length} bytes where {due} are due ({key}); run git annex fsck there"
    )


# -- logs for the operator -----------------------------------------------------------------


# -- the link itself -----------------------------------------------------------------------


class LinkError(AnnexshellError):
    """This connection cannot go on."""


class LinkClosed(LinkError):
    text = "the connection to {name} ended"


class LinkStalled(LinkClosed):
    text = "{name} {what} for {time}"


class PayloadShort(LinkError):
    """The promised bytes cannot be delivered; never padded (spec 01 §5.2, §8.7)."""

    text = "{name} delivered {missing} bytes less than promised"


class PayloadStalled(PayloadShort):
    """Not one byte of the payload came for too long."""

    text = "{name} was silent for {time} in the middle of a payload"


class PayloadUnreadable(PayloadShort):
    """The system cannot read more of it: a bad disk, or a connection that was reset."""

    text = "the content cannot be read any further ({name}): {detail}"


# -- mistakes in the protocol ----------------------------------------------------------------


class ProtocolError(AnnexshellError):
    """A line that may not stand where it stands."""


class LineTooLong(ProtocolError):
    text = "protocol error: a line of more than {limit} bytes"


class Malformed(ProtocolError):
    """The other side sent a line that is no message."""

    text = "unknown command"


class OutOfTurn(ProtocolError):
    """The other side sent a message that may not stand here."""

    text = "{expected}"


class OurMistake(ProtocolError):
    """We were about to send a message that may not stand here: a bug of ours."""

    text = "internal error: {message} cannot be sent in state {state}"


class MalformedKey(AnnexshellError):
    text = "bad key ({key}): {detail}"
