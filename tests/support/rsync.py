"""A client's rsync with the shell at its other end, as git-annex runs it for gcrypt."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.shell import Done

#: The shell as a program with its arguments; see `run_shell`.
OURS = (
    sys.executable,
    "-c",
    "import sys; from annexshell.cli.shell import main; sys.exit(main())",
)


def need_rsync() -> str:
    """The path of rsync; without it the test is skipped, and on CI it fails."""
    found = shutil.which("rsync")
    if found is None:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail("rsync is missing: apt-get install rsync")
        pytest.skip("rsync is missing: apt-get install rsync")
    return found


def rsync(
    command: str,
    *words: str | Path,
    place: Path,
    env: Mapping[str, str],
    shell: Sequence[str] = OURS,
) -> tuple[int, Done]:
    """Run rsync with a remote file ``dummy:`` that the shell's ``command`` stands for.

    Returns the shell's exit code, and what came of the client. Both have ended: the shell
    holds the client's stderr, which is read to its end.
    """
    need_rsync()
    status, remote = place / "status", place / "remote"
    status.unlink(missing_ok=True)
    # rsync kills what it started if it gives up; over ssh it could not.
    remote.write_text(
        "#!/bin/sh\ntrap '' USR1\nshift\n"
        f'{shlex.join(shell)} -c {shlex.quote(command)}" $*"\n'
        f"code=$?; echo $code >{shlex.quote(str(status))}; exit $code\n"
    )
    remote.chmod(0o755)
    done = subprocess.run(
        ["rsync", "--inplace", "--perms", "-e", str(remote), *map(str, words)],
        env=dict(env),
        cwd=place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    return int(status.read_text()), done
