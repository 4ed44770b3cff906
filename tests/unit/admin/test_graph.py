"""The drawing of a gateway's surroundings: complete, the same each time, and harmless."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from annexshell.admin import graph
from annexshell.admin.errors import DotFailed, DotMissing, NoSuchCluster
from annexshell.admin.graph import Edge, Graph, Vertex, dot, quoted
from annexshell.cli.admin import main
from tests.support.operators import C2, N1, N2, N3, Estate, node_uuid, usual
from tests.support.repositories import C1
from tests.support.world import write_program

FAR = node_uuid(7)
HOSTILE = 'a"b\\n<c>&amp;\\"]; x [label=\\N'

EXPECTED = """\
digraph annexshell {
  rankdir=LR;
  node [fontname=sans];
  edge [fontname=sans];
  "10000000-1111-4111-8111-111111111111" [shape=box, label="n1\\nthe first"];
  "20000000-1111-4111-8111-111111111111" [shape=box, label="n2\\nthe second"];
  "30000000-1111-4111-8111-111111111111" [shape=box, label="far-n3"];
  "40000000-1111-4111-8111-111111111111" [shape=box, label="alone"];
  "50000000-1111-4111-8111-111111111111" [shape=box, label="gone\\ndead", style=dashed];
  "60000000-1111-4111-8111-111111111111" [shape=box, label="60000000-1111-4111-8111-111111111111"];
  "70000000-1111-4111-8111-111111111111" [shape=house, label="far"];
  "99999999-9999-4999-8999-999999999999" [shape=house, label="99999999-9999-4999-8999-999999999999\\nthis gateway"];
  "cluster foo" [shape=ellipse, label="cluster foo\\nacbbdd76-2913-83e9-85c4-c7c039622a0f"];
  "cluster other" [shape=ellipse, label="cluster other\\nacbbdd76-2913-83e9-85c4-c7c039622a10"];
  "70000000-1111-4111-8111-111111111111" -> "30000000-1111-4111-8111-111111111111";
  "99999999-9999-4999-8999-999999999999" -> "40000000-1111-4111-8111-111111111111" [label="ssh"];
  "99999999-9999-4999-8999-999999999999" -> "cluster foo";
  "99999999-9999-4999-8999-999999999999" -> "cluster other";
  "cluster foo" -> "10000000-1111-4111-8111-111111111111" [label="path"];
  "cluster foo" -> "20000000-1111-4111-8111-111111111111" [label="path"];
  "cluster foo" -> "50000000-1111-4111-8111-111111111111" [label="ssh", style=dashed];
  "cluster foo" -> "60000000-1111-4111-8111-111111111111" [label="no remote", style=dashed];
  "cluster foo" -> "70000000-1111-4111-8111-111111111111" [label="ssh"];
  "cluster other" -> "20000000-1111-4111-8111-111111111111" [label="path, not recorded", style=dashed];
}
"""


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    """One of everything; the order in which it is configured must not show."""
    found = usual(tmp_path)
    found.repo.git("config", "annex.cluster.other", C2.decode())
    found.repo.git("config", "remote.n2.annex-cluster-node", "other foo")
    found.add_remote("gone", "gone:repo", node_uuid(5), cluster_node="foo")
    found.add_remote("far", "ssh://far/repo", FAR, cluster_gateway=C1.decode())
    found.add_remote("alone", "ssh://alone/repo", node_uuid(4), proxy="true")
    found.add_remote("other", "ssh://other/repo", node_uuid(8))
    everybody = (N1, N2, N3, node_uuid(5), node_uuid(6))
    found.record(
        {
            b"cluster.log": b"2000s %b %b\n" % (C1, b" ".join(everybody)),
            b"proxy.log": b"1000s %b %b:n3 %b:foo\n" % (FAR, N3, C1),
            b"trust.log": b"%b X timestamp=1000s\n" % node_uuid(5),
        }
    )
    return found


def drawn(estate: Estate, *names: str) -> str:
    return dot(graph.graph(estate.open(), names))


def test_everything_is_drawn(estate: Estate) -> None:
    assert drawn(estate) == EXPECTED


def test_one_cluster_alone(estate: Estate) -> None:
    text = drawn(estate, "other")
    assert "cluster foo" not in text and '"alone"' not in text
    assert text.count("->") == 2
    with pytest.raises(NoSuchCluster):
        drawn(estate, "bar")


def test_a_remote_that_nothing_can_reach(estate: Estate) -> None:
    estate.repo.git("config", "remote.alone.url", "tor::x")
    estate.repo.git("config", "remote.n1.url", "tor::x")
    text = drawn(estate)
    assert text.count('[label="no way to reach it"') == 2


def test_a_string_ends_where_it_should() -> None:
    assert quoted('a"b') == '"a\\"b"'
    assert quoted("a\\") == '"a\\\\"'
    assert quoted("a\nb") == '"a\\nb"'


def hostile() -> str:
    parts = (
        Vertex("x", "repository", (HOSTILE,)),
        Vertex(HOSTILE, "cluster", ("plain",)),
        Edge("x", HOSTILE, HOSTILE),
    )
    return dot(Graph.of(parts))


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_shows_hostile_names_as_they_are() -> None:
    tree = ElementTree.fromstring(graph.svg(hostile()))
    texts = [e.text for e in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(filter(None, texts)) == sorted([HOSTILE, HOSTILE, "plain"])


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_draws_it_all(estate: Estate) -> None:
    assert graph.svg(drawn(estate)).count(b'class="edge"') == EXPECTED.count("->")


def test_names_on_the_branch_draw_nothing(estate: Estate) -> None:
    text = b'%b "];\x1b evil timestamp=3000s\n' % N1
    estate.record({b"uuid.log": text})
    assert '[shape=box, label="n1\\n\\"];\\\\x1b evil"];' in drawn(estate)


# -- the command -----------------------------------------------------------------------------


def command(estate: Estate, *words: str) -> int:
    return main(["-C", str(estate.repo.path), "cluster", "graph", *words])


def test_text_on_stdout_or_in_a_file(
    estate: Estate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(estate) == 0
    assert capsys.readouterr().out == EXPECTED
    assert command(estate, "-o", str(tmp_path / "out.dot")) == 0
    assert (tmp_path / "out.dot").read_text() == EXPECTED
    assert capsys.readouterr().out == ""


def test_dot_is_asked_for_a_picture(
    estate: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    write_program(programs / "dot", 'echo "$1"; cat')
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    out = tmp_path / "out.svg"
    assert command(estate, "--format", "svg", "-o", str(out)) == 0
    assert out.read_text() == "-Tsvg\n" + EXPECTED


def test_dot_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DotMissing, match="install the package graphviz"):
        graph.svg("")
    write_program(tmp_path / "dot", "echo no fonts >&2; exit 3")
    with pytest.raises(DotFailed, match="no fonts"):
        graph.svg("")
