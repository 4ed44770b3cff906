"""What only the commands on single keys can refuse or fail at (spec 01 §1.8).

The rules are those of `annexshell.errors`; a session that never runs one of these commands
does not load their texts.
"""

from __future__ import annotations

from annexshell.errors import ShellError


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
