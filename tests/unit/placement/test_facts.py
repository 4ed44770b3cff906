"""What is looked up of a key, and when (spec 04 §3.3, §3.4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.errors import JournalFailed
from annexshell.logs.location import location_path
from annexshell.model.ids import UUID
from annexshell.model.key import Key
from annexshell.placement.facts import BranchFacts, associated_file
from annexshell.repository.branch import Branch
from annexshell.wanted.facts import Configuration
from tests.support.content import HELLO, sha256_key, write_object
from tests.support.repositories import K_LOG, U1, U2, U3, K, Repo, plain_repo
from tests.support.rows import each_of
from tests.unit.placement.looking import Counting, facts_of


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return plain_repo(tmp_path / "repo")


# Observed of PUT at a cluster of git-annex 10.20261026, in a repository /a/b/gw.
@each_of(
    [
        *((b"x", "x"), (b"./x", "x"), (b"d/../x", "x"), (b".//x", "x"), (b"x/", "x")),
        *((b"x/.", "x"), (b"d//x", "d/x"), (b"d/e/../x", "d/x"), (b"d/x/", "d/x")),
        *((b"../x", "../x"), (b"../../x", "../../x"), (b"a/../../x", "../x")),
        *((b"..", ".."), (b".", ""), (b"a/..", ""), (b"a/../..", "..")),
        *((b"../gw/x", "x"), (b"../../b/gw/d/../x", "x"), (b"../gw", "")),
        *((b"../gw/", ""), (b"../other/x", "../other/x")),
        *((b"../../gw/x", "../../gw/x"), (b"../../../x", "../../../x")),
        (b"../../../../../x", "../../../../../x"),
        (b"../../../../a/b/gw/x", "../../../../a/b/gw/x"),
        *((b"caf\xc3\xa9/\xff", "caf\u00e9/\udcff"), (b"a\\b", "a\\b")),
    ],
)
def test_a_clients_name_is_made_normal(name: bytes, path: str) -> None:
    assert associated_file(name, "/a/b/gw") == path


def test_an_empty_name_is_none() -> None:
    assert associated_file(b"", "/a/b/gw") is None


def test_nothing_is_looked_up_before_it_is_asked_for(repo: Repo) -> None:
    branch = Counting(repo.open())
    facts = facts_of(repo, branch=branch, file="a")
    assert facts.key == K and facts.file == "a"
    assert facts.here() == U1
    assert not branch.reads


def test_each_log_is_read_once(repo: Repo) -> None:
    log = K_LOG
    repo.commit(
        {
            log: b"1s 1 %b\n1s 0 %b\n1s X %b\n" % (U1, U2, U3),
            log + b".met": b"1s Tag +a +b\n2s Tag -a\n",
            log + b".web": b"1s 1 http://a/\n1s 0 http://b/\n",
            log + b".ek": b"1s 1 %b\n" % K.text,
        }
    )
    branch = Counting(repo.open())
    facts = facts_of(repo, branch=branch)
    for _ in range(2):
        assert facts.holders() == {U1}
        assert facts.metadata()["tag"] == {"b"}
        assert facts.urls() == {"http://a/"}
        assert facts.equivalents() == {K}
    assert set(branch.reads.values()) == {1}


def test_holders_are_those_of_the_log_dead_ones_too(repo: Repo) -> None:
    repo.commit({K_LOG: b"1s 1 %b\n" % U2, b"trust.log": b"%b X timestamp=1s\n" % U2})
    assert facts_of(repo).holders() == {U2}


def test_a_hash_level_less(repo: Repo) -> None:
    repo.git("config", "annex.tune.branchhash1", "true")
    path = location_path(K, one_level=True)
    repo.commit({path: b"1s 1 %b\n" % U2, path + b".web": b"1s 1 http://a/\n"})
    facts = facts_of(repo)
    assert facts.holders() == {U2} and facts.urls() == {"http://a/"}


def test_a_log_that_cannot_be_read_is_not_an_empty_one(repo: Repo) -> None:
    (repo.annex_dir / "journal" / K_LOG.replace(b"/", b"_").decode()).mkdir(
        parents=True
    )
    with pytest.raises(JournalFailed):
        facts_of(repo).holders()


def test_own_content_is_what_lies_there(repo: Repo) -> None:
    """Whatever the log says, as in git-annex, also at a gateway that is its own node."""
    key = sha256_key(HELLO)
    repo.commit({location_path(key): b"1s 0 %b\n" % U1, K_LOG: b"1s 1 %b\n" % U1})
    write_object(repo.open(), key, HELLO)
    assert _facts(repo, key).holds()
    assert not facts_of(repo).holds()


def test_attributes_are_asked_once_and_only_of_a_file(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def numcopies(repository: object, file: str) -> int:
        asked.append(file)
        return 7

    monkeypatch.setattr("annexshell.placement.facts.attribute_numcopies", numcopies)
    assert facts_of(repo).numcopies() is None
    facts = facts_of(repo, file="d/a")
    assert not asked
    assert (facts.numcopies(), facts.numcopies()) == (7, 7)
    assert asked == ["d/a"]


def test_sizes_are_asked_once(repo: Repo) -> None:
    asked: list[None] = []

    def sizes() -> dict[UUID, int]:
        asked.append(None)
        return {U1: 5}

    repository = repo.open()
    facts = BranchFacts(
        repository, Branch(repository), Configuration(), K, None, lambda: sizes()
    )
    assert not asked
    assert (facts.sizes(), facts.sizes()) == ({U1: 5}, {U1: 5})
    assert len(asked) == 1


def test_unused_is_what_git_annex_has_found(repo: Repo) -> None:
    """A key with a file is used."""
    assert not facts_of(repo).unused()
    other = K.text.replace(b"SHA256E", b"SHA512E")
    repo.annex_dir.mkdir(exist_ok=True)
    unused = repo.annex_dir / "unused"
    unused.write_bytes(b"1 %b 1795311258.66s\n" % other)
    assert not facts_of(repo).unused()
    unused.write_bytes(b"1 %b 1795311258.66s\n2 %b 1795311258.66s\n" % (other, K.text))
    assert facts_of(repo).unused()
    assert not facts_of(repo, file="a").unused()


def test_without_a_key_nothing_is_known(repo: Repo) -> None:
    facts = _facts(repo, None)
    assert facts.holders() == frozenset() and not facts.holds()
    assert facts.metadata() == {} and facts.urls() == frozenset()
    assert facts.equivalents() == frozenset() and not facts.unused()


def _facts(repo: Repo, key: Key | None) -> BranchFacts:
    repository = repo.open()
    parts = (repository, Branch(repository), Configuration())
    return BranchFacts(*parts, key, None, dict)
