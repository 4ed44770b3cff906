"""Committing the journal (spec 03 §11, §12.3, §13), with plain git repositories."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from annexshell.errors import BranchNotCommitted, LockTimeout
from annexshell.model.clock import SECOND, Clock
from annexshell.repository.branch import Branch
from annexshell.repository.filelock import try_lock
from annexshell.repository.git import BuiltTree, Git, ObjectId
from annexshell.repository.journal import journal_name
from tests.support.repositories import (
    BRANCH,
    K_LOG,
    U1,
    U2,
    U3,
    K,
    Repo,
    plain_repo,
)

K_NAME = journal_name(K_LOG)
ORIGIN = "refs/remotes/origin/git-annex"
A = b"1000s 1 %b\n" % U1
B = b"1001s 1 %b\n" % U2


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return plain_repo(tmp_path / "repo")


def _branch(repo: Repo) -> Branch:
    return Branch(repo.open(), Clock(2000 * SECOND))


def _settle(repo: Repo) -> None:
    _branch(repo).settle()


def _parents(repo: Repo) -> list[str]:
    return repo.git("show", "-s", "--format=%P", BRANCH).decode().split()


def _message(repo: Repo) -> bytes:
    return repo.git("cat-file", "commit", BRANCH).partition(b"\n\n")[2]


def _clean(repo: Repo) -> None:
    assert repo.git("fsck", "--strict", "--no-dangling") == b""


# -- the journal --------------------------------------------------------------------------


def test_the_journal_becomes_a_commit(repo: Repo) -> None:
    before = repo.commit({b"uuid.log": b"x\n"})
    _branch(repo).record(K, U1, True)
    _settle(repo)
    assert repo.journal() == {}
    assert repo.show(K_LOG) == b"2000s 1 %b\n" % U1
    assert repo.show(b"uuid.log") == b"x\n"
    assert _parents(repo) == [before]
    assert _message(repo) == b"update\n"
    _clean(repo)


def test_settling_with_nothing_to_do_changes_nothing(repo: Repo) -> None:
    before = repo.commit({K_LOG: A})
    _settle(repo)
    assert repo.tip() == before
    repo.put_journal(K_NAME, A)
    _settle(repo)
    assert repo.tip() == before
    assert repo.journal() == {}


def test_what_was_pushed_meanwhile_survives_the_journal(repo: Repo) -> None:
    """The reference loses B here (spec 03 §11.1)."""
    repo.put_journal(K_NAME, A)
    repo.commit({K_LOG: B})
    _settle(repo)
    assert repo.show(K_LOG) == A + B
    assert repo.journal() == {}


def test_what_is_pushed_during_the_commit_survives(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference overwrites such a push (spec 03 §11.2)."""
    repo.commit({b"uuid.log": b"x\n"})
    repo.put_journal(K_NAME, A)
    pushed: list[str] = []
    swap = Git.swap

    def late(git: Git, ref: str, old: ObjectId | None, new: ObjectId) -> str | None:
        if not pushed:
            pushed.append(repo.commit({K_LOG: B}))
        return swap(git, ref, old, new)

    monkeypatch.setattr(Git, "swap", late)
    _settle(repo)
    assert repo.show(K_LOG) == A + B
    assert _parents(repo) == pushed
    assert repo.journal() == {}


def test_a_push_between_looking_and_moving_the_ref_is_noticed(repo: Repo) -> None:
    old = repo.commit({K_LOG: A})
    other = repo.commit({K_LOG: B})
    git = _branch(repo)._git
    assert git.swap(BRANCH, ObjectId(old), ObjectId(old)) is not None
    assert git.swap(BRANCH, None, ObjectId(old)) is not None
    assert repo.tip() == other
    assert git.swap(BRANCH, ObjectId(other), ObjectId(old)) is None
    assert repo.tip() == old


def test_an_empty_journal_file_wipes_no_log(repo: Repo) -> None:
    repo.commit({K_LOG: A})
    repo.put_journal(K_NAME, b"")
    repo.put_journal(b"new.log", b"")
    _settle(repo)
    assert repo.show(K_LOG) == A
    assert repo.show(b"new.log") is None
    assert repo.journal() == {}


def test_a_broken_off_line_is_not_committed(repo: Repo) -> None:
    repo.put_journal(K_NAME, A + b"1002s 1 22222222-2222")
    _settle(repo)
    assert repo.show(K_LOG) == A


def test_a_log_of_another_kind_keeps_every_line(repo: Repo) -> None:
    repo.commit({b"uuid.log": b"u1 a timestamp=1s\n"})
    repo.put_journal(b"uuid.log", b"u1 b timestamp=2s\n")
    repo.put_journal(b"future.log", b"what\n")
    _settle(repo)
    assert repo.show(b"uuid.log") == b"u1 a timestamp=1s\nu1 b timestamp=2s\n"
    assert repo.show(b"future.log") == b"what\n"


def test_only_what_was_committed_is_deleted(
    repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    repo.commit({b"a/b": b"x\n"})
    for name in (b"a", b".._x", b"good.log"):
        repo.put_journal(name, b"1\n")
    (repo.annex_dir / "journal" / "sub").mkdir()
    _settle(repo)
    assert sorted(repo.journal()) == [b".._x", b"a"]
    assert repo.show(b"good.log") == b"1\n"
    assert repo.show(b"a/b") == b"x\n"
    assert "not a path the branch can have: a" in caplog.text
    _clean(repo)


def test_a_log_that_cannot_be_read_stays_in_the_journal(
    repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    repo.commit({K_LOG: A})
    blob = repo.git("rev-parse", f"git-annex:{K_LOG.decode()}").decode().strip()
    (repo.path / "objects" / blob[:2] / blob[2:]).unlink()
    repo.put_journal(K_NAME, B)
    repo.put_journal(b"uuid.log", b"x\n")
    _settle(repo)
    assert repo.journal() == {K_NAME: B}
    assert repo.show(b"uuid.log") == b"x\n"
    assert "left in the journal" in caplog.text


def test_more_files_than_one_round_takes(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annexshell.repository.settling._ROUND", 2)
    for number in range(5):
        repo.put_journal(b"%d.log" % number, b"x\n")
    _settle(repo)
    assert repo.journal() == {}
    assert all(repo.show(b"%d.log" % number) == b"x\n" for number in range(5))


def test_the_index_of_git_annex_is_never_touched(repo: Repo) -> None:
    repo.annex_dir.mkdir()
    files = [repo.annex_dir / name for name in ("index", "index.lck", "mergedrefs")]
    for file in files:
        file.write_bytes(b"not ours\n")
    before = [file.stat() for file in files]
    repo.put_journal(K_NAME, A)
    repo.commit({b"uuid.log": b"x\n"}, ref=ORIGIN)
    _settle(repo)
    assert [file.stat() for file in files] == before


def test_a_lock_held_by_others_leaves_everything(repo: Repo) -> None:
    repo.put_journal(K_NAME, A)
    held = try_lock(str(repo.annex_dir / "journal.lck"), exclusive=True)
    assert held is not None
    with held, pytest.raises(LockTimeout):
        _branch(repo).settle(timeout=0)
    assert repo.journal() == {K_NAME: A}


def test_a_stale_lock_on_the_ref_leaves_the_journal(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = repo.commit({b"uuid.log": b"x\n"})
    pauses: list[float] = []
    monkeypatch.setattr("annexshell.repository.settling.time.sleep", pauses.append)
    repo.put_journal(K_NAME, A)
    stale = repo.path / "refs/heads/git-annex.lock"
    stale.touch()
    with pytest.raises(BranchNotCommitted):
        _settle(repo)
    assert 4 < sum(pauses) < 8
    assert repo.tip() == before
    assert repo.journal() == {K_NAME: A}
    stale.unlink()
    _settle(repo)
    assert repo.show(K_LOG) == A


def test_alwayscommit_false_does_not_wait_with_what_was_overtaken(repo: Repo) -> None:
    """A push moved the branch under the journal: git-annex would put A over B."""
    repo.git("config", "annex.alwayscommit", "false")
    repo.put_journal(K_NAME, A)
    repo.commit({b"uuid.log": b"x\n"})
    _settle(repo)
    assert repo.journal() == {K_NAME: A}
    repo.commit({K_LOG: B})
    _settle(repo)
    assert repo.journal() == {}
    assert repo.show(K_LOG) == A + B
    # What only has newer lines than the branch goes on waiting.
    assert _branch(repo).record(K, U1, False)
    _settle(repo)
    assert list(repo.journal()) == [K_NAME]


def test_alwayscommit_false_leaves_the_journal_unless_there_is_a_merge(
    repo: Repo,
) -> None:
    repo.git("config", "annex.alwayscommit", "false")
    repo.commit({b"uuid.log": b"x\n"})
    repo.put_journal(K_NAME, A)
    _settle(repo)
    assert repo.journal() == {K_NAME: A}
    repo.commit({K_LOG: B}, ref=ORIGIN, parents=(repo.tip(),))
    _settle(repo)
    assert repo.journal() == {}
    assert repo.show(K_LOG) == A + B


# -- the branch itself --------------------------------------------------------------------


def test_a_missing_branch_starts_empty(repo: Repo) -> None:
    _branch(repo).create()
    assert _message(repo) == b"branch created\n"
    assert _parents(repo) == []
    assert repo.git("ls-tree", BRANCH) == b""
    tip = repo.tip()
    _branch(repo).create()
    assert repo.tip() == tip
    _clean(repo)


def test_a_missing_branch_starts_from_the_origin(repo: Repo) -> None:
    origin = repo.commit({K_LOG: A}, ref=ORIGIN)
    _branch(repo).create()
    assert repo.tip() == origin


@pytest.mark.parametrize(
    ("settings", "author"),
    [
        ({"user.name": "Ann", "user.email": "ann@x"}, b"Ann <ann@x>"),
        ({"user.name": "A<n>n\udce9", "user.email": "ann@x"}, b"Ann? <ann@x>"),
    ],
)
def test_who_commits(repo: Repo, settings: Mapping[str, str], author: bytes) -> None:
    for name, value in settings.items():
        repo.git("config", name, value)
    repo.put_journal(K_NAME, A)
    _settle(repo)
    commit = repo.git("cat-file", "commit", BRANCH)
    assert b"\nauthor " + author in commit
    assert b"\ncommitter " + author in commit
    _clean(repo)


@pytest.mark.thorough
@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("name", [None, "", "<>"])
def test_a_commit_never_fails_for_lack_of_a_name(
    name: str | None, bare: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = plain_repo(tmp_path / "nameless", bare=bare)
    monkeypatch.setenv("HOME", str(repo.home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for setting in ("user.name", "user.email"):
        repo.git("config", "--unset", setting)
        if name is not None:
            repo.git("config", setting, name)
    repo.put_journal(K_NAME, A)
    _settle(repo)
    repo.put_journal(K_NAME, B)
    _settle(repo)
    assert repo.show(K_LOG) == A + B
    _clean(repo)


def _hook(path: Path, body: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_the_configured_message_is_used(repo: Repo) -> None:
    """As by git-annex the hook counts most, then the command, then the fixed text."""
    steps = [b"fixed\n", b"a\nb\n\n", b"of the hook\n"]
    repo.git("config", "annex.commitmessage", "fixed")
    for number, expected in enumerate(steps):
        if number == 1:
            command = "printf 'a\\nb\\n\\n'"
            repo.git("config", "annex.commitmessage-command", command)
        if number == 2:
            _hook(repo.path / "hooks" / "commitmessage-annex", "echo of the hook")
        repo.put_journal(b"x%d.log" % number, A)
        _settle(repo)
        assert _message(repo) == expected


def test_git_annex_hooks_are_not_where_hooks_of_git_are(repo: Repo) -> None:
    repo.git("config", "core.hooksPath", str(repo.path / "elsewhere"))
    _hook(repo.path / "elsewhere" / "commitmessage-annex", "echo elsewhere")
    _hook(repo.path / "hooks" / "commitmessage-annex", "echo here")
    repo.put_journal(K_NAME, A)
    _settle(repo)
    assert _message(repo) == b"here\n"


def test_a_message_command_that_fails_is_done_without(
    repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    repo.git("config", "annex.commitmessage-command", "echo no; exit 3")
    repo.put_journal(K_NAME, A)
    _settle(repo)
    assert _message(repo) == b"update\n"
    assert "exit 3" in caplog.text


@pytest.mark.parametrize("how", ["command", "hook"])
def test_the_update_is_told_without_writing_to_the_client(
    how: str, repo: Repo, capfd: pytest.CaptureFixture[str]
) -> None:
    told = "echo told; git rev-parse git-annex > told"
    if how == "command":
        repo.git("config", "annex.post-update-command", told)
    else:
        hook = repo.path / "hooks" / "post-update-annex"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{told}\n")
        hook.chmod(0o755)
    repo.put_journal(K_NAME, A)
    _settle(repo)
    assert (repo.path / "told").read_text().strip() == repo.tip()
    heard = capfd.readouterr()
    assert heard.out == ""
    assert "told" in heard.err


def test_shared_repositories_get_shared_modes(repo: Repo) -> None:
    repo.git("config", "core.sharedRepository", "group")
    repo.put_journal(K_NAME, A)
    before = os.umask(0o077)
    try:
        _settle(repo)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    blob = repo.git("rev-parse", f"git-annex:{K_LOG.decode()}").decode().strip()
    loose = repo.path / "objects" / blob[:2] / blob[2:]
    assert stat.S_IMODE(loose.stat().st_mode) == 0o440
    assert stat.S_IMODE(loose.parent.stat().st_mode) & 0o777 == 0o770
    ref = repo.path / "refs/heads/git-annex"
    assert stat.S_IMODE(ref.stat().st_mode) == 0o660


# -- siblings -----------------------------------------------------------------------------


def test_a_sibling_that_is_ahead_is_taken_as_it_is(repo: Repo) -> None:
    start = repo.commit({K_LOG: A})
    ahead = repo.commit({K_LOG: b"2000s 0 %b\n" % U1}, ref=ORIGIN, parents=(start,))
    _settle(repo)
    assert repo.tip() == ahead


def test_siblings_are_merged_in_one_commit(repo: Repo) -> None:
    start = repo.commit({K_LOG: A, b"uuid.log": b"x\n"})
    one = repo.commit({K_LOG: A + B}, ref=ORIGIN, parents=(start,))
    synced = "refs/heads/synced/git-annex"
    two = repo.commit({b"uuid.log": b"y\nx\n"}, ref=synced, parents=(start,))
    repo.put_journal(b"new.log", b"n\n")
    _settle(repo)
    assert sorted(_parents(repo)[1:]) == sorted([one, two])
    assert _parents(repo)[0] == start
    assert repo.show(K_LOG) == A + B
    assert repo.show(b"uuid.log") == b"y\nx\n"
    assert repo.show(b"new.log") == b"n\n"
    assert (
        _message(repo) == b"merging synced/git-annex origin/git-annex into git-annex\n"
    )
    tip = repo.tip()
    _settle(repo)
    assert repo.tip() == tip
    _clean(repo)


def test_what_was_merged_before_the_branch_was_set_back_is_merged_again(
    repo: Repo,
) -> None:
    """git-annex remembers which refs it merged, and looks at none of them twice."""
    start = repo.commit({K_LOG: A})
    repo.commit({K_LOG: A + B}, ref=ORIGIN, parents=(start,))
    _settle(repo)
    assert repo.show(K_LOG) == A + B
    repo.git("update-ref", BRANCH, start)
    _settle(repo)
    assert repo.show(K_LOG) == A + B


def test_unrelated_histories_are_merged(repo: Repo) -> None:
    repo.commit({K_LOG: A})
    repo.commit({K_LOG: B}, ref=ORIGIN, parents=())
    _settle(repo)
    assert repo.show(K_LOG) == A + B


def test_a_sibling_that_deletes_logs_deletes_nothing_here(repo: Repo) -> None:
    start = repo.commit({K_LOG: A, b"uuid.log": b"x\n"})
    other = repo.commit({b"trust.log": b"t\n"}, ref="refs/heads/tmp", parents=())
    tree = repo.git("rev-parse", f"{other}^{{tree}}").decode().strip()
    identity = ("-c", "user.name=p", "-c", "user.email=p")
    wiped = repo.git(*identity, "commit-tree", tree, "-p", start).decode().strip()
    repo.git("update-ref", ORIGIN, wiped)
    _settle(repo)
    assert _parents(repo) == [start, wiped]
    assert repo.show(K_LOG) == A
    assert repo.show(b"trust.log") == b"t\n"


@pytest.mark.thorough
@pytest.mark.parametrize(
    "ref",
    [
        "refs/heads/evil/git-annex",
        "refs/tags/x/git-annex",
        "refs/notes/git-annex",
        "refs/remotes/origin/git-annex-x",
        "refs/heads/synced/git-annex/x",
    ],
)
def test_other_refs_are_left_alone(ref: str, repo: Repo) -> None:
    before = repo.commit({K_LOG: A})
    repo.commit({K_LOG: B}, ref=ref, parents=(before,))
    _settle(repo)
    assert repo.tip() == before


@pytest.mark.thorough
@pytest.mark.parametrize(
    "files",
    [
        {b"difference.log": b"u fromList [ObjectHashLower] timestamp=1s\n"},
        {b"difference.log": b"u fromList [Unheard] timestamp=1s\n"},
        {b"difference.log": b"u nonsense timestamp=1s\n"},
        {b"transitions.log": b"ForgetGitHistory 200s\n"},
        {b"transitions.log": b"BurnEverything 200s\n"},
    ],
)
def test_a_ref_that_cannot_be_merged_safely_is_named_and_left(
    files: dict[bytes, bytes], repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    before = repo.commit({K_LOG: A})
    repo.commit({K_LOG: B, **files}, ref=ORIGIN, parents=(before,))
    repo.commit({b"good.log": b"g\n"}, ref="refs/remotes/b/git-annex", parents=())
    repo.put_journal(b"uuid.log", b"x\n")
    _settle(repo)
    assert repo.show(K_LOG) == A
    assert repo.show(b"good.log") == b"g\n"
    assert repo.show(b"uuid.log") == b"x\n"
    assert "refs/remotes/origin/git-annex is not merged" in caplog.text


def test_equal_tunes_and_transitions_are_merged(repo: Repo) -> None:
    repo.git("config", "annex.tune.objecthashlower", "true")
    told = {
        b"transitions.log": b"ForgetGitHistory 200s\nForgetDeadRemotes 200s\n",
        b"difference.log": b"u fromList [ObjectHashLower] timestamp=1s\n",
    }
    repo.commit({K_LOG: A, **told})
    repo.commit({K_LOG: B, **told}, ref=ORIGIN, parents=())
    _settle(repo)
    assert repo.show(K_LOG) == A + B


def test_refs_that_git_annex_ignores_are_ignored(repo: Repo) -> None:
    before = repo.commit({K_LOG: A})
    ignored = repo.commit({K_LOG: B}, ref=ORIGIN, parents=())
    repo.annex_dir.mkdir(exist_ok=True)
    (repo.annex_dir / "ignoredrefs").write_text(ignored + "\n")
    _settle(repo)
    assert repo.tip() == before


def test_merging_can_be_switched_off(repo: Repo) -> None:
    repo.git("config", "annex.merge-annex-branches", "false")
    before = repo.commit({K_LOG: A})
    repo.commit({K_LOG: B}, ref=ORIGIN, parents=())
    _settle(repo)
    assert repo.tip() == before


def test_of_a_ref_with_a_gitlink_only_the_logs_are_merged(repo: Repo) -> None:
    repo.commit({K_LOG: A})
    link = repo.link(b"evil", ref=ORIGIN)
    repo.commit({K_LOG: A + B}, ref=ORIGIN, parents=(link,))
    _settle(repo)
    assert repo.show(K_LOG) == A + B
    assert b"160000" not in repo.git("ls-tree", "-r", BRANCH)
    tip = repo.tip()
    _settle(repo)
    assert repo.tip() == tip


def test_a_tag_in_the_place_of_a_branch_is_peeled(repo: Repo) -> None:
    start = repo.commit({K_LOG: A})
    made = repo.commit({K_LOG: A + B}, ref="refs/heads/tmp", parents=(start,))
    repo.git("tag", "-a", "-m", "x", "t", made)
    tag = repo.git("rev-parse", "refs/tags/t").decode().strip()
    repo.git("update-ref", ORIGIN, tag)
    _settle(repo)
    assert repo.tip() == made


def test_a_ref_to_something_else_is_ignored(repo: Repo) -> None:
    before = repo.commit({K_LOG: A})
    blob = repo.git("hash-object", "-w", "--stdin", stdin=b"x").decode().strip()
    repo.git("update-ref", ORIGIN, blob)
    _settle(repo)
    assert repo.tip() == before


def test_a_log_too_large_to_merge_leaves_its_ref(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("annexshell.repository.merging.MAX_LOG", 200)
    before = repo.commit({K_LOG: A})
    large = b"".join(b"1s 1 u%d\n" % number for number in range(50))
    files = {b"aaa.log": b"taken back\n", K_LOG: large}
    repo.commit(files, ref=ORIGIN, parents=(before,))
    _settle(repo)
    assert repo.tip() == before
    assert "is not merged" in caplog.text


def test_a_file_where_we_have_a_directory_is_refused(repo: Repo) -> None:
    repo.commit({b"a/b": b"x\n"})
    repo.commit({b"a": b"y\n", b"c": b"z\n"}, ref=ORIGIN, parents=())
    _settle(repo)
    assert repo.show(b"a/b") == b"x\n"
    assert repo.show(b"c") == b"z\n"
    tip = repo.tip()
    _settle(repo)
    assert repo.tip() == tip
    _clean(repo)


def test_nothing_is_built_for_a_branch_that_is_whole(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = repo.commit({K_LOG: A})
    repo.git("update-ref", ORIGIN, tip)

    def build(*_: object) -> BuiltTree:
        pytest.fail("a tree was built")

    monkeypatch.setattr(Git, "build", build)
    _settle(repo)


def test_three_siblings_with_one_ahead_of_all(repo: Repo) -> None:
    start = repo.commit({K_LOG: A})
    one = repo.commit({b"1.log": b"1\n"}, ref=ORIGIN, parents=(start,))
    two = repo.commit(
        {b"2.log": b"2\n"}, ref="refs/remotes/b/git-annex", parents=(one,)
    )
    _settle(repo)
    assert repo.tip() == two
    assert repo.show(b"1.log") == b"1\n"
    assert U3 not in _branch(repo).locations(K)


def test_a_packed_ref_is_moved_like_any_other(repo: Repo) -> None:
    repo.commit({K_LOG: A})
    repo.git("pack-refs", "--all")
    repo.put_journal(K_NAME, B)
    _settle(repo)
    assert repo.show(K_LOG) == A + B


def test_a_branch_that_stands_for_another_is_not_committed_to(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moving it would have to move the other, which nobody asked for."""
    monkeypatch.setattr("annexshell.repository.settling.time.sleep", lambda _: None)
    tip = repo.commit({K_LOG: A}, ref="refs/heads/other")
    repo.git("symbolic-ref", BRANCH, "refs/heads/other")
    repo.put_journal(K_NAME, B)
    with pytest.raises(BranchNotCommitted):
        _settle(repo)
    assert repo.tip("refs/heads/other") == tip
    assert repo.journal() == {K_NAME: B}
    assert _branch(repo).locations(K) == {U1, U2}


def test_a_gitlink_pushed_onto_the_branch_itself_is_dropped(repo: Repo) -> None:
    repo.commit({K_LOG: A})
    repo.link(b"evil", ref=BRANCH)
    repo.put_journal(b"uuid.log", b"x\n")
    assert _branch(repo).read(b"evil") == b""
    _settle(repo)
    assert b"160000" not in repo.git("ls-tree", "-r", BRANCH)
    assert repo.show(K_LOG) == A
