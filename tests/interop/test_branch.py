"""The git-annex branch shared with the real git-annex (spec 03 §14)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from annexshell.logs.location import holders
from annexshell.logs.mapped import Trust
from annexshell.logs.proxies import Proxied
from annexshell.model.clock import SECOND, Clock, parse_clock
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.repository.branch import Branch
from annexshell.repository.journal import journal_name
from tests.support.repositories import (
    C1,
    K_LOG,
    U1,
    U2,
    U3,
    K,
    Repo,
    annex_repo,
)

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        shutil.which("git-annex") is None, reason="git-annex is not in PATH"
    ),
]

K_NAME = journal_name(K_LOG)
ORIGIN = "refs/remotes/origin/git-annex"
SYNCED = "refs/heads/synced/git-annex"
A = b"1000s 1 %b\n" % U1
B = b"1001s 1 %b\n" % U2


@pytest.fixture(params=["bare", "with work tree"])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Repo]:
    repo = annex_repo(tmp_path / "repo", bare=request.param == "bare")
    yield repo
    # Whatever a test did, git and git-annex find nothing wrong.
    assert repo.git("fsck", "--strict", "--no-dangling", "--no-progress") == b""
    repo.annex("merge")


@pytest.fixture
def one(tmp_path: Path) -> Repo:
    return annex_repo(tmp_path / "repo", bare=True)


def _branch(repo: Repo, second: int = 2000) -> Branch:
    return Branch(repo.open(), Clock(second * SECOND))


def _whereis(repo: Repo, key: Key = K) -> set[UUID]:
    text = key.text.decode()
    done = subprocess.run(
        ["git-annex", "whereis", "--json", f"--key={text}"],
        cwd=repo.path,
        env=repo.environment,
        capture_output=True,
        check=False,
    )
    found = json.loads(done.stdout)
    return {UUID(w["uuid"].encode()) for w in found["whereis"] + found["untrusted"]}


def _present(repo: Repo, uuid: UUID, key: Key = K) -> bool:
    command = ["git-annex", "readpresentkey", key.text.decode(), uuid.decode()]
    done = subprocess.run(
        command, cwd=repo.path, env=repo.environment, capture_output=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


# -- one log, two programs ------------------------------------------------------------------


def test_what_we_record_is_read_and_committed_by_git_annex(repo: Repo) -> None:
    repo.commit({K_LOG: A})
    repo.forget_index()
    assert _branch(repo).record(K, U2, True)
    expected = b"1000s 1 %b\n2000s 1 %b\n" % (U1, U2)
    assert repo.journal() == {K_NAME: expected}
    assert [_present(repo, uuid) for uuid in (U1, U2, U3)] == [True, True, False]
    assert _whereis(repo) == {U1, U2}
    repo.annex("merge")
    assert repo.journal() == {}
    assert repo.show(K_LOG) == expected
    repo.annex("setpresentkey", K.text.decode(), U2.decode(), "0", clock="1500")
    repo.annex("merge")
    assert repo.show(K_LOG) == b"1000s 1 %b\n2001s 0 %b\n" % (U1, U2)
    assert _branch(repo).locations(K) == {U1}


def test_what_we_commit_is_read_and_kept_by_git_annex(repo: Repo) -> None:
    repo.commit({K_LOG: A})
    repo.forget_index()
    repo.annex("setpresentkey", K.text.decode(), U3.decode(), "1", clock="1500")
    repo.annex("merge")
    lock = (repo.annex_dir / "index.lck").read_bytes()
    index = (repo.annex_dir / "index").read_bytes()
    branch = _branch(repo)
    branch.record(K, U2, True)
    branch.settle()
    assert repo.journal() == {}
    assert (repo.annex_dir / "index.lck").read_bytes() == lock
    assert (repo.annex_dir / "index").read_bytes() == index
    assert _whereis(repo) == {U1, U2, U3}
    # The next commits of git-annex, about this key and about another, revert nothing.
    repo.annex("setpresentkey", "WORM-s1--other", U3.decode(), "1")
    repo.annex("setpresentkey", K.text.decode(), U1.decode(), "0", clock="1500")
    repo.annex("merge")
    assert holders(repo.show(K_LOG) or b"") == {U2, U3}
    assert branch.locations(K) == {U2, U3}


VECTORS = [
    ("", "1", "1000"),
    ("", "0", "1000"),
    ("1000s 1 U1", "1", "2000"),
    ("3000s 1 U1", "0", "2000"),
    ("2000.75s 1 U1", "0", "2000"),
    ("1999.75s 1 U1", "0", "2000"),
    ("3000s 1 U2", "1", "2000"),
    ("3000s 1 U1⏎5000s 1 U1⏎4000s 0 U1", "0", "2000"),
    ("3000s 1 U1⏎5000s 0 U1", "0", "2000"),
    ("3000s 1 U1⏎3000s 0 U1", "1", "9000"),
    ("3000s 1 U1⏎3000s 0 U1", "0", "9000"),
    ("3000s X U1", "0", "9000"),
    ("3000s 1 U3⏎garbage⏎3001s 2 U2⏎1s 1⏎1s 1 ", "1", "9000"),
    ("3000 1 U3⏎3000.500000s 1 U2⏎+00012s 1 x⏎-5.25s 1 y⏎-0.5s 1 z", "1", "9000"),
    ("99999999999999999999s 1 U1", "0", "9000"),
    ("1s 1 U1\r⏎\r⏎⏎2s 0 U2", "0", "1.5"),
    ("1s 1 a b", "1", "-7.25s"),
]


def test_both_writers_write_the_same_bytes(one: Repo) -> None:
    logs = {}
    for number, (old, status, clock) in enumerate(VECTORS):
        for short, uuid in (("U1", U1), ("U2", U2), ("U3", U3)):
            old = old.replace(short, uuid.decode())
        if old:
            key = Key(b"WORM", b"k%d" % number)
            path = _branch(one).location_path(key)
            logs[path] = old.replace("⏎", "\n").encode() + b"\n"
    tip = one.commit(logs)
    one.forget_index()
    theirs = _run_vectors(one, ours=False)
    shutil.rmtree(one.annex_dir / "journal")
    assert one.tip() == tip
    ours = _run_vectors(one, ours=True)
    assert ours == theirs
    assert len(ours) == len(VECTORS) - 3


def _run_vectors(repo: Repo, *, ours: bool) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for number, (_, status, clock) in enumerate(VECTORS):
        key = Key(b"WORM", b"k%d" % number)
        if ours:
            branch = Branch(repo.open(), parse_clock(clock.encode()))
            branch.record(key, U1, status == "1")
        else:
            text = key.text.decode()
            repo.annex("setpresentkey", text, U1.decode(), status, clock=clock)
        # Read at once: the next command of git-annex would commit it.
        found |= repo.journal()
        for file in (repo.annex_dir / "journal").iterdir():
            file.unlink()
    return found


@pytest.mark.parametrize(
    "log",
    [
        "1000s 1 U1⏎1000s 0 U1",
        "1000s 0 U1⏎1000s 1 U1",
        "1000s 1 U1⏎1000.0s 0 U1",
        "5s X U1⏎4s 1 U1⏎1s 1 U2",
        "1000.s 1 U1⏎1e3 1 U2⏎ 1s 1 U3",
        "1s  1 U1⏎1s 1  U2⏎-1s 1 U3",
    ],
)
def test_both_read_the_same(log: str, one: Repo) -> None:
    for short, uuid in (("U1", U1), ("U2", U2), ("U3", U3)):
        log = log.replace(short, uuid.decode())
    one.commit({K_LOG: log.replace("⏎", "\n").encode()})
    one.forget_index()
    ours = _branch(one).locations(K)
    assert {u for u in (U1, U2, U3) if _present(one, u)} == ours & {U1, U2, U3}


def test_what_git_annex_says_of_repositories(one: Repo) -> None:
    known = [b"%b old timestamp=1s\n" % uuid for uuid in (U1, U2, U3)]
    one.commit({b"uuid.log": b"".join(known) + (one.show(b"uuid.log") or b"")})
    one.forget_index()
    for uuid in (U1, U2, U3):
        one.annex("describe", uuid.decode(), f"the {uuid[:1].decode()} one")
    one.annex("trust", "--force", U1.decode())
    one.annex("untrust", U2.decode())
    one.annex("dead", "--force", U3.decode())
    branch = _branch(one)
    assert branch.descriptions()[U1] == b"the 1 one"
    assert branch.descriptions()[one.uuid] == b"repo"
    assert branch.trust() == {U1: Trust.TRUSTED, U2: Trust.UNTRUSTED, U3: Trust.DEAD}


def test_clusters_and_proxies_of_git_annex(tmp_path: Path) -> None:
    node = annex_repo(tmp_path / "node")
    gate = annex_repo(tmp_path / "gate")
    gate.git("remote", "add", "n1", str(node.path))
    gate.annex("initcluster", "mine")
    gate.git("config", "remote.n1.annex-cluster-node", "mine")
    gate.annex("updatecluster")
    cluster = UUID(gate.git("config", "annex.cluster.mine").strip())
    branch = _branch(gate)
    assert branch.clusters() == {cluster: {node.uuid}}
    assert branch.proxied_by(gate.uuid) == tuple(
        sorted([Proxied(cluster, b"mine"), Proxied(node.uuid, b"n1")])
    )
    branch.record(K, node.uuid, True)
    assert branch.locations(K) == {node.uuid, cluster}
    branch.settle()
    assert _whereis(gate) >= {node.uuid, cluster}
    gate.annex("setpresentkey", K.text.decode(), cluster.decode(), "1")
    assert gate.journal() == {}


def test_dead_nodes_do_not_make_a_cluster_a_holder(one: Repo) -> None:
    logs = {K_LOG: A, b"cluster.log": b"1s %b %b %b\n" % (C1, U1, U2)}
    one.commit({**logs, b"trust.log": b"%b X timestamp=1s\n" % U1})
    one.forget_index()
    assert C1 not in _branch(one).locations(K)
    assert C1 not in _whereis(one)


def test_private_locations_of_git_annex_are_read(one: Repo) -> None:
    one.git("config", "remote.hidden.annex-uuid", U3.decode())
    one.git("config", "remote.hidden.annex-private", "true")
    one.git("config", "remote.hidden.url", "/nowhere")
    one.annex("setpresentkey", K.text.decode(), U3.decode(), "1", clock="1000")
    branch = _branch(one)
    assert branch.locations(K) == {U3}
    branch.record(K, U1, True)
    branch.record(K, U3, False)
    assert _whereis(one) == {U1}
    branch.settle()
    assert one.show(K_LOG) == b"2000s 1 %b\n" % U1


# -- the defects we do not copy -------------------------------------------------------------


def test_a_push_while_the_journal_is_dirty_loses_nothing(repo: Repo) -> None:
    repo.put_journal(K_NAME, A)
    repo.commit({K_LOG: B})
    assert _branch(repo).locations(K) == {U1, U2}
    _branch(repo).settle()
    assert repo.show(K_LOG) == A + B
    repo.annex("setpresentkey", K.text.decode(), U3.decode(), "1", clock="1500")
    repo.annex("merge")
    assert _whereis(repo) == {U1, U2, U3}
    assert holders(repo.show(K_LOG) or b"") == {U1, U2, U3}


def test_a_hostile_ref_does_not_keep_git_annex_from_committing(repo: Repo) -> None:
    """git-annex itself cannot commit any more once it merged such a ref (§11.4)."""
    repo.commit({K_LOG: A})
    repo.forget_index()
    link = repo.link(b"evil", ref=SYNCED)
    pushed = repo.commit({K_LOG: A + B}, ref=SYNCED, parents=(link,))
    _branch(repo).settle()
    assert b"160000" not in repo.git("ls-tree", "-r", "git-annex")
    # It is an ancestor now, so git-annex does not look at its tree.
    repo.git("merge-base", "--is-ancestor", pushed, "git-annex")
    repo.annex("setpresentkey", K.text.decode(), U3.decode(), "1")
    repo.annex("merge")
    assert _whereis(repo) == {U1, U2, U3}


@pytest.mark.parametrize(
    "name", [b"difference.log", b"transitions.log"], ids=["tuned", "unknown transition"]
)
def test_we_go_on_where_git_annex_stops(
    name: bytes, one: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    bad = {
        b"difference.log": b"u fromList [ObjectHashLower] timestamp=1s\n",
        b"transitions.log": b"BurnEverything 200s\n",
    }
    one.commit({K_LOG: A})
    one.forget_index()
    one.commit({name: bad[name]}, ref=SYNCED)
    one.annex("whereis", f"--key={K.text.decode()}", ok=1)
    branch = _branch(one)
    branch.record(K, U2, True)
    branch.settle()
    assert branch.locations(K) == {U1, U2}
    assert "is not merged" in caplog.text
    one.git("update-ref", "-d", SYNCED)
    assert _whereis(one) == {U1, U2}


def test_forgotten_history_is_not_brought_back(
    one: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    one.commit({K_LOG: A})
    one.forget_index()
    old = one.commit({K_LOG: A + B}, ref="refs/heads/kept")
    one.git("update-ref", "-d", "refs/heads/kept")
    one.annex("forget", "--force")
    one.git("update-ref", ORIGIN, old)
    _branch(one).settle()
    assert one.show(K_LOG) == A
    assert "forget history" in caplog.text
    assert one.git("merge-base", "git-annex", old, ok=1) == b""


def test_forgotten_repositories_are_not_brought_back(
    one: Repo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A client drops what is dead from its branch, and pushes that to be merged."""
    known = (one.show(b"uuid.log") or b"") + U1 + b" old timestamp=1s\n"
    one.commit({K_LOG: A + B, b"uuid.log": known})
    one.forget_index()
    client = annex_repo(tmp_path / "client")
    fetch = "+git-annex:refs/remotes/server/git-annex"
    client.git("fetch", "-q", str(one.path), fetch)
    client.annex("merge")
    client.annex("dead", U1.decode())
    client.annex("forget", "--drop-dead", "--force")
    assert client.show(K_LOG) == B
    client.git("push", "-q", str(one.path), "+git-annex:synced/git-annex")
    branch = _branch(one)
    assert branch.record(K, U3, True)
    branch.settle()
    # What was recorded is not held up, and what is forgotten is for git-annex to do.
    assert one.journal() == {} and one.show(K_LOG) == A + B + b"2000s 1 %b\n" % U3
    assert "forget history" in caplog.text
    one.annex("merge")
    assert one.show(K_LOG) == B + b"2000s 1 %b\n" % U3
    caplog.clear()
    # From then on both have forgotten, and are merged as ever, in both directions.
    client.git("fetch", "-q", str(one.path), fetch)
    client.annex("merge")
    assert client.show(K_LOG) == one.show(K_LOG)
    uuid = client.uuid.decode()
    client.annex("setpresentkey", K.text.decode(), uuid, "1")
    client.annex("merge")
    client.git("push", "-q", str(one.path), "+git-annex:synced/git-annex")
    assert branch.record(K, U2, False)
    branch.settle()
    assert branch.locations(K) == {U3, client.uuid}
    assert U1.decode() not in (one.show(K_LOG) or b"").decode()
    assert caplog.text == ""
    one.annex("merge")
    assert _whereis(one) == {U3, client.uuid}


def test_a_journal_that_waits_is_not_put_over_a_push(one: Repo) -> None:
    """With annex.alwayscommit=false: §11.1 of the spec, seen from git-annex."""
    one.git("config", "annex.alwayscommit", "false")
    branch = _branch(one)
    assert branch.record(K, U1, True)
    branch.settle()
    assert one.journal() != {}
    one.commit({K_LOG: B})
    branch.settle()
    one.annex("setpresentkey", K.text.decode(), U3.decode(), "1")
    one.annex("merge")
    assert _whereis(one) == {U1, U2, U3}


def test_private_lines_are_never_committed(one: Repo) -> None:
    one.git("config", "annex.private", "true")
    branch = _branch(one)
    assert branch.record(K, one.uuid, True)
    assert branch.record(K, U1, True)
    branch.settle()
    one.annex("merge")
    assert one.show(K_LOG) == b"2000s 1 %b\n" % U1
    assert one.git("log", "--all", "-S", one.uuid.decode(), "--", K_LOG.decode()) == b""
    assert _whereis(one) == branch.locations(K) == {U1, one.uuid}


@pytest.mark.parametrize("by", ["annexshell", "git-annex"])
def test_siblings_stay_unmerged_where_that_is_set(one: Repo, by: str) -> None:
    one.git("config", "annex.merge-annex-branches", "false")
    one.commit({K_LOG: A})
    one.forget_index()
    one.commit({K_LOG: B}, ref=SYNCED)
    if by == "annexshell":
        _branch(one).settle()
    else:
        one.annex("setpresentkey", K.text.decode(), U3.decode(), "0")
    assert _whereis(one) == {U1}
    assert _branch(one).locations(K) == {U1}


def test_branches_merge_as_git_annex_merges_them(tmp_path: Path) -> None:
    files = {
        b"uuid.log": (b"u2 b timestamp=1s\n", b"u1 a timestamp=1s\n"),
        b"a/b/one.log.met": (b"1s f +1\n", b"2s f +2\n1s f +1\n"),
        b"only-ours.log": (b"x\n", b""),
        b"only-theirs.log": (b"", b"y"),
        K_LOG: (A, A + B),
    }
    trees = []
    for name in ("ours", "theirs"):
        repo = annex_repo(tmp_path / name, bare=True, uuid=U1)
        repo.commit({p: mine for p, (mine, _) in files.items() if mine}, parents=())
        repo.forget_index()
        remote = {p: theirs for p, (_, theirs) in files.items() if theirs}
        repo.commit(remote, ref=ORIGIN, parents=())
        if name == "ours":
            _branch(repo).settle()
        else:
            repo.annex("merge")
        trees.append(repo.git("ls-tree", "-r", "git-annex"))
    assert trees[0] == trees[1]


# -- many at once -----------------------------------------------------------------------------

_WRITER = """
import sys
from annexshell.model.key import Key
from annexshell.model.ids import UUID
from annexshell.repository.branch import Branch
from annexshell.repository.open import open_repository

path, first = sys.argv[1], int(sys.argv[2])
branch = Branch(open_repository(path))
for number in range(first, first + 25):
    uuid = UUID(b"%08d-1111-4111-8111-111111111111" % number)
    branch.record(Key(b"WORM", b"k%d" % (number % 3)), uuid, True)
    if number % 8 == 0:
        branch.settle()
"""


def test_many_writers_lose_nothing(one: Repo) -> None:
    """Ours record and commit, git-annex records and may commit; nobody pushes."""
    environment = one.environment | {"PYTHONPATH": ":".join(filter(None, sys.path))}
    ours = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(one.path), str(100 * n)],
            env=environment,
            stderr=subprocess.PIPE,
        )
        for n in range(1, 4)
    ]

    def record_with_git_annex(first: int) -> None:
        lines = b"".join(
            b"WORM--k%d %08d-1111-4111-8111-111111111111 1\n" % (number % 3, number)
            for number in range(first, first + 25)
        )
        for line in lines.splitlines(keepends=True)[:5]:
            words = [word.decode() for word in line.split()]
            one.annex("setpresentkey", *words)
        one.annex("setpresentkey", "--batch", stdin=lines)

    thread = threading.Thread(target=record_with_git_annex, args=(900,))
    thread.start()
    complaints = [writer.communicate()[1] for writer in ours]
    thread.join()
    assert complaints == [b"", b"", b""]
    branch = _branch(one)
    branch.settle()
    assert one.journal() == {}
    wanted = {
        (number % 3, UUID(b"%08d-1111-4111-8111-111111111111" % number))
        for first in (100, 200, 300, 900)
        for number in range(first, first + 25)
    }
    found = {
        (k, uuid)
        for k in range(3)
        for uuid in branch.locations(Key(b"WORM", b"k%d" % k))
    }
    assert found == wanted
    one.annex("merge")
    assert _whereis(one, Key(b"WORM", b"k0")) == {u for k, u in wanted if k == 0}
    assert one.git("fsck", "--strict", "--no-dangling", "--no-progress") == b""
