"""What only the commands themselves can refuse or fail at (spec 01 §1.8, §2).

The rules are those of `annexshell.errors`.
"""

from __future__ import annotations

from annexshell.errors import Mendable, ShellError


class ForceNeeded(ShellError):
    text = "dropkey can cause data loss; use --force if you're sure you want to do this"


class KeyNotPresent(ShellError):
    text = "requested key is not present ({key}): get it from another repository"


class PresenceUnknown(ShellError):
    """Never to be taken for absent, which is what exit code 1 of inannex says."""

    text = "it cannot be told whether content is present ({where}): {detail}; ask again"
    exit_code = 100


class ContentChanged(ShellError):
    text = "the content changed while it was sent ({key}): get it again"


class VerificationFailed(ShellError):
    text = "Verification of content failed ({key}): it was thrown away; send it again"


class RsyncNotRun(ShellError):
    text = "rsync cannot be run on the server (in its PATH): {detail}; install rsync"


class RsyncFailed(ShellError):
    text = (
        "rsync ended with exit code {code} ({key}): try again, it goes on where it can"
    )


class GcryptHasUUID(ShellError):
    text = (
        "gcryptsetup refusing to run; this repository already has a git-annex uuid!"
        " ({path}): use a new bare repository"
    )


class GcryptMismatch(ShellError):
    text = (
        "gcryptsetup uuid mismatch ({path}): it is another remote's gcrypt repository"
    )


class GcryptNotBare(ShellError):
    text = "cannot use gcrypt in a non-bare repository ({path}): make one with --bare"


class MissingClientUUID(ShellError):
    text = "missing UUID parameter (p2pstdio): the client must say who it is"


class CannotProxy(ShellError):
    text = "Cannot proxy {command} command."


class InitializationPrevented(ShellError):
    text = (
        "Initialization prevented by .noannex file ({path}): {detail};"
        " remove the file to override. Not initialized."
    )


class UUIDLost(Mendable):
    text = (
        "annex.uuid is missing but the repository was initialized before ({path}):"
        " restore annex.uuid in its git config; a new one would orphan its content"
    )


class CannotServe(ShellError):
    text = "cannot serve ({where}): {detail}"
