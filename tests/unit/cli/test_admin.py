"""How annexshell-admin ends: every failure is one line, and none is a traceback."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from annexshell.cli import admin_cluster, admin_common
from annexshell.cli.admin import main
from annexshell.errors import PeerUnreachable
from tests.support.shell import make_annex

PROBE = ("admin_cluster", "probe", "tried by tests")


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """``cluster probe`` in place of its commands; what it was called with."""
    seen: list[object] = []

    @click.command()
    @admin_common.with_gateway
    @admin_common.dry_run_option
    @admin_common.json_option
    def command(gateway: object, dry_run: bool, as_json: bool) -> None:
        seen.append((gateway, dry_run, as_json))
        if dry_run:
            raise PeerUnreachable(name="a\x1b[2Jb", detail="it is away")
        if as_json:
            admin_common.say_json({"name": "caf\u00e9"})
        else:
            admin_common.say("caf\u00e9")

    monkeypatch.setattr(admin_cluster.cluster, "_lazy", {"probe": PROBE})
    monkeypatch.setattr(admin_cluster, "probe", command, raising=False)
    return seen


@pytest.fixture
def annex(tmp_path: Path) -> Path:
    make_annex(tmp_path / "r.git")
    return tmp_path / "r.git"


def test_the_repository_is_chosen_before_or_after_the_command(
    annex: Path, probe: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["-C", str(annex), "cluster", "probe"]) == 0
    assert main(["cluster", "probe", "-C", str(annex)]) == 0
    monkeypatch.chdir(annex / "refs")
    assert main(["cluster", "probe"]) == 0
    assert len(probe) == 3


def test_files_are_named_without_control_characters(
    annex: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Clients choose the names of keys, and files are named after those."""

    @click.command()
    def command() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/annex/a\x1b[2J\nb")

    monkeypatch.setattr(admin_cluster.cluster, "_lazy", {"probe": PROBE})
    monkeypatch.setattr(admin_cluster, "probe", command, raising=False)
    assert main(["cluster", "probe"]) == 1
    assert "(/annex/a\\x1b[2J\\nb): Permission denied" in capfd.readouterr().err


def test_what_is_said_is_utf8_and_json_is_ascii(
    annex: Path, probe: list[object], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    words = ["-C", str(annex), "cluster", "probe"]
    assert main(words) == 0
    assert capsysbinary.readouterr().out == "caf\u00e9\n".encode()
    assert main([*words, "--json"]) == 0
    out = capsysbinary.readouterr().out
    assert out.isascii() and json.loads(out) == {"name": "caf\u00e9"}


def test_an_error_is_one_line_fit_for_a_terminal(
    annex: Path, probe: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-C", str(annex), "cluster", "probe", "--dry-run"]) == 1
    err = capsys.readouterr().err
    assert err == "annexshell-admin: cannot connect to a\\x1b[2Jb: it is away\n"


def test_where_no_repository_is(
    tmp_path: Path, probe: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-C", str(tmp_path), "cluster", "probe"]) == 1
    assert "no git repository is here or above" in capsys.readouterr().err
    assert main(["-C", str(tmp_path / "none"), "cluster", "probe"]) == 1
    assert "no such directory" in capsys.readouterr().err


def test_a_repository_that_is_not_initialised(
    tmp_path: Path, probe: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert main(["-C", str(tmp_path), "cluster", "probe"]) == 1
    assert "run git annex init there" in capsys.readouterr().err
    assert probe == []


@pytest.mark.parametrize(
    "words", [[], ["cluster"], ["bogus"], ["cluster", "bogus"], ["cluster", "-x"]]
)
def test_wrong_usage_is_told(
    words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert "Usage: annexshell-admin" in capfd.readouterr().err


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_what_is_not_installed_is_told(
    missing: str,
    annex: Path,
    probe: list[object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if missing == "click":
        monkeypatch.setitem(sys.modules, "click", None)
    else:
        monkeypatch.setattr(
            "annexshell.admin.gateway.open_gateway", lambda *_: _import(missing)
        )
    assert main(["-C", str(annex), "cluster", "probe"]) == 1
    assert capsys.readouterr().err == (
        f"annexshell-admin: {missing} is not installed:"
        " pip install 'annexshell[admin]'\n"
    )


def _import(name: str) -> None:
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_listing_the_commands_loads_none_of_them() -> None:
    text = (
        "import sys; from annexshell.cli.admin import main; main(['--help']);"
        "print(sorted(n for n in sys.modules if n.startswith('annexshell.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], check=True, capture_output=True, text=True
    )
    loaded = done.stdout.splitlines()[-1]
    assert "admin_group" in loaded
    assert "admin_cluster" not in loaded and "admin_server" not in loaded
    assert "repository" not in loaded
