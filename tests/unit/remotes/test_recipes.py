"""From a remote's url to what is run (spec 01 §7.3)."""

from __future__ import annotations

import pytest

from annexshell.errors import PeerUnreachable
from annexshell.model.ids import UUID
from annexshell.remotes.recipes import LocalPath, SshHost, recipe_for
from annexshell.remotes.sshcommand import (
    quoted,
    remote_command,
    socket_name,
    socket_path,
    ssh_command,
)
from annexshell.repository.config import GitConfig

G, X = UUID(b"G-1"), UUID(b"X-2")


def config(**settings: str) -> GitConfig:
    """Settings of the remote ``r``; ``_`` in a name stands for ``-``."""
    return GitConfig(
        [(f"remote.r.{name.replace('_', '-')}", v) for name, v in settings.items()]
    )


@pytest.mark.parametrize(
    "url, recipe",
    [
        ("/srv/n1", LocalPath("/srv/n1")),
        ("../n1", LocalPath("../n1")),
        ("file:///srv/a%20b", LocalPath("/srv/a b")),
        ("host:n1", SshHost("host", "n1")),
        ("user@host:/srv/n1", SshHost("user@host", "/srv/n1")),
        ("[::1]:n1", SshHost("[::1]", "n1")),
        ("./with:colon", LocalPath("./with:colon")),
        ("ssh://host/srv/n1", SshHost("host", "/srv/n1")),
        ("ssh://user@host:2222/~/n1", SshHost("user@host", "/~/n1", 2222)),
        ("ssh://host/a%20b", SshHost("host", "/a b")),
    ],
)
def test_urls(url: str, recipe: LocalPath | SshHost) -> None:
    assert recipe_for(config(url=url), "r") == recipe


@pytest.mark.parametrize(
    "url",
    [
        "https://host/n1",
        "annex::uuid",
        "ssh://-oProxyCommand=evil/n1",
        "-oProxyCommand=evil:n1",
        "me@-oProxyCommand=evil:n1",
        "ssh://me@-evil/n1",
        "ssh:///n1",
        "ssh://host:port/n1",
        "ssh://host/a%00b",
        "file:///a%00b",
    ],
)
def test_urls_that_are_not_followed(url: str) -> None:
    with pytest.raises(PeerUnreachable, match="cannot connect to r"):
        recipe_for(config(url=url), "r")


def test_a_remote_without_url() -> None:
    with pytest.raises(PeerUnreachable, match="it has no url; special remotes"):
        recipe_for(config(), "r")


def test_instead_of_takes_the_longest_prefix() -> None:
    settings = GitConfig(
        [
            ("remote.r.url", "gh:org/repo"),
            ("url.ssh://wrong/.insteadof", "g"),
            ("url.ssh://right/.insteadof", "gh:"),
        ]
    )
    assert recipe_for(settings, "r") == SshHost("right", "/org/repo")


def test_the_command_is_git_annexs_own() -> None:
    command = remote_command(config(), "r", "/srv/it's", G, X)
    expected = "git-annex-shell 'p2pstdio' '/srv/it'\"'\"'s' 'G-1' --uuid X-2"
    assert command == expected
    command = remote_command(config(annex_shell="/opt/annexshell"), "r", "n", G, X)
    assert command.startswith("/opt/annexshell 'p2pstdio' 'n'")


def test_words_that_a_shell_would_act_on_stay_words() -> None:
    assert quoted('$(rm -rf /) `id`; "x"') == "'$(rm -rf /) `id`; \"x\"'"


def test_the_ssh_command_line() -> None:
    host = SshHost("me@host", "n", 2222)
    settings = config(annex_ssh_options='-i "my key" -4')
    assert ssh_command(settings, "r", host, "CMD", "/s/host") == [
        *["ssh", "me@host", "-S", "/s/host"],
        *["-o", "ControlMaster=auto", "-o", "ControlPersist=yes"],
        *["-i", "my key", "-4", "-p", "2222", "-T", "CMD"],
    ]
    assert ssh_command(config(), "r", SshHost("h", "n"), "CMD", None) == [
        *["ssh", "h", "-T", "CMD"]
    ]


def test_socket_names() -> None:
    assert socket_name(SshHost("host", "n")) == "host"
    assert socket_name(SshHost("host", "n", 22)) == "host!22"
    assert socket_name(SshHost("h%st", "n")) == "hst"
    assert socket_name(SshHost("../../x", "n")) == ".._.._x"
    assert len(socket_name(SshHost("h" * 33, "n"))) == 32


def test_a_socket_too_deep_is_not_used() -> None:
    assert socket_path("/d", SshHost("host", "n")) in ("/d/host", "../d/host")
    assert socket_path("/" + "d" * 100, SshHost("host", "n")) is None
