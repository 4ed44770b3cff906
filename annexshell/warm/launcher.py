"""The entry point: hands the session to the resident, or starts cold.

It decides nothing. What the client asked for, the environment and the descriptors go to a
process forked by the resident, which does what a cold start would. Until that one has said
that it is ready, and was told to go on, nobody has touched the client's descriptors: so
whatever is missing, late or refused up to there costs a cold start and never an error.

It imports nothing that the interpreter has not loaded anyway but _socket: no os, no
__future__, since each module costs a hundredth of what a warm start takes.
"""

import _signal  # type: ignore[import-not-found]  # built in; it has no stub
import _socket
import marshal
import posix
import sys

from annexshell.warm.place import Place, place_for

HERE, READY, GO = b"H", b"R", b"G"
"""A process is there for it; it was checked and may start, with its pid; it has the descriptors."""
_WORD = "p2pstdio"
_PATIENCE = 1.0
"""Seconds until somebody has to have taken the session: a resident that is alive does,"""
_TURNS = 8
"""or as many times this, while it takes those of others."""
_CHECKING = 30.0
"""Seconds for reading the config of the repository, which a disk may hold up."""
_PASSED_ON = (_signal.SIGTERM, _signal.SIGHUP, _signal.SIGINT)
_DIED = 255
"""The exit status where the session left none: clients may ask again."""


def main() -> int:
    """The console entry point; the result is the exit status."""
    where = None
    # Too many or too few words are no harm: whoever takes the session looks closely.
    if any(_WORD in word for word in sys.argv[1:]):
        where = place_for(posix.environ)
    if where is None:
        from annexshell.cli.shell import main as shell

        return shell()
    absent = False
    try:
        link = _handed_over(where)
    except (FileNotFoundError, ConnectionRefusedError):
        link, absent = None, True
    except (OSError, ValueError):
        link = None
    if link is not None:
        posix._exit(_seen_out(*link))
    return _cold(where if absent else None)


def _cold(startable: Place | None) -> int:
    from annexshell.cli.shell import main as shell

    if startable is None:
        return shell()
    from annexshell.warm.starting import Starter

    return shell(Starter(startable))


def _handed_over(where: Place) -> tuple[_socket.socket, int] | None:
    """The link to the session that has our descriptors now, and its pidfd.

    None if nobody has them. Raises OSError and ValueError likewise.
    """
    link = _reached(where)
    if link is None or not _is_ours(link):
        return None
    if _first_word(link, where) != HERE:
        return None
    # Not before: what waits in the socket of one that hangs would be held open there.
    link.settimeout(_CHECKING)
    _send_all(link, where.identity)
    ready = link.recv(32)
    if ready[:1] != READY:
        return None
    session = _alike(int(ready[1:]))
    link.send(GO)
    # Whoever waits for the ends of these waits for the session only.
    posix.close(0)
    posix.close(1)
    return link, session


def _alike(session: int) -> int:
    """The pidfd of a session that is confined as we are. Raises OSError.

    The session found that it may look into us. Unless we may look into it, Landlock or the
    like keeps us in, and the session would be out. Only its end makes the pid another's, and
    then it does not hear us.
    """
    posix.readlink("/proc/%d/ns/mnt" % session)
    return posix.pidfd_open(session)


def _first_word(link: _socket.socket, where: Place) -> bytes:
    """What whoever listens says first; many launchers may be before us. Raises OSError."""
    seen = None
    for _ in range(_TURNS):
        try:
            return link.recv(1)
        except TimeoutError:
            moved = posix.stat(where.socket).st_mtime_ns
            if moved == seen:
                raise
            seen = moved
    raise TimeoutError


def _reached(where: Place) -> _socket.socket | None:
    """A link to whoever listens. Raises OSError."""
    link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    if link.fileno() <= 2:
        return None  # One of ours is closed, and this would be taken for it.
    link.settimeout(_PATIENCE)
    folder = where.enter()
    try:
        link.connect(where.address(folder))
    finally:
        posix.close(folder)
    return link


def _send_all(link: _socket.socket, identity: bytes) -> None:
    """What a cold start would find: words, environment, descriptors and directory."""
    words = [word.encode("utf-8", "surrogateescape") for word in sys.argv]
    request = identity + marshal.dumps((words, dict(posix.environ)))
    directory = posix.open(".", posix.O_PATH | posix.O_CLOEXEC)
    rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2, directory))
    try:
        link.sendmsg([request], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    finally:
        posix.close(directory)


def _is_ours(link: _socket.socket) -> bool:
    """Whether who listens is this user."""
    who = link.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    uid = int.from_bytes(who[4:8], sys.byteorder)
    gid = int.from_bytes(who[8:12], sys.byteorder)
    return (uid, gid) == (posix.geteuid(), posix.getegid())


def _seen_out(link: _socket.socket, session: int) -> int:
    """The exit status of ``session``, a pidfd, once it ended; our own end would end it."""

    def pass_on(sent: int, _: object) -> None:
        try:
            _signal.pidfd_send_signal(session, sent)
        except ProcessLookupError:
            return  # It has ended, and its exit status is on the way.

    link.settimeout(None)
    for number in _PASSED_ON:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, pass_on)
    try:
        said = link.recv(1)
    except OSError:
        said = b""
    return said[0] if said else _died()


def _died() -> int:
    from annexshell.warm.errors import SessionDied

    try:
        posix.write(2, f"annexshell: {SessionDied()}\n".encode())
    except OSError:
        return _DIED  # the client is gone as well
    return _DIED
