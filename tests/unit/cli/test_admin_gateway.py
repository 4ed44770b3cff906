"""What the commands that publish say, and what a dry run leaves alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from annexshell.cli.admin import main
from tests.support.shell import git, make_annex

N1 = "11111111-1111-4111-8111-111111111111"
Captured = pytest.CaptureFixture[str]


@pytest.fixture(params=[True, False], ids=["bare", "work tree"])
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A gateway with a node by path, whose uuid it does not know yet."""
    make_annex(tmp_path / "node.git", uuid=N1)
    path = make_annex(tmp_path / "gw", bare=bool(request.param))
    git("-C", path, "remote", "add", "n1", "../node.git")
    git("-C", path, "config", "remote.n1.annex-cluster-node", "pool")
    return path


def run(path: Path, *words: str) -> int:
    return main(["-C", str(path), *words])


def every_file(path: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            here = file.stat()
            found[str(file)] = (here.st_ino, here.st_mtime_ns, file.read_bytes())
    return found


def test_a_cluster_from_beginning_to_end(gateway: Path, capsys: Captured) -> None:
    assert run(gateway, "initcluster", "pool", "all of it") == 0
    assert run(gateway, "updatecluster") == 0
    assert run(gateway, "updatecluster") == 0
    assert capsys.readouterr().out.splitlines() == [
        "initcluster pool ok",
        "Added node n1 to cluster: pool",
        "Started proxying for n1",
        "Started proxying for pool",
        "No cluster node changes for cluster: pool",
        "No proxy changes to record.",
    ]
    assert git("-C", gateway, "config", "remote.n1.annex-uuid").strip() == N1
    git("-C", gateway, "config", "--unset", "remote.n1.annex-cluster-node")
    git("-C", gateway, "config", "--unset", "annex.cluster.pool")
    assert run(gateway, "updateproxy") == 0
    assert capsys.readouterr().out.splitlines() == [
        "Stopped proxying for n1",
        "Stopped proxying for pool",
    ]


@pytest.mark.thorough
@pytest.mark.parametrize(
    "words", [["initcluster", "more"], ["updatecluster"], ["updateproxy"]]
)
def test_a_dry_run_changes_nothing(
    gateway: Path, words: list[str], capsys: Captured
) -> None:
    assert run(gateway, "initcluster", "pool") == 0
    capsys.readouterr()
    before = every_file(gateway)
    assert run(gateway, *words, "--dry-run") == 0
    assert every_file(gateway) == before
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1 and all(line.startswith("(dry run) ") for line in lines)
    assert run(gateway, *words) == 0
    done = capsys.readouterr().out.splitlines()
    assert done == [
        line.removeprefix("(dry run) ") for line in lines if " set " not in line
    ]


def test_a_dry_run_before_there_is_anything(gateway: Path, capsys: Captured) -> None:
    before = every_file(gateway)
    assert run(gateway, "initcluster", "pool", "-n") == 0
    assert run(gateway, "updateproxy", "-n") == 0
    assert every_file(gateway) == before
    assert "(dry run) set remote.n1.annex-uuid to " in capsys.readouterr().out


def test_json(gateway: Path, capsys: Captured) -> None:
    run(gateway, "initcluster", "pool")
    cluster = git("-C", gateway, "config", "annex.cluster.pool").strip()
    git("-C", gateway, "config", "remote.no.url", "../none")
    git("-C", gateway, "config", "remote.no.annex-proxy", "true")
    capsys.readouterr()
    assert run(gateway, "updatecluster", "--json") == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = json.loads(out)
    (warning,) = found.pop("warnings")
    assert warning.startswith("no is a git remote without a known annex-uuid.")
    node = {"uuid": N1, "name": "n1"}
    pool = {"uuid": cluster, "name": "pool"}
    assert found == {
        "command": "updatecluster",
        "dry-run": False,
        "changed": True,
        "config": [{"name": "remote.n1.annex-uuid", "value": N1}],
        "clusters": [{**pool, "added": [node], "removed": []}],
        "proxy": {"started": [node, pool], "stopped": []},
    }
    assert run(gateway, "updatecluster", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert not again["changed"] and again["config"] == []


def test_a_bad_name_is_refused(gateway: Path, capsys: Captured) -> None:
    before = every_file(gateway)
    assert run(gateway, "initcluster", "My_Cluster\x1b[2J") == 1
    err = capsys.readouterr().err
    assert err.startswith("annexshell-admin: My_Cluster\\x1b[2J cannot be the name")
    assert "use lower-case letters, digits and -" in err
    after = every_file(gateway)
    assert {n: f for n, f in after.items() if n in before} == before


def test_a_gateway_that_is_not_there(gateway: Path, capsys: Captured) -> None:
    assert run(gateway, "extendcluster", "nobody", "pool") == 1
    assert 'git remote named "nobody-pool"' in capsys.readouterr().err


def test_a_repository_that_cannot_be_written_to(
    gateway: Path, capsys: Captured
) -> None:
    """A file in the place of annex/ keeps root out as well."""
    common = gateway / ".git" if (gateway / ".git").exists() else gateway
    (common / "annex").touch()
    assert run(gateway, "initcluster", "pool") == 1
    err = capsys.readouterr().err
    assert err.startswith("annexshell-admin: ") and str(common / "annex") in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["initcluster"], ["updateproxy", "x"], ["extendcluster", "x"]]
)
def test_wrong_usage(gateway: Path, words: list[str]) -> None:
    assert run(gateway, *words) == 2


def test_names_from_the_branch_cannot_move_the_cursor(
    gateway: Path, capsys: Captured
) -> None:
    run(gateway, "initcluster", "pool")
    run(gateway, "updatecluster")
    git("-C", gateway, "remote", "remove", "n1")
    repository = git("-C", gateway, "rev-parse", "--absolute-git-dir").strip()
    journal = Path(repository, "annex/journal")
    journal.mkdir(exist_ok=True)
    (journal / "uuid.log").write_bytes(
        f"{N1} \x1b[2Jx timestamp=9999999999s\n".encode()
    )
    capsys.readouterr()
    assert run(gateway, "updatecluster") == 0
    out = capsys.readouterr().out
    assert "Removed node \\x1b[2Jx from cluster: pool" in out
