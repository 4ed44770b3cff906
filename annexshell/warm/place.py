"""Where the resident listens: one name for each user, installation and environment.

A resident that could not stand in for this process cannot even be found, because its
socket's name is a checksum of all that has to be the same. The launcher uses this module,
so it imports nothing that the interpreter has not loaded anyway: no os, no __future__.
"""

import posix
import sys

import annexshell

_PRIVATE = 0o077
_KIND, _DIRECTORY = 0o170000, 0o040000
_MODULUS = 2**89 - 1
_READ_ONCE = (
    *(b"PYTHON", b"LC_", b"LANG", b"TZ", b"LD_", b"OPENSSL_", b"SSL_"),
    *(b"MALLOC_", b"GLIBC_", b"LOCPATH"),
)
"""Variables that the loader, the C library, OpenSSL and Python read when they start."""


class Place:
    """A directory of the user's own, and what a resident in it has to agree with."""

    def __init__(self, folder: bytes, identity: bytes) -> None:
        self.folder = folder
        self.identity = identity
        self.name = b"%023x" % (int.from_bytes(identity, "big") % _MODULUS)
        self.socket = folder + b"/" + self.name
        self.lock = self.socket + b".lock"

    def enter(self) -> int:
        """The folder, into which nobody else can have put anything. Raises OSError."""
        flags = posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
        fd = posix.open(self.folder, flags)
        if is_private(posix.fstat(fd)):
            return fd
        posix.close(fd)
        raise PermissionError

    def address(self, folder: int, suffix: bytes = b"") -> bytes:
        """The socket's, by way of the folder that was entered.

        So it is in that folder, and any path is short enough for the kernel.
        """
        return b"/proc/self/fd/%d/%s%s" % (folder, self.name, suffix)


def is_private(found: posix.stat_result) -> bool:
    """Whether it is a directory that only this user can look into."""
    kind, mode = found.st_mode & _KIND, found.st_mode & _PRIVATE
    return kind == _DIRECTORY and mode == 0 and found.st_uid == posix.geteuid()


def place_for(environ: dict[bytes, bytes]) -> Place | None:
    """The place for a process with this environment; None where there can be none."""
    folder = _folder(environ)
    if folder is None or posix.getuid() != posix.geteuid():
        return None
    try:
        return place_in(folder, environ)
    except OSError:
        return None


def place_in(folder: bytes, environ: dict[bytes, bytes]) -> Place:
    """The place below ``folder`` for this process. Raises OSError."""
    return Place(folder, b"\0".join(_identity(environ)))


def _folder(environ: dict[bytes, bytes]) -> bytes | None:
    running = environ.get(b"XDG_RUNTIME_DIR", b"")
    if running[:1] == b"/":
        try:
            if is_private(posix.lstat(running)):
                return running + b"/annexshell"
        except OSError:
            pass  # It is not there: no session of a login made it.
    home = environ.get(b"HOME", b"")
    return home + b"/.cache/annexshell" if home[:1] == b"/" else None


def _identity(environ: dict[bytes, bytes]) -> list[bytes]:
    here = annexshell.__path__[0]
    package, start = posix.stat(here), posix.stat(here + "/__init__.py")
    machine = posix.uname()
    texts = (
        *(annexshell.__version__, sys.version, sys.executable, here),
        *(sys.getfilesystemencoding(), machine.nodename, machine.release),
    )
    numbers = (
        *(package.st_dev, package.st_ino, package.st_mtime_ns),
        *(start.st_ino, start.st_size, start.st_mtime_ns, sys.flags.utf8_mode),
        *(*posix.getresuid(), *posix.getresgid(), *sorted(posix.getgroups())),
    )
    return [
        *(text.encode("utf-8", "surrogateescape") for text in texts),
        *(b"%d" % number for number in numbers),
        posix.readlink(b"/proc/self/ns/mnt"),
        _boot(),
        *(b"%s=%s" % (name, environ[name]) for name in sorted(read_once(environ))),
    ]


def _boot() -> bytes:
    """Hosts with one home directory among them must not find each other's sockets."""
    fd = posix.open("/proc/sys/kernel/random/boot_id", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(fd, 64)
    finally:
        posix.close(fd)


def read_once(environ: dict[bytes, bytes]) -> list[bytes]:
    """The variables that counted when the process started, and not again."""
    return [name for name in environ if name.startswith(_READ_ONCE)]
