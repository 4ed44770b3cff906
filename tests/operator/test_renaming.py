"""A cluster gets another name, also if that takes several attempts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annexshell.admin import changing, renaming
from annexshell.admin.errors import BadClusterName, ClusterNameTaken, NoSuchCluster
from annexshell.cli.admin import main
from tests.support.operators import C2, GATEWAY, N1, N2, Estate, usual
from tests.support.repositories import C1

OTHERS = b"900s %b %b:bar\n" % (N1, C1)
CHANGES = ("write_settings", "change_proxied", "change_description", "unset_config")
"""What is called in turn."""


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    found = usual(tmp_path)
    found.repo.git("config", "annex.cluster.other", C2.decode())
    found.repo.git("config", "remote.n2.annex-cluster-node", "Other FOO")
    [old] = filter(None, [found.repo.show(b"proxy.log")])
    found.record({b"proxy.log": OTHERS + old})
    return found


def rename(estate: Estate, old: str = "foo", new: str = "new") -> None:
    renaming.rename(estate.open(), old, new)


def state(estate: Estate) -> dict[str, object]:
    """Everything that a renaming may touch, by its meaning, and what is left waiting."""
    config = estate.open().config
    settings = {n: config.all(n) for n in config.names("") if "cluster" in n}
    logs = estate.logs()
    return {**settings, "journal": estate.repo.journal()} | logs


def assert_renamed(estate: Estate) -> None:
    assert state(estate) == {
        "annex.cluster.new": [C1.decode()],
        "annex.cluster.other": [C2.decode()],
        "remote.n1.annex-cluster-node": ["new"],
        "remote.n2.annex-cluster-node": ["other new"],
        "journal": {},
        "proxies": {
            N1: ((C1, b"bar"),),
            GATEWAY: ((N1, b"n1"), (N2, b"n2"), (C1, b"new")),
        },
        "clusters": {C1: {N1, N2}},
        "descriptions": {
            N1: b"the first",
            N2: b"the second",
            C1: b"cluster new",
        },
    }


def test_everything_that_has_the_name_changes(estate: Estate) -> None:
    rename(estate)
    assert_renamed(estate)


def test_a_name_is_the_same_in_any_case(estate: Estate) -> None:
    rename(estate, "FOO")
    assert_renamed(estate)


@pytest.mark.parametrize("done", range(len(CHANGES)))
def test_what_a_crash_leaves_is_completed(
    estate: Estate, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of its changes it dies before, and twice at that."""
    for _ in range(2):
        with monkeypatch.context() as patched:
            _dying(patched, done)
            with pytest.raises(KeyboardInterrupt):
                rename(estate)
        config = estate.open().config
        names = {n for n in config.names("annex.cluster.") if "other" not in n}
        assert names & {"annex.cluster.foo", "annex.cluster.new"}
        for node in ("n1", "n2"):
            words = (config.remote(node, "cluster-node") or "").lower().split()
            assert any(f"annex.cluster.{word}" in names for word in words)
        done = min(done, 1)
    rename(estate)
    assert_renamed(estate)


def _dying(patched: pytest.MonkeyPatch, done: int) -> None:
    """Let so many changes be made."""
    left = [done]

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def made(*words: Any) -> Any:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return change(*words)

        return made

    for name in set(CHANGES):
        patched.setattr(renaming, name, counted(getattr(renaming, name)))


def test_a_description_that_somebody_chose_stays(estate: Estate) -> None:
    text = b"%b my own timestamp=2000s\n" % C1
    estate.record({b"uuid.log": text})
    rename(estate)
    assert estate.logs()["descriptions"] == {C1: b"my own"}


def test_a_cluster_that_was_never_published(tmp_path: Path) -> None:
    estate = Estate.create(tmp_path)
    rename(estate)
    assert estate.setting("annex.cluster.new") == C1.decode()
    assert estate.setting("annex.cluster.foo") is None


def test_the_default_of_all_remotes_changes_too(estate: Estate) -> None:
    estate.repo.git("config", "annex.cluster-node", "foo")
    rename(estate)
    assert estate.setting("annex.cluster-node") == "new"


def test_a_line_that_does_not_count_wins_over_no_older_one(estate: Estate) -> None:
    """git-annex skips it alone; what was said before it would be lost with it."""
    broken = b"3000s %b  %b:bar\n" % (N1, C2)
    old = estate.repo.show(b"proxy.log")
    assert old is not None
    gateway = estate.open()
    estate.record({b"proxy.log": old + broken})
    changing.change_proxied(gateway, lambda entries: entries[:1])
    [waiting] = estate.repo.journal().values()
    assert waiting == OTHERS + b"5000s %b %b:n1\n" % (GATEWAY, N1)


def test_names_that_are_taken(estate: Estate) -> None:
    for new, what in (
        ("other", "a cluster here"),
        ("foo", "a cluster here"),
        ("n2", "a remote that clients see"),
    ):
        with pytest.raises(ClusterNameTaken, match=f"{new} is the name of {what}"):
            rename(estate, new=new)
    estate.repo.git("config", "annex.cluster.odd", "nonsense")
    with pytest.raises(ClusterNameTaken, match="something that is no cluster"):
        rename(estate, new="odd")


@pytest.mark.parametrize("new", ["Foo", "a_b", "1a", "", "-a", "a b", "a\nb"])
def test_names_that_git_would_not_keep(estate: Estate, new: str) -> None:
    with pytest.raises(BadClusterName):
        rename(estate, new=new)


def test_there_must_be_something_to_rename(estate: Estate) -> None:
    with pytest.raises(NoSuchCluster, match="those configured are: foo, other"):
        rename(estate, "bar")


# -- the command -----------------------------------------------------------------------------


def command(estate: Estate, *words: str) -> int:
    return main(["-C", str(estate.repo.path), "cluster", "rename", *words])


def test_a_dry_run_changes_nothing(
    estate: Estate, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(estate)
    assert command(estate, "foo", "new", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"would set annex.cluster.new to {C1.decode()}",
        "would change remote.n1.annex-cluster-node",
        "would change remote.n2.annex-cluster-node",
        "would publish the cluster as new in proxy.log",
        "would describe it as: cluster new",
        "would unset annex.cluster.foo",
    ]
    assert command(estate, "foo", "new", "-n", "--json") == 0
    assert json.loads(capsys.readouterr().out)["dry-run"] is True
    assert state(estate) == before


def test_it_is_told(
    estate: Estate,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GIT_ANNEX_VECTOR_CLOCK", "5000s")
    assert command(estate, "foo", "new") == 0
    assert capsys.readouterr().out == "cluster foo is called new now\n"
    assert_renamed(estate)
    assert command(estate, "foo", "new") == 1
    assert "no such cluster here: foo" in capsys.readouterr().err
