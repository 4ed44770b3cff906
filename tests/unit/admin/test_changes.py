"""Changes are carried out whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annexshell.admin.changes import (
    Changes,
    ClusterChange,
    Listed,
    ProxyChange,
    Setting,
    apply,
    changing,
    snapshot,
    write_settings,
)
from annexshell.admin.gateway import Gateway, open_gateway
from annexshell.errors import AccessFailed, RepositoryBusy
from annexshell.logs.proxies import Proxied
from annexshell.repository import configfile
from tests.support.shell import git, make_annex
from tests.support.snapshots import N1, N2, POOL

CLUSTER = Setting("annex.cluster.pool", POOL.decode())


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    path = make_annex(tmp_path / "r.git")
    (path / "annex").mkdir()
    return open_gateway(str(path), b"1000s")


def config(gateway: Gateway) -> Path:
    return Path(gateway.repository.path, "config")


def show(gateway: Gateway, name: str) -> str:
    return git("-C", gateway.repository.path, "show", f"git-annex:{name}")


def test_settings_are_as_git_writes_them(gateway: Gateway, tmp_path: Path) -> None:
    other = make_annex(tmp_path / "other.git")
    settings = [CLUSTER, Setting("remote.a b.annex-cluster-gateway", "x y")]
    for one in settings:
        git("-C", other, "config", one.name, one.value)
    write_settings(gateway.repository, settings)
    assert config(gateway).read_bytes() == (other / "config").read_bytes()


def test_a_setting_takes_the_place_of_all_its_values(gateway: Gateway) -> None:
    for value in ("a", "b"):
        git("-C", gateway.repository.path, "config", "--add", CLUSTER.name, value)
    write_settings(gateway.repository, [CLUSTER])
    assert gateway.reread().config.all(CLUSTER.name) == [CLUSTER.value]


def test_all_settings_or_none(gateway: Gateway) -> None:
    before = config(gateway).read_bytes()
    with pytest.raises(AccessFailed, match="invalid key"):
        write_settings(gateway.repository, [CLUSTER, Setting("annex.cluster.a_b", "x")])
    assert config(gateway).read_bytes() == before
    left = os.listdir(gateway.repository.path) + os.listdir(
        gateway.repository.annex_dir
    )
    assert [n for n in left if "config" in n] == ["config"]


@pytest.mark.parametrize("name", ["annexshell-config", "config"])
def test_links_in_a_shared_repository_lead_nowhere(
    gateway: Gateway, tmp_path: Path, name: str
) -> None:
    mine = tmp_path / "mine"
    mine.write_text("secret")
    Path(gateway.repository.annex_dir, name).symlink_to(mine)
    write_settings(gateway.repository, [CLUSTER])
    assert mine.read_text() == "secret"
    assert gateway.reread().config.get(CLUSTER.name) == CLUSTER.value


def test_git_holding_its_lock(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configfile, "_TIMEOUT", 0.0)
    config(gateway).with_suffix(".lock").touch()
    with pytest.raises(RepositoryBusy, match="git's lock is held"):
        write_settings(gateway.repository, [CLUSTER])


def test_everything_is_recorded_and_committed(gateway: Gateway) -> None:
    nodes = frozenset({N2, N1})
    changes = Changes(
        settings=(CLUSTER,),
        described={POOL: b"all\nof it"},
        clusters=(ClusterChange("pool", POOL, nodes, (Listed(N1, b"n1", True),)),),
        proxy=ProxyChange(
            frozenset({Proxied(N1, b"n1"), Proxied(POOL, b"pool")}),
            (Listed(N1, b"n1", True),),
        ),
    )
    assert not changes.none
    with changing(gateway, dry_run=False) as now:
        apply(now, changes)
        now.branch.settle()
    pool, n1, n2, own = POOL.decode(), N1.decode(), N2.decode(), gateway.uuid.decode()
    assert show(gateway, "uuid.log") == f"{pool} all\\nof it timestamp=1000s\n"
    assert show(gateway, "cluster.log") == f"1000s {pool} {n1} {n2}\n"
    assert show(gateway, "proxy.log") == f"1000s {own} {n1}:n1 {pool}:pool\n"
    known = snapshot(gateway.reread())
    assert known.recorded == {POOL: nodes} and known.descriptions == {
        POOL: b"all\\nof it"
    }
    assert known.config.get("annex.cluster.pool") == pool


def test_what_is_not_listed_is_not_written(gateway: Gateway) -> None:
    changes = Changes(
        clusters=(ClusterChange("x", POOL),), proxy=ProxyChange(frozenset())
    )
    assert changes.none
    with changing(gateway, dry_run=False) as now:
        apply(now, changes)
        assert not now.branch.dirty


def test_branches_of_clones_are_merged_first(gateway: Gateway, tmp_path: Path) -> None:
    path = gateway.repository.path
    changes = Changes(
        clusters=(ClusterChange("x", POOL, frozenset({N1}), (Listed(N1, b"n", True),)),)
    )
    other = open_gateway(str(make_annex(tmp_path / "other.git")), b"1000s")
    with changing(other, dry_run=False) as now:
        apply(now, changes)
        now.branch.settle()
    git(
        "-C",
        path,
        "fetch",
        "-q",
        other.repository.path,
        "git-annex:refs/remotes/o/git-annex",
    )
    with changing(gateway, dry_run=True) as now:
        assert snapshot(now).recorded == {}
    with changing(gateway, dry_run=False) as now:
        assert snapshot(now).recorded == {POOL: frozenset({N1})}


def test_what_is_known_of_dead_and_private_repositories(gateway: Gateway) -> None:
    path = gateway.repository.path
    for name, uuid, setting in (
        ("a", N1, "trustlevel=dead"),
        ("b", N2, "private=true"),
    ):
        git("-C", path, "config", f"remote.{name}.annex-uuid", uuid.decode())
        key, _, value = setting.partition("=")
        git("-C", path, "config", f"remote.{name}.annex-{key}", value)
    known = snapshot(gateway.reread())
    assert known.dead == {N1} and known.private == {N2}
