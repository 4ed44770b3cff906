"""Finding out which repositories remotes are."""

from __future__ import annotations

from pathlib import Path

import pytest

from annexshell.admin.uuids import uuids_found
from annexshell.repository.open import Repository, open_repository
from tests.support.shell import git, make_annex
from tests.support.snapshots import N1
from tests.support.world import write_program


@pytest.fixture
def here(tmp_path: Path) -> Path:
    make_annex(tmp_path / "node.git", uuid=N1.decode())
    path = make_annex(tmp_path.resolve() / "gw.git")
    git("-C", path, "remote", "add", "n", "../node.git")
    git("-C", path, "config", "remote.n.annex-proxy", "true")
    return path


def found(path: Path, *more: str) -> dict[str, str]:
    repository: Repository = open_repository(str(path))
    return {one.name: one.value for one in uuids_found(repository, more)}


def test_a_remote_by_path(here: Path) -> None:
    assert found(here) == {"remote.n.annex-uuid": N1.decode()}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("remote.n.annex-proxy", "false"),
        ("remote.n.annex-ignore", "true"),
        ("remote.n.annex-uuid", "known"),
        ("remote.n.url", "../nowhere"),
        ("remote.n.url", "https://example.com/x"),
        ("remote.n.url", "ext::sh -c true"),
    ],
)
def test_what_is_left_alone(here: Path, name: str, value: str) -> None:
    git("-C", here, "config", name, value)
    assert found(here) == {}


def test_one_that_is_asked_for_by_name(here: Path) -> None:
    git("-C", here, "config", "--unset", "remote.n.annex-proxy")
    assert found(here, "n") == {"remote.n.annex-uuid": N1.decode()}


@pytest.mark.parametrize(
    ("answer", "uuid"),
    [
        (f"echo annex.uuid={N1.decode()}; echo core.gcrypt-id=", N1.decode()),
        (f"echo motd; echo annex.uuid={N1.decode()}", N1.decode()),
        ("echo annex.uuid=", None),
        ("echo annex.uuid=acf788bc-41dd-8c24-b6ef-c199bfe447e6", None),
        ("echo 'annex.uuid=a b'", None),
        ("echo no; exit 255", None),
    ],
)
def test_a_remote_over_ssh(
    here: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    uuid: str | None,
) -> None:
    (tmp_path / "bin").mkdir()
    write_program(tmp_path / "bin/ssh", f'echo "$@" >{tmp_path}/asked; {answer}')
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    git("-C", here, "config", "remote.n.url", "ssh://me@host:22/srv/it's here")
    assert found(here) == ({} if uuid is None else {"remote.n.annex-uuid": uuid})
    asked = (tmp_path / "asked").read_text()
    expected = "me@host -p 22 -T git-annex-shell 'configlist' '/srv/it'\"'\"'s here'\n"
    assert asked == expected
