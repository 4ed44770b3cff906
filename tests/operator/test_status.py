"""Who is part of a cluster, who can be reached, and what is said of those who cannot."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from annexshell.admin.errors import NoSuchCluster
from annexshell.admin.probing import Probe
from annexshell.admin.status import ClusterStatus, MemberStatus, cluster_status
from annexshell.admin.topology import Standing, topology
from annexshell.cli.admin import main
from annexshell.model.ids import UUID
from annexshell.repository.journal import journal_name
from annexshell.repository.open import Repository, open_repository
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
from tests.support.repositories import C1, plain_repo
from tests.support.world import write_program

OPENING = "annexshell.admin.probing.open_repository"
_PATIENCE = 60.0
_AWAY = node_uuid(7)


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return usual(tmp_path)


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program stands that is run as ssh."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    return programs / "ssh"


def status(estate: Estate, timeout: float = _PATIENCE) -> ClusterStatus:
    [found] = cluster_status(estate.open(), ["foo"], timeout)
    return found


def member(found: ClusterStatus, uuid: UUID) -> MemberStatus:
    [one] = [one for one in found.members if one.member.uuid == uuid]
    return one


def test_nodes_that_are_there(estate: Estate) -> None:
    estate.record(locations({b"a": (N1,), b"b": (N1, N2), b"c": (N3,)}))
    [path] = locations({b"d": ()})
    estate.repo.put_journal(journal_name(path), b"1000s 1 %b\n" % N2)
    found = status(estate)
    assert found.reachable
    first, second = found.members
    assert (first.member.name, first.member.how, first.keys) == ("n1", "path", 2)
    assert (first.cost, first.member.description) == (100.0, b"the first")
    assert second.keys == 2 and first.notes == second.notes == []
    assert first.probe is not None and first.probe.version == 4
    assert first.probe.free is not None and first.probe.free >= 0


def test_the_reserve_is_not_free(estate: Estate, tmp_path: Path) -> None:
    node = tmp_path / "n1"
    plain_repo(tmp_path / "x", uuid=N3).git(
        "-C", str(node), "config", "annex.diskreserve", "1000000 TB"
    )
    probe = member(status(estate), N1).probe
    assert probe is not None and probe.free == 0


def test_a_node_without_content_has_no_disk_for_it_yet(
    estate: Estate, tmp_path: Path
) -> None:
    (tmp_path / "n1/annex").rmdir()
    assert member(status(estate), N1).probe == Probe(version=4, free=None)


def test_a_node_that_is_not_there(estate: Estate, tmp_path: Path) -> None:
    (tmp_path / "n1").rename(tmp_path / "elsewhere")
    found = status(estate)
    assert not found.reachable
    [note] = member(found, N1).notes
    assert note.startswith("cannot connect to n1: no such directory")
    assert member(found, N2).notes == []


def test_another_repository_in_the_place_of_a_node(estate: Estate) -> None:
    estate.repo.git("config", "remote.n1.url", str(estate.place / "n2"))
    [note] = member(status(estate), N1).notes
    assert "another repository is at" in note


def test_who_is_not_used_and_why(estate: Estate) -> None:
    estate.add_node("n3", N3)
    estate.add_remote("dead", "/nowhere", node_uuid(4), cluster_node="foo")
    gone = node_uuid(5)
    estate.record(
        {
            b"cluster.log": b"2000s %b %b %b %b %b\n"
            % (C1, N1, N2, node_uuid(4), gone),
            b"trust.log": b"%b X timestamp=1000s\n" % node_uuid(4),
        }
    )
    found = status(estate)
    assert found.reachable
    standings = {one.member.uuid: one.member.standing for one in found.members}
    assert standings == {
        N1: Standing.NODE,
        N2: Standing.NODE,
        N3: Standing.NOT_RECORDED,
        node_uuid(4): Standing.DEAD,
        gone: Standing.NO_REMOTE,
    }
    assert "annexshell-admin updatecluster" in member(found, N3).notes[0]
    assert member(found, node_uuid(4)).probe is None
    assert "no remote here" in member(found, gone).notes[0]


def test_gateways_and_the_nodes_behind_them(estate: Estate, ssh: Path) -> None:
    far = node_uuid(6)
    estate.add_remote("far", "ssh://far/repo", far, cluster_gateway=C1.decode())
    estate.add_remote("near", "/repo", node_uuid(8), cluster_gateway=C1.decode())
    estate.record(
        {
            b"cluster.log": b"2000s %b %b %b %b\n" % (C1, N1, N2, N3),
            b"proxy.log": b"1000s %b %b:foo\n" % (GATEWAY, C1)
            + b"1000s %b %b:n3 %b:bar\n" % (far, N3, C1),
        }
    )
    greeting = f"AUTH-SUCCESS {C1.decode()}"
    write_program(ssh, f"echo {greeting}; read version; echo VERSION 2; read end")
    found = status(estate)
    gateways = {one.member.remote: one for one in found.members[2:4]}
    assert gateways["far"].member.standing is Standing.GATEWAY
    assert gateways["far"].label == "far-bar" and gateways["far"].keys is None
    assert gateways["far"].probe == Probe(version=2)
    assert "only used over ssh" in gateways["near"].notes[0]
    behind = member(found, N3)
    assert (behind.label, behind.member.standing) == ("far-n3", Standing.ELSEWHERE)
    assert behind.probe is None


def test_a_gateway_that_publishes_no_cluster(estate: Estate) -> None:
    estate.add_remote("far", "far:repo", _AWAY, cluster_gateway=C1.decode())
    estate.add_remote("odd", "tor::x", node_uuid(6), cluster_gateway=C1.decode())
    found = [m.notes for m in status(estate).members if m.member.uuid == C1]
    assert "does not publish the cluster" in found[0][0]
    assert "reached by a helper" in found[1][0]


def test_hanging_nodes_keep_nobody_else_waiting(
    estate: Estate, ssh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others have answered long before; nobody is waited for longer than told."""
    write_program(ssh, "trap '' HUP; exec sleep 1000")
    estate.add_remote("away", "ssh://away/repo", _AWAY, cluster_node="foo")
    hanging = threading.Event()

    def hang(path: str) -> Repository:
        if path.endswith("n1"):
            hanging.wait()
        return open_repository(path)

    monkeypatch.setattr(OPENING, hang)
    try:
        found = status(estate, timeout=3)
    finally:
        hanging.set()
    assert member(found, N2).notes == []
    for uuid, name in ((N1, "n1"), (_AWAY, "away")):
        note = f"cannot connect to {name}: no answer within 3 seconds"
        assert member(found, uuid).notes[0] == note


def test_ssh_that_fails(estate: Estate, ssh: Path) -> None:
    write_program(ssh, "echo not let in >&2; exit 255")
    estate.add_remote("away", "ssh://away/repo", _AWAY, cluster_node="foo")
    assert "ssh cannot reach it" in member(status(estate), _AWAY).notes[0]


def test_a_node_of_two_clusters_is_asked_once(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate.repo.git("config", "annex.cluster.bar", C2.decode())
    estate.repo.git("config", "remote.n1.annex-cluster-node", "foo bar")
    asked: list[str] = []

    def note(path: str) -> Repository:
        asked.append(path)
        return open_repository(path)

    monkeypatch.setattr(OPENING, note)
    bar, foo = cluster_status(estate.open(), [], _PATIENCE)
    assert [bar.cluster.name, foo.cluster.name] == ["bar", "foo"]
    assert len(asked) == 2 and member(bar, N1).probe == member(foo, N1).probe


def test_what_commands_say_of_costs(estate: Estate, ssh: Path) -> None:
    write_program(ssh, "exit 255")
    estate.repo.git("config", "remote.n1.annex-cost-command", "echo 7.5")
    estate.repo.git("config", "remote.n2.annex-cost", "150")
    estate.add_remote("away", "ssh://away/repo", _AWAY, cluster_node="foo")
    found = {one.member.name: one.cost for one in status(estate).members}
    assert found == {"n1": 7.5, "n2": 150, "away": 200}


def test_only_status_runs_the_commands_of_remotes(estate: Estate) -> None:
    ran = estate.place / "ran"
    estate.repo.git("config", "remote.n1.annex-cost-command", f"touch '{ran}'")
    topology(estate.open())
    assert not ran.exists()
    status(estate)
    assert ran.exists()


def test_a_cluster_that_is_not_there(estate: Estate) -> None:
    with pytest.raises(NoSuchCluster, match="those configured are: foo"):
        cluster_status(estate.open(), ["bar"], _PATIENCE)


# -- the command -----------------------------------------------------------------------------


def command(estate: Estate, *words: str) -> int:
    return main(["-C", str(estate.repo.path), "cluster", "status", *words])


def test_the_table_fits_and_the_status_tells(
    estate: Estate, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert command(estate) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines()) and "\x1b" not in out
    assert [line.split()[0] for line in out.splitlines()[3:]] == ["n1", "n2"]
    estate.repo.git("config", "remote.n1.url", "/nowhere")
    assert command(estate) == 1
    assert (
        "cannot connect to n1: no such directory (/nowhere)" in capsys.readouterr().out
    )


@pytest.mark.parametrize("columns", ["20", "80", "200"])
def test_no_name_is_cut_short(
    estate: Estate,
    columns: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    text = b"%b %b timestamp=2000s\n" % (N1, b"abcdefghij" * 10)
    estate.record({b"uuid.log": text})
    assert command(estate) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines()[3:]]
    told = "".join(row[1].strip() for row in rows)
    assert told.startswith("abcdefghij" * 10)


def test_names_can_do_nothing_to_a_terminal(
    estate: Estate, capsys: pytest.CaptureFixture[str]
) -> None:
    text = b"%b \x1b[2J[red]x timestamp=2000s\n" % N1
    estate.record({b"uuid.log": text})
    assert command(estate) == 0
    assert "\\x1b[2J[red]x" in capsys.readouterr().out


def test_json_is_one_object(estate: Estate, capsys: pytest.CaptureFixture[str]) -> None:
    estate.repo.git("config", "remote.n2.url", "/nowhere")
    assert command(estate, "foo", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["reachable"] is False
    [cluster] = found["clusters"]
    first, second = cluster["nodes"]
    assert (cluster["name"], cluster["uuid"]) == ("foo", C1.decode())
    assert (first["reachable"], first["keys"], first["error"]) == (True, 0, None)
    assert second["error"].startswith("cannot connect to n2: ")


def test_no_cluster_is_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain_repo(tmp_path / "alone")
    assert main(["-C", str(tmp_path / "alone"), "cluster", "status"]) == 0
    assert "no cluster is configured" in capsys.readouterr().out


def test_a_timeout_that_is_none(estate: Estate) -> None:
    assert command(estate, "--timeout", "soon") == 2
