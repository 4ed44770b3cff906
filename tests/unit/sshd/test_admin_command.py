"""annexshell-admin's own command line, and the host key it makes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from annexshell.cli.admin import main
from annexshell.sshd.server import Settings, host_key, load_keys


def test_usage_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "ssh-server" in capsys.readouterr().out


@pytest.mark.parametrize("address", ["x", ":1", "host:", "host:70000", "host:-1"])
def test_an_address_must_be_one(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ssh-server", "--listen", address]) == 2
    assert "HOST:PORT" in capsys.readouterr().err


def test_a_port_in_use_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        files = ["--host-key", f"{tmp_path}/hk", "--authorized-keys", f"{tmp_path}/ak"]
        status = main(["ssh-server", "--listen", f"127.0.0.1:{port}", *files])
    assert status == 1
    assert "cannot serve" in capsys.readouterr().err


def test_a_bad_host_key_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hk").write_text("no key")
    (tmp_path / "hk").chmod(0o600)
    files = ["--host-key", f"{tmp_path}/hk", "--authorized-keys", f"{tmp_path}/ak"]
    assert main(["ssh-server", *files]) == 1
    assert "the host key cannot be used" in capsys.readouterr().err


def test_a_host_key_that_others_may_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host_key(str(tmp_path / "hk"))
    (tmp_path / "hk").chmod(0o640)
    files = ["--host-key", f"{tmp_path}/hk", "--authorized-keys", f"{tmp_path}/ak"]
    assert main(["ssh-server", *files]) == 1
    assert "chmod 600" in capsys.readouterr().err


def test_the_host_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "hk"
    made = host_key(str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    assert host_key(str(path)).public_data == made.public_data


def test_keys_that_cannot_be_read_let_nobody_in(tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings("", 0, "", str(tmp_path / "none"), {}, log=said.append)
    assert load_keys(settings) == []
    assert "nobody can log in" in said[0]
