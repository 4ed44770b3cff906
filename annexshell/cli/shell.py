"""The restricted shell: the client's words, the operator's restrictions, one command.

Everything on the way to a refusal, to the answer of an initialised repository and to git
uses the standard library's light parts alone; a command's own module is loaded when all
checks that need none of it have passed. argv, environment and stdio are read here, once.
"""

from __future__ import annotations

import errno
import os
import sys

from annexshell import __version__
from annexshell.cli.commandline import (
    Builtin,
    PassThrough,
    parse_parameters,
    understand,
)
from annexshell.cli.commands import COMMANDS, Host, Invocation, help_text, usage
from annexshell.cli.environment import Surroundings, take_surroundings
from annexshell.errors import (
    AccessFailed,
    AnnexshellError,
    BadParameters,
    BlockedBy,
    Mendable,
    NoSuchRepository,
    NotGitCommand,
    RepositoryBusy,
    UnknownOption,
)
from annexshell.model.writing import write_all
from annexshell.policy.directory import confine
from annexshell.policy.restrictions import Restrictions
from annexshell.repository.open import resolve, without_git

_REFUSED_BY_THE_DISK = frozenset(
    (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR)
)
"""Somebody has to mend these; everything else may pass by itself."""

_ABOUT = (["--help"], ["-h"], ["--version"])
"""Words of the operator's own: a client's always come in one string after -c."""

_NOTHING_ASKED = (
    "no command was given: this account serves git and git-annex only; use it as a remote,"
    " with git clone and its ssh url"
)


def main(host: Host = Host()) -> int:
    """All of the restricted shell; the result is the exit status (spec 01 §1, §2)."""
    complete_stdio()
    if sys.argv[1:] in _ABOUT:
        write_all(1, f"annexshell {__version__}\n\n{usage()}".encode())
        return 0
    surroundings = take_surroundings(os.environ)
    asked: Builtin | PassThrough | None = None
    try:
        asked = understand(sys.argv[1:], COMMANDS)
        if isinstance(asked, Builtin):
            return _builtin(asked, surroundings, host)
        return _passed_through(asked, surroundings)
    except AnnexshellError as error:
        return _end(error, asked)
    except BrokenPipeError:
        return 1  # the client is gone; there is nobody to tell
    except OSError as error:
        return _end(_told(error), asked)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        # A mistake of ours. No client is to give its remote up for that.
        from annexshell.serve.request import InternalError

        return _end(InternalError(kind=type(error).__name__, detail=error), asked)


def _passed_through(asked: PassThrough, surroundings: Surroundings) -> int:
    from annexshell.cli.gitshell import pass_through, run_git

    try:
        return pass_through(
            asked.words,
            surroundings,
            lambda service: run_git(service, surroundings.home),
        )
    except NotGitCommand:
        if "".join(asked.words).strip():
            raise
        # What a forced command makes of an ssh session without a command.
        raise BadParameters(detail=_NOTHING_ASKED) from None


def _end(error: AnnexshellError, asked: Builtin | PassThrough | None) -> int:
    """Tell the person at the client; the exit status.

    Clients show nothing of what configlist says on stderr. But where they ask to have the
    repository initialised, a line on stdout without annex.uuid is shown, and asked for
    again the next time (spec 01 §2).
    """
    if error.exit_code == Mendable.exit_code and _initialises(asked):
        write_all(1, _line(error))
        return 0
    complain(error)
    return error.exit_code


def _initialises(asked: Builtin | PassThrough | None) -> bool:
    if not isinstance(asked, Builtin) or asked.command != "configlist":
        return False
    try:
        parameters = parse_parameters(asked.command, asked.words)
    except (BadParameters, UnknownOption):
        return False
    return parameters.field("autoinit") == "1"


def complete_stdio() -> None:
    """Open what is closed of stdin, stdout and stderr, on /dev/null.

    A file opened later would get the number, and protocol or complaints its contents.
    """
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= 2:
        os.set_inheritable(fd, True)
        fd = os.open(os.devnull, os.O_RDWR)
    os.close(fd)


def complain(error: AnnexshellError) -> None:
    """One line on stderr for the person at the client, with the usage if that helps."""
    text = _line(error)
    if isinstance(error, (BadParameters, UnknownOption)):
        text += b"\n" + usage().encode()
    write_all(2, text)


def _line(error: AnnexshellError) -> bytes:
    return f"annexshell: {error}\n".encode("utf-8", "backslashreplace")


def _told(error: OSError) -> AnnexshellError:
    from annexshell.repository.remedies import explained

    kind = AccessFailed if error.errno in _REFUSED_BY_THE_DISK else RepositoryBusy
    return kind(where=error.filename or "-", detail=explained(error))


def _check(asked: Builtin, surroundings: Surroundings) -> None:
    """Raise BlockedBy, noted where it is audited, if the command itself is forbidden."""
    command = COMMANDS[asked.command]
    try:
        command.check(surroundings.restrictions)
    except BlockedBy as error:
        if command.audited:
            from annexshell.cli.audited import note_refusal

            note_refusal(asked, surroundings, error)
        raise


def _builtin(asked: Builtin, surroundings: Surroundings, host: Host) -> int:
    command = COMMANDS[asked.command]
    restrictions, home = surroundings.restrictions, surroundings.home
    _check(asked, surroundings)

    def directory() -> str:
        try:
            found = confine(
                restrictions, asked.directory, lambda text: resolve(text, home)
            )
        except NoSuchRepository as error:
            if not command.tells_presence:
                raise
            from annexshell.cli.errors import PresenceUnknown

            raise PresenceUnknown(where=asked.directory, detail=error) from error
        return found

    # A confined session learns nothing before its directory is known to be allowed; any
    # other gets help, and what is wrong with an option, without a repository.
    path = directory() if restrictions.confined else None
    parameters = parse_parameters(asked.command, asked.words)
    if "--help" in parameters.flags:
        write_all(1, help_text(asked.command).encode())
        return 0
    path = without_git(directory() if path is None else path)
    _check_confinement(restrictions, path)
    run = command.load()
    return run(Invocation(asked.command, path, parameters, surroundings, host))


def _check_confinement(restrictions: Restrictions, path: str) -> None:
    """Raise NotConfinable where the directory that was allowed confines nothing."""
    if restrictions.confined:
        from annexshell.cli.confined import check_confinable

        check_confinable(path)
