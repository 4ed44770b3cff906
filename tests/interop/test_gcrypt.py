"""gcrypt remotes: git-remote-gcrypt, gpg, rsync and real clients, with us behind sshd."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.client import Client, Repo
from tests.support.process import run
from tests.support.sshserver import SshServer
from tests.support.world import World, find, remove_tree, write_program

NEEDED = {
    "git-remote-gcrypt": "git-remote-gcrypt",
    "gpg": "gnupg",
    "gpg-agent": "gnupg",
    "rsync": "rsync",
}
IDENTITY = "Tester <tester@example.invalid>"


@dataclass(frozen=True)
class Estate:
    """A gcrypt repository behind sshd, a client of it, and what the client ran there."""

    world: World
    server: SshServer
    client: Client
    place: Path
    env: dict[str, str]

    def url(self, account: str = "ours") -> str:
        return self.server.url(account, self.place / "secret.git")

    @property
    def stored(self) -> list[Path]:
        found = (self.place / "secret.git/annex/objects").rglob("*--*")
        return [path for path in found if path.is_file()]

    def asked(self) -> list[str]:
        """The remote commands so far, without ssh's own options."""
        lines = (self.place / "ssh.log").read_text().splitlines()
        return [line.partition(" -T ")[2] or line for line in lines]

    def new_repo(self, name: str) -> Repo:
        path = self.place / name
        path.mkdir()
        repo = Repo(self.world, self.client, path, self.env)
        repo.git("init", "--quiet")
        repo.annex("init", name)
        return repo


@pytest.fixture(scope="module")
def keyring(world: World, places: Callable[[], Path]) -> Iterator[dict[str, str]]:
    """A gpg key without a passphrase; the agent that gpg starts is ended."""
    for program, package in NEEDED.items():
        if find(program) is None:
            pytest.skip(f"{program} is not here: apt-get install {package}")
    place = places()
    place.chmod(0o700)
    env = world.env(GNUPGHOME=str(place))
    words = ["gpg", "--batch", "--quiet", "--passphrase", ""]
    words += ["--quick-generate-key", IDENTITY, "default", "default", "never"]
    run(words, cwd=place, env=env)
    yield {"GNUPGHOME": str(place)}
    run(["gpgconf", "--kill", "all"], cwd=place, env=env)
    remove_tree(place)


MakeEstate = Callable[[Client], Estate]


@pytest.fixture
def make(
    world: World, openssh: SshServer, keyring: dict[str, str], place: Path
) -> MakeEstate:
    def made(client: Client) -> Estate:
        env = world.env(client.bin, **keyring)
        log = place / "bin"
        log.mkdir()
        ssh = f'echo "$*" >>{place}/ssh.log\nexec {world.bin}/ssh "$@"'
        write_program(log / "ssh", ssh)
        env["PATH"] = f"{log}:{env['PATH']}"
        bare = place / "secret.git"
        run(["git", "init", "--quiet", "--bare", bare], cwd=place, env=env)
        return Estate(world, openssh, client, place, env)

    return made


@pytest.fixture
def estate(make: MakeEstate, current: Client) -> Estate:
    return make(current)


def initremote(repo: Repo, estate: Estate, *more: str) -> None:
    url = f"gitrepo={estate.url()}"
    repo.annex("initremote", "secret", "type=gcrypt", url, *more)


def names_of(commands: list[str]) -> set[str]:
    """The git-annex-shell commands among them."""
    words = [c.split("git-annex-shell '", 1)[1] for c in commands if "-shell '" in c]
    return {word.partition("'")[0] for word in words}


def test_content_is_stored_checked_got_and_dropped(
    make: MakeEstate, client: Client
) -> None:
    estate = make(client)
    me = estate.new_repo("me")
    data = {"small": b"small", "large": os.urandom(1_500_000), "empty": b""}
    keys = {name: me.add(name, content) for name, content in data.items()}
    initremote(me, estate, "encryption=hybrid", f"keyid={IDENTITY}")
    there = me.git("config", "remote.secret.annex-uuid").out.strip()
    me.annex("copy", "--to", "secret")
    me.annex("copy", "--to", "secret", "--force")
    assert len(estate.stored) == 3
    assert all(there in me.whereis(key) for key in keys.values())
    me.annex("drop", ".")
    assert not any(me.has(key) for key in keys.values())
    me.annex("get", ".")
    for name, content in data.items():
        assert (me.path / name).read_bytes() == content
    me.annex("fsck", "--from", "secret")
    me.annex("drop", "--from", "secret", "small", "empty")
    assert len(estate.stored) == 1
    assert there not in me.whereis(keys["small"])
    ran = names_of(estate.asked())
    assert ran >= {"gcryptsetup", "inannex", "recvkey", "sendkey", "dropkey"}
    assert "p2pstdio" not in ran
    # Without the shell a client would ask for rsync itself, which no account of ours runs.
    assert not [line for line in estate.asked() if line.startswith("rsync ")]
    config = estate.place / "secret.git"
    checked = run(
        ["git", "-C", config, "config", "--list"], cwd=estate.place, env=estate.env
    )
    assert "receive.denynonfastforwards=false" in checked.out
    assert "core.gcrypt-id=:id:" in checked.out and "annex.uuid" not in checked.out


def test_another_clone_works_with_it(estate: Estate) -> None:
    me = estate.new_repo("me")
    key = me.add("file", b"for others")
    initremote(me, estate, "encryption=hybrid", f"keyid={IDENTITY}")
    me.annex("copy", "--to", "secret")
    me.git("push", "--quiet", "secret", "main", "git-annex")
    you = estate.place / "you"
    words = ["git", "clone", "--quiet", f"gcrypt::{estate.url()}", str(you)]
    run(words, cwd=estate.place, env=estate.env)
    clone = Repo(estate.world, estate.client, you, estate.env)
    clone.annex("init", "you")
    url = f"gitrepo={estate.url()}"
    clone.annex("enableremote", "secret", "type=gcrypt", url)
    # Since 2026 a person has to look at a remote before it is used; reading is asked for.
    clone.git("config", "remote.secret.annex-verified", "automatic")
    clone.annex("get", "file", "--from", "secret")
    assert (you / "file").read_bytes() == b"for others" and clone.has(key)


def test_content_that_is_lost_is_noticed_and_stored_again(estate: Estate) -> None:
    me = estate.new_repo("me")
    key = me.add("file", b"precious")
    initremote(me, estate, "encryption=shared")
    there = me.git("config", "remote.secret.annex-uuid").out.strip()
    me.annex("copy", "--to", "secret")
    (stored,) = estate.stored
    stored.parent.chmod(0o755)
    stored.unlink()
    checked = me.annex("fsck", "--from", "secret", check=False)
    assert checked.code != 0 and there not in me.whereis(key)
    me.annex("copy", "--to", "secret")
    assert there in me.whereis(key) and len(estate.stored) == 1
    me.annex("fsck", "--from", "secret")


def test_restricted_accounts(estate: Estate) -> None:
    """LIMITED refuses git, so it cannot set up, but content goes both ways."""
    me = estate.new_repo("me")
    key = me.add("file", b"restricted")
    initremote(me, estate, "encryption=hybrid", f"keyid={IDENTITY}")

    def use(account: str) -> None:
        me.git("config", "remote.secret.url", f"gcrypt::{estate.url(account)}")

    use("readonly")
    refused = me.annex("copy", "--to", "secret", check=False)
    assert refused.code != 0 and estate.stored == []
    use("appendonly")
    me.annex("copy", "--to", "secret")
    refused = me.annex("drop", "--from", "secret", "file", check=False)
    assert refused.code != 0 and len(estate.stored) == 1
    use("limited")
    me.annex("drop", "file")
    me.annex("get", "file")
    assert me.git("push", "secret", "main", check=False).code != 0
    me.annex("drop", "--from", "secret", "file")
    assert estate.stored == [] and me.has(key)
    use("confined")
    refused = me.annex("copy", "--to", "secret", check=False)
    assert refused.code != 0 and estate.stored == []
