"""What is configured, seen at once and compiled once (spec 04 §1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.logs.mapped import Trust
from annexshell.placement.configuration import Settings
from annexshell.repository.branch import Branch
from tests.support.repositories import C1, K_LOG, U1, U2, U3, Repo, plain_repo
from tests.unit.placement.looking import CLUSTER, Counting, of_uuids, pushed


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return plain_repo(tmp_path / "repo")


def _settings(repo: Repo) -> tuple[Settings, Counting]:
    branch = Counting(repo.open())
    return Settings(repo.open(), branch), branch


def test_nothing_is_configured_without_a_branch(repo: Repo) -> None:
    configuration, preferences = _settings(repo)[0].current()
    assert configuration.preferred == {} and configuration.maxsize == {}
    assert configuration.numcopies == 1 and configuration.threshold == 90.0
    assert not configuration.rebalance
    assert preferences.preferred(U1) is None


def test_everything_is_read(repo: Repo) -> None:
    repo.git("config", "annex.fullybalancedthreshhold", "75.5")
    repo.git("config", "remote.far.annex-uuid", U3.decode())
    repo.git("config", "remote.far.annex-trustlevel", "trusted")
    pushed(
        repo,
        preferred_content=of_uuids({U2: "include=*.é", U3: ""}),
        required_content=of_uuids({U3: "include=a  b"}),
        group_preferred_content="1s archive not copies=2\n",
        group=of_uuids({U2: "archive  big", U3: "big"}),
        maxsize=f"1s {U2.decode()} 1000\n",
        trust=of_uuids({U2: "0", U1: "X"}),
        cluster=f"1s {C1.decode()} {U1.decode()} {U2.decode()}\n",
        numcopies="1s 3\n",
        remote=of_uuids({U2: "name=x preferreddir=a&32;b", U3: "name=y"}),
    )
    found = _settings(repo)[0].current()[0]
    assert found.preferred == {U2: "include=*.é", U3: ""}
    assert found.required == {U3: "include=a  b"}
    assert found.group_preferred == {"archive": "not copies=2"}
    assert found.groups == {U2: frozenset(("archive", "big")), U3: frozenset(("big",))}
    assert found.members["big"] == {U2, U3}
    assert found.maxsize == {U2: 1000}
    assert found.trust == {U1: Trust.DEAD, U2: Trust.UNTRUSTED, U3: Trust.TRUSTED}
    assert found.clusters == {C1: frozenset((U2,))}
    assert found.numcopies == 3
    assert found.directories == {U2: "a b"}
    assert found.threshold == 75.5


def test_where_nothing_changed_nothing_is_read(repo: Repo) -> None:
    pushed(repo, preferred_content=of_uuids({U2: "anything"}), cluster=CLUSTER)
    settings, branch = _settings(repo)
    first = settings.current()
    branch.reads.clear()
    repo.put_journal(K_LOG.replace(b"/", b"_"), b"1s 1 %b\n" % U1)
    assert settings.current() is first
    assert not branch.reads


def test_a_change_in_the_journal_is_seen_at_once(repo: Repo) -> None:
    pushed(repo, preferred_content=of_uuids({U2: "anything"}))
    settings, _ = _settings(repo)
    settings.current()
    new = of_uuids({U2: "nothing"}).replace("=1s", "=2s")
    repo.put_journal(b"preferred-content.log", new.encode())
    assert settings.current()[0].preferred == {U2: "nothing"}


def test_a_push_is_seen_at_once(repo: Repo) -> None:
    pushed(repo, preferred_content=of_uuids({U2: "anything"}))
    settings, _ = _settings(repo)
    old = settings.current()
    pushed(repo, preferred_content=of_uuids({U2: "nothing", U3: "present"}))
    new = settings.current()
    assert new[0].preferred == {U2: "nothing", U3: "present"}
    assert new[1] is not old[1]


def test_what_was_compiled_outlives_commits_of_other_logs(repo: Repo) -> None:
    pushed(repo, preferred_content=of_uuids({U2: "anything"}), cluster=CLUSTER)
    settings, _ = _settings(repo)
    first = settings.current()
    repo.commit({K_LOG: b"1s 1 %b\n" % U1})
    assert settings.current() is first
    # A line that loses changes the text, and nothing that is configured.
    pushed(repo, preferred_content=of_uuids({U2: "anything"}) * 2)
    assert settings.current() is first


def test_what_waits_is_what_is_committed(repo: Repo) -> None:
    text = of_uuids({U2: "anything"}).encode()
    repo.put_journal(b"preferred-content.log", text)
    settings, _ = _settings(repo)
    first = settings.current()
    Branch(repo.open()).settle()
    assert repo.journal() == {}
    assert settings.current() is first


def test_a_private_journal_is_seen_at_once(repo: Repo) -> None:
    repo.git("config", "annex.private", "true")
    settings, _ = _settings(repo)
    settings.current()
    private = repo.annex_dir / "journal-private"
    private.mkdir(parents=True)
    (private / "maxsize.log").write_bytes(b"1s %b 5\n" % U1)
    assert settings.current()[0].maxsize == {U1: 5}


def test_a_log_that_cannot_be_read_says_nothing(
    repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    """The others count, it is said once, and tried again each time."""
    pushed(
        repo,
        preferred_content=of_uuids({U2: "anything"}),
        maxsize=f"1s {U2.decode()} 5\n",
    )
    settings, _ = _settings(repo)
    settings.current()
    in_the_way = repo.annex_dir / "journal" / "preferred-content.log"
    in_the_way.mkdir(parents=True)
    for _ in range(2):
        found = settings.current()[0]
        assert found.preferred == {} and found.maxsize == {U2: 5}
    (message,) = caplog.messages
    assert "preferred-content.log" in message
    in_the_way.rmdir()
    assert settings.current()[0].preferred == {U2: "anything"}


def test_a_branch_that_cannot_be_read_says_nothing(
    repo: Repo, caplog: pytest.LogCaptureFixture
) -> None:
    pushed(repo, preferred_content=of_uuids({U2: "anything"}))
    tip = repo.tip()
    settings, _ = _settings(repo)
    blob = repo.git("rev-parse", f"{tip}:preferred-content.log")
    ref = repo.path / "refs" / "heads" / "git-annex"
    ref.write_bytes(blob)
    assert settings.current()[0].preferred == {}
    assert "git-annex branch cannot be read" in caplog.messages[0]
    ref.write_text(tip)
    assert settings.current()[0].preferred == {U2: "anything"}


@pytest.mark.thorough
@pytest.mark.parametrize(
    "value, percent",
    [
        *(("50", 50.0), (" 12.5 ", 12.5), ("1e1", 10.0), ("0", 0.0)),
        *(("", 90.0), ("-1", 90.0), ("x", 90.0), ("nan", 90.0), ("9" * 400, 90.0)),
    ],
)
def test_the_threshold_is_a_decimal_number(
    repo: Repo, value: str, percent: float
) -> None:
    repo.git("config", "annex.fullybalancedthreshhold", value)
    assert _settings(repo)[0].current()[0].threshold == percent
