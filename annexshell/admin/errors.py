"""What only the operator's commands refuse or fail at; see `annexshell.errors`."""

from __future__ import annotations

from annexshell.errors import ShellError


class NoRepositoryHere(ShellError):
    text = (
        "no git repository is here or above ({path}): go to the gateway's repository, or"
        " name it with -C"
    )


class NotYours(ShellError):
    """Its remotes are used by programs that its config names (spec 02 §4.1)."""

    text = (
        "not used, the repository is another user's ({path}): do this as its owner, or set"
        " safe.directory in this account's git config if it is trusted"
    )
