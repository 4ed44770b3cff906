"""The restricted shell: the client's words, the operator's restrictions, one command.

Everything on the way to a refusal, to the answer of an initialised repository and to git
uses the standard library's light parts alone; a command's own module is loaded when all
checks that need none of it have passed. argv, environment and stdio are read here, once.
"""

from __future__ import annotations

import errno
import os
import sys

from annexshell.cli.commandline import (
    Builtin,
    PassThrough,
    parse_parameters,
    understand,
)
from annexshell.cli.commands import COMMANDS, Invocation, help_text, usage
from annexshell.cli.environment import Surroundings, take_surroundings
from annexshell.cli.output import write_all
from annexshell.errors import (
    AccessFailed,
    AnnexshellError,
    BadParameters,
    NoSuchRepository,
    RepositoryBusy,
    UnknownOption,
)
from annexshell.policy.directory import confine
from annexshell.repository.open import resolve, without_git

_FOR_GOOD = frozenset(
    (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR)
)
"""Trying again is of no use; everything else may pass (spec 01 §2)."""


def main() -> int:
    """The console entry point; the result is the exit status (spec 01 §1, §2)."""
    complete_stdio()
    surroundings = take_surroundings(os.environ)
    try:
        asked = understand(sys.argv[1:], COMMANDS)
        if isinstance(asked, PassThrough):
            from annexshell.cli.gitshell import pass_through, run_git

            home = surroundings.home
            return pass_through(
                asked.words, surroundings, lambda service: run_git(service, home)
            )
        return _builtin(asked, surroundings)
    except AnnexshellError as error:
        complain(error)
        return error.exit_code
    except BrokenPipeError:
        return 1  # the client is gone; there is nobody to tell
    except OSError as error:
        failure = _told(error)
        complain(failure)
        return failure.exit_code
    except KeyboardInterrupt:
        return 130


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
    text = f"annexshell: {error}\n"
    if isinstance(error, (BadParameters, UnknownOption)):
        text += "\n" + usage()
    write_all(2, text.encode("utf-8", "backslashreplace"))


def _told(error: OSError) -> AnnexshellError:
    kind = AccessFailed if error.errno in _FOR_GOOD else RepositoryBusy
    return kind(where=error.filename or "-", detail=error.strerror)


def _builtin(asked: Builtin, surroundings: Surroundings) -> int:
    command = COMMANDS[asked.command]
    restrictions, home = surroundings.restrictions, surroundings.home
    command.check(restrictions)

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
    run = command.load()
    return run(Invocation(asked.command, path, parameters, surroundings))
