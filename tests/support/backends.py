"""Programs of external backends, to be put in PATH."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.support.world import write_program

#: A key's name is the MD5 of the content. What was said to it, and the descriptors it has,
#: are left beside it.
_SCRIPT = """\
exec 2>>"$0.stderr"
(cd /proc/self/fd && for fd in *; do readlink "$fd"; done) >"$0.descriptors"
while read -r word key path; do
    echo "$word $key $path" >>"$0.log"
    case $word in
    GETVERSION) {version} ;;
    CANVERIFY) echo DEBUG thinking; echo CANVERIFY-{verifies} ;;
    ISSTABLE) echo ISSTABLE-YES ;;
    ISCRYPTOGRAPHICALLYSECURE) echo ISCRYPTOGRAPHICALLYSECURE-{secure} ;;
    GENKEY) set -- $(md5sum <"$key"); echo "GENKEY-SUCCESS {backend}-s$(
        wc -c <"$key" | tr -d ' ')--$1" ;;
    VERIFYKEYCONTENT) {verify} ;;
    *) echo ERROR unknown request ;;
    esac
done"""

VERIFY = """set -- $(md5sum <"$path"); echo PROGRESS 1; echo DEBUG reading
        if [ "${key##*--}" = "$1" ]; then echo VERIFYKEYCONTENT-SUCCESS
        else echo VERIFYKEYCONTENT-FAILURE; fi"""


def write_backend(
    folder: Path,
    backend: str,
    *,
    verifies: str = "YES",
    secure: str = "YES",
    version: str = "echo VERSION 1",
    verify: str = VERIFY,
) -> Path:
    """Write ``git-annex-backend-<backend>``; shell code for what is to be different."""
    path = folder / f"git-annex-backend-{backend}"
    script = _SCRIPT
    for name, code in (
        ("version", version),
        ("verifies", verifies),
        ("secure", secure),
        ("verify", verify),
        ("backend", backend),
    ):
        script = script.replace("{%s}" % name, code)
    write_program(path, script)
    return path


def asked(program: Path) -> list[str]:
    """What it was asked so far, line by line."""
    log = program.with_name(program.name + ".log")
    return log.read_text().splitlines() if log.exists() else []


def md5_name(content: bytes) -> str:
    """The name of the key that such a program takes for the content's."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
