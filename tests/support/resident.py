"""A resident process's loop around a Pool, in threads of the test's own process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from annexshell.remotes import kept
from annexshell.warm.pool import Pool

PATIENCE = 30.0


class Resident:
    """Answers sessions from ``pool`` for as long as they live."""

    def __init__(self, pool: Pool | None = None) -> None:
        self.pool = pool or Pool()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Resident:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.settle()
        self.pool.close()

    def session(self) -> int:
        """The descriptor of a new session, which is the caller's to close."""
        theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._begin(lambda: self._serve(ours))
        return theirs.detach()

    def invite(self, path: Path) -> None:
        """Wait for a new session at the socket ``path``, in the background."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with listener:
                session, _ = listener.accept()
            path.unlink()
            self._serve(session)

        self._begin(serve)

    def _begin(self, serve: Callable[[], None]) -> None:
        thread = threading.Thread(target=serve)
        thread.start()
        self._threads.append(thread)

    def settle(self) -> None:
        """Wait until all is done that sessions asked for before they ended."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a session has not ended"
        self._threads.clear()

    def _serve(self, session: socket.socket) -> None:
        with session:
            while True:
                try:
                    message, descriptors, _, _ = socket.recv_fds(
                        session, 2 * kept.LONGEST, 8, socket.MSG_CMSG_CLOEXEC
                    )
                except OSError:
                    return
                if not message:
                    return
                with self._lock:
                    reply, sending = self.pool.answer(message, descriptors)
                    # Before anybody else asks: then they are closed.
                    self._send(session, reply, sending)

    def _send(self, session: socket.socket, reply: bytes, sending: list[int]) -> None:
        try:
            socket.send_fds(session, [reply], sending)
        except BrokenPipeError:
            session.close()  # nobody waits for it
