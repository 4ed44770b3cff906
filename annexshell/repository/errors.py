"""What only the modules of this package refuse or fail at; see `annexshell.errors`."""

from __future__ import annotations

from annexshell.errors import AnnexshellError, Mendable, RequestError, ShellError


class InitializationRefused(ShellError):
    text = (
        "Initialization prevented by {hook} ({path}): ask who runs the server."
        " Not initialized."
    )


class SetUpByOwner(Mendable):
    """What is made to set it up would be made through links that its owner can place."""

    text = (
        "not set up, the repository is another user's ({path}): have them run git annex"
        " init there, or set safe.directory in this account's git config if it is trusted"
    )


class InitializationFailed(Mendable):
    """Initialising stopped midway; trying again goes on with the same uuid."""

    text = "the repository could not be initialised ({path}): {detail}"


class PidLockHeld(RequestError):
    text = (
        "unable to take transfer lock ({key}): with annex.pidlock one process at a time can,"
        " now it is {holder}; try again when it is done"
    )


class CannotWatch(RequestError):
    text = "changes of the refs cannot be watched ({where}): {detail}"


class RefsGone(RequestError):
    """Nothing more can be heard of the repository; a client may try it again."""

    text = "the refs are not there any more ({where}): {detail}"


class LogUnusable(AnnexshellError):
    """Only ever a warning: what was to be logged goes on."""

    text = "{setting} cannot be written to ({path}): {detail}; going on without it"


class SizesUnusable(AnnexshellError):
    """Only ever a warning: what has to do with sizes goes on as well as it can."""

    text = (
        "the sizes of repositories are not accounted for now ({where}): {detail}; content"
        " is stored all the same"
    )


class SizesBroken(SizesUnusable):
    """The database is none, or not the one that git-annex knows."""
