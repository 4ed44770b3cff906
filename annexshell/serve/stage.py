"""Two repositories of nobody's, on which sessions are rehearsed (`serve.rehearsal`).

A gateway, its node, and a cluster of the two; both hold the same byte. No session of a
client can name them, and nothing is ever written to them again.
"""

from __future__ import annotations

import hashlib
import os
import zlib

from annexshell.logs.location import location_path
from annexshell.model.ids import UUID
from annexshell.model.key import Key

GATEWAY, NODE = "gateway", "node"
UUIDS = {
    GATEWAY: UUID(b"00000000-0000-4000-8000-000000000000"),
    NODE: UUID(b"00000000-0000-4000-8000-000000000001"),
}
CLUSTER = UUID(b"ac000000-0000-8000-8000-000000000002")
CONTENT = b"x"
KEY = b"SHA256E-s1--" + hashlib.sha256(CONTENT).hexdigest().encode()
_LOG = location_path(Key.parse(KEY))

_CONFIG = b"""[core]
\trepositoryformatversion = 0
\tbare = true
[annex]
\tuuid = %b
\tversion = 10
"""
_REMOTE = b"""[remote "node"]
\turl = ../node
\tannex-uuid = %b
\tannex-proxy = true
\tannex-cluster-node = both
[annex "cluster"]
\tboth = %b
""" % (
    UUIDS[NODE],
    CLUSTER,
)
_BRANCH = {
    _LOG: b"1s 1 %b\n" % UUIDS[NODE],
    b"cluster.log": b"1s %b %b\n" % (CLUSTER, UUIDS[NODE]),
    b"proxy.log": b"1s %b %b:node %b:both\n" % (UUIDS[GATEWAY], UUIDS[NODE], CLUSTER),
    b"uuid.log": b"%b node timestamp=1s\n" % UUIDS[NODE],
}


def prepare(stage: str) -> None:
    """Make the repositories in ``stage``, a directory that is there. Raises OSError."""
    folder = os.fsdecode(_LOG.removesuffix(b".log"))
    for name, uuid in UUIDS.items():
        top = os.path.join(stage, name)
        for part in ("refs/heads", "annex/journal", f"annex/objects/{folder}"):
            os.makedirs(os.path.join(top, part), 0o700)
        _write(f"{top}/HEAD", b"ref: refs/heads/main\n")
        _write(f"{top}/config", _CONFIG % uuid + (_REMOTE if name == GATEWAY else b""))
        _write(f"{top}/annex/objects/{folder}/{KEY.decode()}", CONTENT)
        _write(f"{top}/refs/heads/git-annex", _commit(top, _BRANCH))


def _commit(top: str, files: dict[bytes, bytes]) -> bytes:
    tree = _tree(top, {tuple(path.split(b"/")): text for path, text in files.items()})
    person = b"nobody <nobody> 1 +0000"
    lines = (b"tree " + tree, b"author " + person, b"committer " + person, b"", b"")
    return _object(top, b"commit", b"\n".join(lines)) + b"\n"


def _tree(top: str, files: dict[tuple[bytes, ...], bytes]) -> bytes:
    """The id of the tree of ``files``, whose paths are in parts."""
    lines = []
    # As git sorts them: here no name of a directory begins another's.
    for name in sorted({path[0] for path in files}):
        below = {path[1:]: text for path, text in files.items() if path[0] == name}
        if () in below:
            kind, found = b"100644", _object(top, b"blob", below[()])
        else:
            kind, found = b"40000", _tree(top, below)
        lines.append(b"%b %b\0%b" % (kind, name, bytes.fromhex(found.decode())))
    return _object(top, b"tree", b"".join(lines))


def _object(top: str, kind: bytes, content: bytes) -> bytes:
    """The id of a new object of git's."""
    text = b"%b %d\0%b" % (kind, len(content), content)
    name = hashlib.sha1(text, usedforsecurity=False).hexdigest()
    folder = f"{top}/objects/{name[:2]}"
    os.makedirs(folder, 0o700, exist_ok=True)
    _write(f"{folder}/{name[2:]}", zlib.compress(text))
    return name.encode()


def _write(path: str, text: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)
