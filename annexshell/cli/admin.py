"""annexshell-admin: the operator's command, never reachable through the shell.

Here is only what every command has in common: how it ends. click is not loaded at the top,
because it belongs to an extra, and whoever has not installed that is to be told so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from annexshell.errors import AnnexshellError, printable

_WRONG_USAGE = 2
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """The console entry point; the result is the exit status.

    0 done, 1 an error that was told on stderr, 2 wrong usage, 130 interrupted.
    """
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "annexshell":
            raise
        return fail(f"{error.name} is not installed: pip install 'annexshell[admin]'")
    except AnnexshellError as error:
        return fail(str(error))
    except BrokenPipeError:
        # Whoever read our output has seen enough; a second flush at exit must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        from annexshell.repository.remedies import explained

        where = error.filename or "the system"
        told = f"cannot be read or written ({where}): {explained(error)}"
        return fail(printable(told))
    except KeyboardInterrupt:
        return _INTERRUPTED


def _run(arguments: Sequence[str] | None) -> int:
    from click import Abort, ClickException

    from annexshell.cli.admin_group import group

    try:
        status = group.main(
            arguments, prog_name="annexshell-admin", standalone_mode=False
        )
    except ClickException as error:
        error.show()
        return _WRONG_USAGE
    except Abort:
        return _INTERRUPTED
    return status if isinstance(status, int) else 0


def fail(text: str) -> int:
    """Say why nothing came of it; the result is the exit status."""
    note(text)
    return 1


def note(text: str) -> None:
    """One line for the operator on stderr; ``text`` is fit for a terminal."""
    line = f"annexshell-admin: {text}\n"
    sys.stderr.buffer.write(line.encode("utf-8", "backslashreplace"))
    sys.stderr.buffer.flush()
