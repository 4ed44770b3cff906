"""authorized_keys: what is honoured, and that the rest is refused and never ignored."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import asyncssh
import pytest

from annexshell.sshd.authorized import AuthorizedKey, read_authorized_keys

EXAMPLE = Path(__file__).parents[3] / "contrib" / "authorized_keys.example"
KEY = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
OTHER = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
PUBLIC = KEY.export_public_key("openssh").decode().strip()


def read(text: str) -> tuple[list[AuthorizedKey], list[tuple[int, str]]]:
    refused: list[tuple[int, str]] = []
    keys = read_authorized_keys(text, lambda number, why: refused.append((number, why)))
    return keys, refused


def only(options: str) -> AuthorizedKey:
    keys, refused = read(f"{options} {PUBLIC} some comment")
    assert refused == []
    (key,) = keys
    return key


def test_a_key_alone() -> None:
    keys, refused = read(f"# comment\n\n{PUBLIC}\n")
    assert keys == [AuthorizedKey(KEY)]
    assert refused == []


@pytest.mark.parametrize(
    ("written", "command"),
    [
        (r'command="a b"', "a b"),
        (r'command="annexshell -c \"$X\""', 'annexshell -c "$X"'),
        (r'command="a\\b\n, c=d #"', r"a\\b\n, c=d #"),
        ('command=""', ""),
        ('COMMAND="x"', "x"),
    ],
)
def test_a_command_is_taken_as_openssh_takes_it(written: str, command: str) -> None:
    assert only(f"restrict,{written},no-pty").command == command


def test_an_environment_of_several_variables() -> None:
    found = only('environment="A=1",environment="B_2=x=y",restrict')
    assert found.environment == (("A", "1"), ("B_2", "x=y"))


def test_the_first_value_of_a_variable_counts() -> None:
    """As in sshd, so that a restriction does not depend on who reads the file."""
    options = 'environment="GIT_ANNEX_SHELL_READONLY=1"'
    key = only(f'{options},environment="GIT_ANNEX_SHELL_READONLY="')
    assert key.environment == (("GIT_ANNEX_SHELL_READONLY", "1"),)


@pytest.mark.parametrize(
    ("origins", "address", "accepted"),
    [
        ("192.0.2.0/24", "192.0.2.7", True),
        ("192.0.2.0/24", "192.0.3.7", False),
        ("192.0.2.*,!192.0.2.9", "192.0.2.9", False),
        ("192.0.2.*,!192.0.2.9", "192.0.2.8", True),
        ("2001:db8::/32", "2001:db8::1", True),
        ("example.com", "192.0.2.7", False),
    ],
)
def test_from_is_honoured(origins: str, address: str, accepted: bool) -> None:
    found = only(f'from="{origins}"')
    assert found.accepts(KEY, address) is accepted
    assert not found.accepts(OTHER, address)


@pytest.mark.parametrize(
    "options",
    [
        "cert-authority",
        "pty",
        "port-forwarding",
        "agent-forwarding",
        'permitopen="a:1"',
        'permitlisten="1"',
        'principals="x"',
        'expiry-time="20200101"',
        'tunnel="0"',
        "verify-required",
        "made-up",
        "command",
        'restrict="x"',
        'command="x',
        'command="x"y',
        "command=x",
        ",restrict",
        "restrict,",
        'command="x",command="y"',
        'from="a",from="b"',
        'from=""',
        'from="a\\\\b"',
        'environment="A"',
        'environment="=A"',
        'environment="LD PRELOAD=x"',
        'from="!10.0.0.1/24,*"',
        'from="192.0.2.1,!10.0.0.0/33"',
        'environment="A=\n"',
    ],
)
def test_any_other_option_refuses_the_line(options: str) -> None:
    keys, refused = read(f"# first\n{options} {PUBLIC}\n")
    assert keys == []
    assert refused[0][0] == 2


def test_only_a_line_feed_ends_a_line() -> None:
    assert only('command="a\x0bb\u2028c"').command == "a\x0bb\u2028c"


def test_lines_without_a_usable_key_are_refused() -> None:
    keys, refused = read(f"ssh-ed25519 AAAA\nrubbish\n{PUBLIC}\nrestrict\n")
    assert keys == [AuthorizedKey(KEY)]
    assert [number for number, _ in refused] == [1, 2, 4]


def test_the_example_is_usable_as_it_stands() -> None:
    text = EXAMPLE.read_text()
    keys, refused = read(text)
    assert refused == []
    assert len(keys) == 5
    commands = [key.command or "" for key in keys]
    assert all(c.endswith('annexshell -c "$SSH_ORIGINAL_COMMAND"') for c in commands)
    for variable in ("READONLY", "APPENDONLY", "LIMITED", "DIRECTORY"):
        assert any(f"GIT_ANNEX_SHELL_{variable}=" in c for c in commands), variable
    assert any("ANNEXSHELL_DIRECTORY_BELOW=" in c for c in commands)
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    assert all(",restrict " in line for line in lines)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")
def test_openssh_reads_the_example_too() -> None:
    done = subprocess.run(
        ["ssh-keygen", "-lf", EXAMPLE], check=True, capture_output=True, text=True
    )
    assert len(done.stdout.splitlines()) == 5
