"""A drawing of who reaches whom through a gateway, as text for Graphviz.

Nobody is asked whether they are there: the drawing is of what is configured and recorded,
and the same for the same config and branch. Names come from branches that clients can
push to, so nothing of them is ever taken for Graphviz's language.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence

import attrs

from annexshell.admin.errors import DotFailed, DotMissing
from annexshell.admin.gateway import Gateway
from annexshell.admin.topology import (
    Cluster,
    Member,
    Standing,
    node_names,
    topology,
    uuid_of,
)
from annexshell.errors import PeerUnreachable, printable
from annexshell.model.ids import UUID
from annexshell.remotes.recipes import LocalPath, recipe_for
from annexshell.repository.config import as_boolean

_SHAPES = {"gateway": "house", "cluster": "ellipse", "repository": "box"}
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "&": "&amp;", "<": "&lt;"})


@attrs.frozen(order=True)
class Vertex:
    """A repository or a cluster. ``lines`` are shown in it, one below the other."""

    id: str
    kind: str
    """``gateway``, ``cluster`` or ``repository``."""
    lines: tuple[str, ...]
    dashed: bool = False


@attrs.frozen(order=True)
class Edge:
    """``start`` reaches ``end``, as ``label`` says; dashed if it is not used."""

    start: str
    end: str
    label: str = ""
    dashed: bool = False


@attrs.frozen
class Graph:
    """What is drawn; sorted, each vertex and edge once."""

    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]

    @classmethod
    def of(cls, parts: Iterable[Vertex | Edge]) -> Graph:
        """The graph of these parts; of vertices with one id the first counts."""
        vertices: dict[str, Vertex] = {}
        edges = set()
        for part in parts:
            if isinstance(part, Edge):
                edges.add(part)
            else:
                vertices.setdefault(part.id, part)
        return cls(tuple(sorted(vertices.values())), tuple(sorted(edges)))


def graph(gateway: Gateway, names: Sequence[str] = ()) -> Graph:
    """What is around ``gateway``: the clusters ``names``, or everything if there are none.

    Raises NoSuchCluster, BranchUnreadable and JournalFailed.
    """
    return Graph.of(_parts(gateway, topology(gateway, names), everything=not names))


def _parts(
    gateway: Gateway, clusters: Sequence[Cluster], everything: bool
) -> Iterator[Vertex | Edge]:
    here = _id(gateway.uuid)
    described = gateway.branch.descriptions()
    about = _name(described.get(gateway.uuid, b"")) or _id(gateway.uuid)
    yield Vertex(here, "gateway", (about, "this gateway"))
    for cluster in clusters:
        id = f"cluster {_name(cluster.name)}"
        yield Vertex(id, "cluster", (id, _id(cluster.uuid)))
        yield Edge(here, id)
        for member in cluster.members:
            yield from _member(gateway, id, member, described)
    if everything:
        yield from _proxied(gateway, here, described)


def _member(
    gateway: Gateway, cluster: str, member: Member, described: dict[UUID, bytes]
) -> Iterator[Vertex | Edge]:
    way = member.how or "no way to reach it"
    if member.standing in (Standing.GATEWAY, Standing.ELSEWHERE):
        uuid = uuid_of(gateway.config, member.remote)
        other = _vertex("gateway", member.remote, uuid, described)
        yield other
        if member.standing is Standing.GATEWAY:
            yield Edge(cluster, other.id, way, member.recipe is None)
            return
        start, way, dashed = other.id, "", False
    else:
        start, dashed = cluster, member.standing is not Standing.NODE
    if member.standing is Standing.NOT_RECORDED:
        way = f"{way}, not recorded"
    elif member.standing is not Standing.ELSEWHERE and not member.remote:
        way = "no remote"
    dead = member.standing is Standing.DEAD
    node = _vertex("repository", member.name, member.uuid, described, dead)
    yield node
    yield Edge(start, node.id, way, dashed or bool(member.problem))


def _proxied(
    gateway: Gateway, here: str, described: dict[UUID, bytes]
) -> Iterator[Vertex | Edge]:
    """Remotes that are proxied to, and are a node of no cluster."""
    config = gateway.config
    for remote in sorted(config.remotes()):
        uuid = uuid_of(config, remote)
        wanted = uuid and as_boolean(config.remote(remote, "proxy"), False)
        if not wanted or node_names(config, remote):
            continue
        try:
            recipe = recipe_for(config, remote)
            way = "path" if isinstance(recipe, LocalPath) else "ssh"
        except PeerUnreachable:
            way = "no way to reach it"
        node = _vertex("repository", remote, uuid, described)
        yield node
        yield Edge(here, node.id, way)


def _vertex(
    kind: str,
    name: str,
    uuid: UUID,
    described: dict[UUID, bytes],
    dead: bool = False,
) -> Vertex:
    lines = [_name(name), _name(described.get(uuid, b"")), "dead" if dead else ""]
    shown = [line for line in dict.fromkeys(lines) if line] or [_id(uuid)]
    return Vertex(_id(uuid) or _name(name), kind, tuple(shown), dead)


def _id(uuid: UUID) -> str:
    return _name(uuid)


def _name(text: str | bytes) -> str:
    return printable(text if isinstance(text, bytes) else os.fsencode(text))


# -- Graphviz ------------------------------------------------------------------------------


def dot(found: Graph) -> str:
    """The graph in Graphviz's language."""
    lines = ["digraph annexshell {", "  rankdir=LR;", "  node [fontname=sans];"]
    lines.append("  edge [fontname=sans];")
    for vertex in found.vertices:
        label = quoted("\n".join(vertex.lines))
        options = [f"shape={_SHAPES[vertex.kind]}", f"label={label}"]
        options += ["style=dashed"] * vertex.dashed
        lines.append(f"  {quoted(vertex.id)} [{', '.join(options)}];")
    for edge in found.edges:
        options = [f"label={quoted(edge.label)}"] if edge.label else []
        options += ["style=dashed"] * edge.dashed
        more = f" [{', '.join(options)}]" if options else ""
        lines.append(f"  {quoted(edge.start)} -> {quoted(edge.end)}{more};")
    return "\n".join([*lines, "}", ""])


def quoted(text: str) -> str:
    """``text`` as a quoted string of Graphviz's, which as a label shows exactly that.

    A label is read twice: as a string, and then for escapes and HTML's entities.
    """
    return '"' + text.translate(_ESCAPES).replace("\n", "\\n") + '"'


def svg(text: str) -> bytes:
    """What Graphviz's ``dot`` draws. Raises DotMissing and DotFailed."""
    try:
        done = subprocess.run(
            ["dot", "-Tsvg"], input=text.encode(), capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise DotMissing() from error
    if done.returncode != 0:
        raise DotFailed(detail=done.stderr.strip())
    return done.stdout
