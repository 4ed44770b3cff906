"""A node leaves a cluster, unless copies that are needed would be out of sight."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annexshell.admin import leaving
from annexshell.admin.errors import (
    HoldsLastCopies,
    NodeByDefault,
    NodeElsewhere,
    NotANode,
)
from annexshell.admin.leaving import Leaving, plan_leaving
from annexshell.cli.admin import main
from annexshell.logs.clusters import clusters
from annexshell.logs.proxies import proxied_by
from annexshell.model.ids import UUID
from tests.support.operators import (
    C2,
    GATEWAY,
    N1,
    N2,
    N3,
    Estate,
    locations,
    node_uuid,
    usual,
)
from tests.support.repositories import C1

_AWAY = node_uuid(7)


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return usual(tmp_path)


def plan(estate: Estate, node: str = "n1", cluster: str = "foo") -> Leaving:
    return plan_leaving(estate.open(), cluster, node)


def leave(estate: Estate, node: str = "n1") -> None:
    leaving.remove_node(estate.open(), "foo", node)


def nodes(estate: Estate) -> set[UUID]:
    assert estate.repo.journal() == {}
    return set(clusters(estate.repo.show(b"cluster.log") or b"")[C1])


def published(estate: Estate) -> list[bytes]:
    lines = proxied_by(estate.repo.show(b"proxy.log") or b"")
    return [entry.name for entry in lines[GATEWAY]]


def assert_left(estate: Estate) -> None:
    assert nodes(estate) == {N2}
    assert published(estate) == [b"n2", b"foo"]
    assert estate.setting("remote.n1.annex-cluster-node") is None
    assert estate.setting("remote.n2.annex-cluster-node") == "foo"


def test_a_node_leaves(estate: Estate) -> None:
    leave(estate)
    assert_left(estate)
    with pytest.raises(NotANode, match="n1 is no node of the cluster foo"):
        plan(estate)


def test_a_node_may_be_named_by_its_uuid(estate: Estate) -> None:
    leave(estate, N1.decode())
    assert_left(estate)


@pytest.mark.parametrize("done", range(3))
def test_what_a_crash_leaves_is_completed(
    estate: Estate, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [done]

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def made(*words: Any) -> Any:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return change(*words)

        return made

    with monkeypatch.context() as patched:
        for name in ("change_proxied", "change_nodes", "unset_config"):
            patched.setattr(leaving, name, counted(getattr(leaving, name)))
        with pytest.raises(KeyboardInterrupt):
            leave(estate)
    leave(estate)
    assert_left(estate)


def test_who_is_also_proxied_to_stays_published(estate: Estate) -> None:
    estate.repo.git("config", "remote.n1.annex-proxy", "true")
    leave(estate)
    assert nodes(estate) == {N2} and published(estate) == [b"n1", b"n2", b"foo"]


def test_who_is_also_a_node_of_another_cluster_stays_published(
    estate: Estate,
) -> None:
    estate.repo.git("config", "annex.cluster.other", C2.decode())
    estate.repo.git("config", "remote.n1.annex-cluster-node", "foo Other")
    leave(estate)
    assert nodes(estate) == {N2} and published(estate) == [b"n1", b"n2", b"foo"]
    assert estate.setting("remote.n1.annex-cluster-node") == "other"


def test_of_two_remotes_of_one_repository_one_leaves(estate: Estate) -> None:
    estate.record(locations({b"a": (N1,)}))
    estate.add_remote("again", "/other/way", N1, cluster_node="foo")
    found = plan(estate)
    assert not found.recorded and found.needed.count == 0
    leave(estate)
    assert estate.setting("remote.n1.annex-cluster-node") is None
    assert estate.setting("remote.again.annex-cluster-node") == "foo"
    assert nodes(estate) == {N1, N2} and published(estate) == [b"n2", b"foo"]


def test_both_remotes_leave_with_the_uuid(estate: Estate) -> None:
    estate.add_remote("again", "/other/way", N1, cluster_node="foo")
    leave(estate, N1.decode())
    assert estate.setting("remote.again.annex-cluster-node") is None
    assert_left(estate)


def test_a_node_without_a_remote_leaves_by_its_uuid(estate: Estate) -> None:
    estate.record({b"cluster.log": b"2000s %b %b %b %b\n" % (C1, N1, N2, N3)})
    leave(estate, N3.decode())
    assert nodes(estate) == {N1, N2}


def test_the_last_node_leaves(estate: Estate) -> None:
    leave(estate)
    leave(estate, "n2")
    assert nodes(estate) == set() and published(estate) == [b"foo"]


def test_a_node_behind_another_gateway_stays(estate: Estate) -> None:
    estate.add_remote("far", "ssh://far/repo", _AWAY, cluster_gateway=C1.decode())
    estate.record(
        {
            b"cluster.log": b"2000s %b %b\n" % (C1, N3),
            b"proxy.log": b"1000s %b %b:n3 %b:foo\n" % (_AWAY, N3, C1),
        }
    )
    with pytest.raises(NodeElsewhere):
        plan(estate, "far-n3")
    with pytest.raises(NotANode):
        plan(estate, "far-foo")


def test_a_node_by_the_default_of_all_remotes(estate: Estate) -> None:
    estate.repo.git("config", "--unset", "remote.n1.annex-cluster-node")
    estate.repo.git("config", "annex.cluster-node", "foo")
    with pytest.raises(NodeByDefault):
        plan(estate)


# -- copies that are needed ------------------------------------------------------------------


def needed(estate: Estate) -> int:
    return plan(estate).needed.count


def test_a_last_copy_keeps_the_node(estate: Estate) -> None:
    estate.record(locations({b"a": (N1,), b"b/c": (N1,), b"d": (N1, N2), b"e": ()}))
    with pytest.raises(HoldsLastCopies) as raised:
        leave(estate)
    said = str(raised.value)
    assert "n1 holds copies that are needed, of 2 keys" in said
    assert "WORM-s1--a" in said and "WORM-s1--b/c" in said
    assert "git annex copy --all --from n1" in said
    assert plan(estate, "n2").needed.count == 0


def test_only_the_first_are_named(estate: Estate) -> None:
    estate.record(locations({b"%02d" % n: (N1,) for n in range(20)}))
    found = plan(estate).needed
    assert found.count == 20 and len(found.first) == 5


def test_as_many_copies_as_wanted_must_be_left(estate: Estate) -> None:
    estate.record(locations({b"a": (N1, N2), b"b": (N1, N2, N3)}))
    assert needed(estate) == 0
    estate.repo.git("config", "annex.numcopies", "2")
    assert needed(estate) == 1
    estate.record({b"numcopies.log": b"1000s 3\n"})
    assert needed(estate) == 2


@pytest.mark.parametrize(
    ("log", "setting", "wanted"),
    [
        (b"", None, 1),
        (b"", "0", 1),
        (b"", "4", 4),
        (b"1000s 2\n", "4", 2),
        (b"1000s 0\n", None, 1),
        (b"1000s -3\n", None, 1),
        (b"1000s 5\n2000s 3\n", None, 3),
        (b"1000s 2\n1000s 3\n", None, 3),
        (b"1000s 0x10\n", None, 16),
        (b"1000s (3)\n", None, 3),
        (b"1000s foo\nx 7\n", "4", 4),
        (b"1000s %b\n" % (b"9" * 5000), None, 1),
        (b"1000s 18446744073709551619\n", None, 3),
    ],
)
def test_how_many_copies_are_wanted(
    estate: Estate, log: bytes, setting: str | None, wanted: int
) -> None:
    if log:
        estate.record({b"numcopies.log": log})
    if setting:
        estate.repo.git("config", "annex.numcopies", setting)
    assert leaving.numcopies(estate.open()) == wanted


@pytest.mark.parametrize(("fewest", "wanted"), [(b"1", 2), (b"3", 3)])
def test_mincopies_may_ask_for_more(estate: Estate, fewest: bytes, wanted: int) -> None:
    logs = {b"numcopies.log": b"1000s 2\n", b"mincopies.log": b"1000s %b\n" % fewest}
    estate.record(logs)
    assert leaving.numcopies(estate.open()) == wanted


@pytest.mark.parametrize("level", [b"0", b"X"])
def test_copies_of_dead_and_untrusted_repositories_do_not_count(
    estate: Estate, level: bytes
) -> None:
    estate.record(locations({b"a": (N1, N2)}))
    estate.record({b"trust.log": b"%b %b timestamp=1000s\n" % (N2, level)})
    assert needed(estate) == 1
    estate.repo.git("config", "remote.n2.annex-trustlevel", "trusted")
    assert needed(estate) == 0


def test_a_cluster_is_no_copy(estate: Estate) -> None:
    estate.record(locations({b"a": (N1, C1, C2)}))
    assert needed(estate) == 1


def test_nothing_of_a_dead_node_is_missed(estate: Estate) -> None:
    estate.record(locations({b"a": (N1,)}))
    estate.record({b"trust.log": b"%b X timestamp=1000s\n" % N1})
    assert needed(estate) == 0


# -- the command -----------------------------------------------------------------------------


def command(estate: Estate, *words: str) -> int:
    path = str(estate.repo.path)
    return main(["-C", path, "cluster", "remove-node", "foo", *words])


def test_last_copies_need_force(
    estate: Estate,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GIT_ANNEX_VECTOR_CLOCK", "5000s")
    estate.record(locations({b"a": (N1,)}))
    before = estate.logs()
    for words in (["n1"], ["n1", "-n"], ["n1", "--json"]):
        assert command(estate, *words) == 1
        assert "of 1 key:" in capsys.readouterr().err
    assert estate.logs() == before
    assert command(estate, "n1", "--force") == 0
    assert "nothing was deleted there" in capsys.readouterr().out
    assert_left(estate)


def test_a_dry_run_changes_nothing(
    estate: Estate, capsys: pytest.CaptureFixture[str]
) -> None:
    before = estate.logs()
    assert command(estate, "n1", "-n") == 0
    assert capsys.readouterr().out.splitlines() == [
        "would stop proxying for n1",
        f"would take {N1.decode()} out of cluster.log",
        "would take foo out of remote.n1.annex-cluster-node",
    ]
    assert command(estate, "n1", "-n", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["uuid"] == N1.decode() and found["published"] == ["n1"]
    assert estate.logs() == before
    assert estate.setting("remote.n1.annex-cluster-node") == "foo"
