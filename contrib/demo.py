"""make demo: a gateway, a cluster of three disks, and a client, with the real git-annex.

Everything lives in a temporary folder that is removed at the end, also after a failure or
^C. The commands are shown as a person would type them; each result is checked. The exit
code is 0 only if everything shown was as it should be. Needs git, ssh and the git-annex of
the virtual environment; neither root nor sshd.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

LIMIT = 60  # seconds for one command
PHOTO = b"a photo that nobody wants to lose\n" * 20_000

SSH_CONFIG = """\
Host server
    HostName 127.0.0.1
    Port {port}
    User demo
    IdentityFile {place}/keys/client
    IdentitiesOnly yes
    IdentityAgent none
    BatchMode yes
    StrictHostKeyChecking yes
    UserKnownHostsFile {place}/keys/known_hosts
    LogLevel ERROR
"""

GIT_CONFIG = """\
[user]
    name = Demo
    email = demo@example.invalid
[init]
    defaultBranch = main
[gc]
    auto = 0
"""

#: Who sets up a cluster; git-annex's own commands of those names do the same.
ADMIN = "annexshell-admin"
DISKS = ("disk1", "disk2", "disk3")

STYLES = {"bold": "\033[1m", "dim": "\033[2m", "plain": "\033[0m"}


class Wrong(Exception):
    """Something the demo shows is not as it should be."""


def style(name: str) -> str:
    return STYLES[name] if sys.stdout.isatty() else ""


class Demo:
    """The temporary folder, the programs in it, and the commands shown so far."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.bin = place / "bin"
        self.cwd = place
        self.server: subprocess.Popen[str] | None = None
        self.steps = 0
        for name in ("bin", "keys", "home"):
            (place / name).mkdir()
        (place / "home/.gitconfig").write_text(GIT_CONFIG)
        self.env = {
            "PATH": f"{self.bin}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "HOME": str(place / "home"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "LC_ALL": "C.UTF-8",
        }
        self._link_programs()

    def _link_programs(self) -> None:
        spec = importlib.util.find_spec("git_annex")
        folders = list(spec.submodule_search_locations or ()) if spec else []
        annex = Path(folders[0]) / "git-annex" if folders else shutil.which("git-annex")
        if not annex:
            raise Wrong("git-annex is not installed: run make demo, which installs it")
        (self.bin / "git-annex").symlink_to(annex)
        for name in ("annexshell", "annexshell-admin"):
            (self.bin / name).symlink_to(Path(sys.executable).parent / name)
        ssh = shutil.which("ssh")
        if not ssh or not shutil.which("git"):
            raise Wrong("git and ssh must both be installed")
        wrapper = self.bin / "ssh"
        config = shlex.quote(str(self.place / "ssh_config"))
        wrapper.write_text(f'#!/bin/sh\nexec {ssh} -F {config} "$@"\n')
        wrapper.chmod(0o755)

    # -- showing ---------------------------------------------------------------------

    def say(self, words: str) -> None:
        print(f"\n{style('bold')}# {words}{style('plain')}", flush=True)

    def _call(self, words: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            words,
            cwd=self.cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace")

    def quietly(self, line: str) -> str:
        """Run a command without showing it; its output."""
        code, said = self._call(shlex.split(line))
        if code != 0:
            raise Wrong(f"{line} (in {self.cwd}) ended with {code}:\n{said}")
        return said

    def show(self, line: str, *, fails: bool = False, says: str = "") -> None:
        """Show a command and its output, and check how it ended."""
        self.steps += 1
        print(f"{style('dim')}{self.cwd.name}{style('plain')}$ {line}", flush=True)
        code, said = self._call(shlex.split(line))
        for row in said.replace("\r", "\n").splitlines():
            if row.strip() and "%" not in row:
                print(f"    {row.rstrip()}", flush=True)
        if (code != 0) != fails:
            expected = "be refused" if fails else "succeed"
            raise Wrong(f"`{line}' should {expected}, but ended with {code}")
        if says not in said:
            raise Wrong(f"`{line}' should say {says!r}")

    def expect_at(self, file: str, *places: str) -> None:
        """git-annex must know the file to be in exactly these repositories."""
        told = json.loads(self.quietly(f"git annex whereis --json {file}"))
        found = {place["description"].split(" [")[0] for place in told["whereis"]}
        if found != set(places):
            raise Wrong(f"{file} is in {sorted(found)}, not in {sorted(places)}")

    # -- the pieces --------------------------------------------------------------------

    def start_server(self) -> None:
        """annexshell-admin ssh-server, with one key that may run annexshell."""
        for name in ("host", "client"):
            self.quietly(f"ssh-keygen -q -t ed25519 -N '' -f {self.place}/keys/{name}")
        public = (self.place / "keys/client.pub").read_text()
        line = f'command="annexshell -c \\"$SSH_ORIGINAL_COMMAND\\"",restrict {public}'
        (self.place / "keys/authorized_keys").write_text(line)
        words = [
            *("annexshell-admin", "ssh-server", "--listen", "127.0.0.1:0"),
            *("--host-key", str(self.place / "keys/host")),
            *("--authorized-keys", str(self.place / "keys/authorized_keys")),
        ]
        with (self.place / "server.log").open("w") as log:
            self.server = subprocess.Popen(
                words,
                env=self.env,
                cwd=self.place,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self.server.stdout is not None
        port = self.server.stdout.readline().strip().rpartition(":")[2].split(" ")[-1]
        if not port.isdigit():
            log_text = (self.place / "server.log").read_text()
            raise Wrong(f"the ssh server did not start:\n{log_text}")
        host = " ".join((self.place / "keys/host.pub").read_text().split()[:2])
        (self.place / "keys/known_hosts").write_text(f"[127.0.0.1]:{port} {host}\n")
        config = SSH_CONFIG.format(port=port, place=self.place)
        (self.place / "ssh_config").write_text(config)

    def repository(self, name: str) -> None:
        self.quietly(f"git init --quiet --bare {self.place / name}")
        self.cwd = self.place / name
        self.quietly(f"git annex init {name}")
        self.cwd = self.place

    def stop(self) -> None:
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait()


def set_up(demo: Demo) -> None:
    """The gateway and its disks, and the cluster of them."""
    place = demo.place
    demo.say(
        "On the server: a repository, and three disks that only the server reaches"
    )
    for name in ("gateway", *DISKS):
        demo.repository(name)
    demo.cwd = place / "gateway"
    tree = demo.quietly("git hash-object -w -t tree /dev/null").strip()
    commit = demo.quietly(f"git commit-tree -m start {tree}").strip()
    demo.quietly(f"git update-ref refs/heads/main {commit}")
    for disk in DISKS:
        demo.quietly(f"git remote add {disk} ../{disk}")
        demo.quietly(f"git fetch --quiet {disk}")
    demo.quietly("git annex merge")

    demo.say("The disks become a cluster: clients see one place to store things in")
    demo.show(f"{ADMIN} initcluster store")
    for disk in DISKS:
        demo.show(f"git config remote.{disk}.annex-cluster-node store")
    demo.show(f"{ADMIN} updatecluster")
    demo.start_server()


def play(demo: Demo) -> None:
    """The demo itself, in the order a person would do it."""
    place = demo.place
    set_up(demo)
    demo.cwd = place
    demo.say("On the laptop: clone it over ssh; annexshell answers")
    demo.show(f"git clone --quiet ssh://server{place}/gateway laptop")
    demo.cwd = place / "laptop"
    demo.show("git annex init laptop")
    (demo.cwd / "photo.jpg").write_bytes(PHOTO)
    demo.show("git annex add photo.jpg", says="ok")
    demo.quietly("git commit --quiet -m photo")

    demo.say("Upload it once: it is stored on three disks")
    demo.show("git annex copy photo.jpg --to origin-store", says="ok")
    demo.show("git annex whereis photo.jpg", says="disk3")
    demo.expect_at("photo.jpg", "laptop", "cluster store", *DISKS)

    demo.say("Drop it here: copies on the disks are locked while that happens")
    demo.show("git annex drop photo.jpg --numcopies 3", says="ok")
    if (demo.cwd / "photo.jpg").exists():
        raise Wrong("the content is still on the laptop")

    demo.say("Each disk can be used by itself; one of three needed copies stays")
    refused = "git annex drop photo.jpg --from origin-disk2 --numcopies 3"
    demo.show(refused, fails=True, says="unsafe")
    lose_a_disk(demo)

    demo.say("Drop it from the whole cluster")
    demo.show("git annex drop photo.jpg --from origin-store", says="ok")
    demo.expect_at("photo.jpg", "laptop")

    share_out(demo)
    demo.say("Is everything sound?")
    check(demo)


def share_out(demo: Demo) -> None:
    """The disks share what comes, by git-annex's preferred content."""
    laptop = demo.cwd
    demo.cwd = demo.place / "gateway"
    demo.say("Two copies are enough: the disks share out what comes")
    for disk in DISKS:
        demo.show(f"{ADMIN} group {disk} shelf")
        demo.show(f"{ADMIN} wanted {disk} balanced=shelf:2")
    demo.show(f"{ADMIN} wanted check", says="nothing is wrong")

    demo.say("Which disks will have the photo? Its key decides, so all agree")
    key = json.loads(demo.quietly("git -C ../laptop annex find --json photo.jpg"))
    explain = f"{ADMIN} wanted explain {key['key']}"
    demo.show(f"{explain} --node disk1", says="picked")
    told = json.loads(demo.quietly(f"{explain} --json"))["nodes"]
    wanting = {node["name"] for node in told if node["explanation"]["wanted"]}
    if len(wanting) != 2:
        raise Wrong(f"{sorted(wanting)} want the photo, not two disks")
    demo.cwd = laptop
    demo.show("git annex copy photo.jpg --to origin-store", says="ok")
    demo.expect_at("photo.jpg", "laptop", "cluster store", *wanting)
    demo.show("git annex whereis photo.jpg", says=min(wanting))


def lose_a_disk(demo: Demo) -> None:
    """One of the disks goes away, and comes back."""
    demo.say("A disk is gone, and the laptop still gets its photo back")
    demo.show("mv ../disk1 ../unplugged")
    demo.show("git annex get photo.jpg --from origin-store", says="ok")
    if (demo.cwd / "photo.jpg").read_bytes() != PHOTO:
        raise Wrong("the content that came back is not what was stored")

    demo.say("It cannot be dropped everywhere while a disk that has it is gone")
    dropping = "git annex drop photo.jpg --from origin-store"
    demo.show(dropping, fails=True, says="disk1")
    demo.expect_at("photo.jpg", "laptop", "cluster store", "disk1")

    demo.say("The disk is back, with the photo on it")
    demo.show("mv ../unplugged ../disk1")
    demo.show("git annex fsck photo.jpg --from origin-disk1", says="ok")


def check(demo: Demo) -> None:
    """Every repository agrees with its disk."""
    demo.quietly("git annex sync --no-content origin")
    for name in ("laptop", "gateway", *DISKS):
        demo.cwd = demo.place / name
        if name in DISKS:  # learns from the gateway where else things are
            demo.quietly("git fetch --quiet ../gateway git-annex:synced/git-annex")
            demo.quietly("git annex merge")
        run = demo.quietly if name in DISKS[1:] else demo.show
        run("git annex fsck --all --quiet")
        demo.quietly("git fsck --strict --no-dangling --no-progress")


def remove(place: Path) -> None:
    """Remove the folder; git-annex protects folders with content against it."""
    for folder, _, _ in os.walk(place):
        os.chmod(folder, 0o700)
    shutil.rmtree(place)


def interrupted(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, interrupted)
    place = Path(tempfile.mkdtemp(prefix="annexshell-demo-"))
    demo: Demo | None = None
    verdict = ""
    try:
        demo = Demo(place)
        play(demo)
    except Wrong as wrong:
        verdict = f"demo FAILED: {wrong}"
    except subprocess.TimeoutExpired as hung:
        verdict = f"demo FAILED: {hung}"
    except KeyboardInterrupt:
        verdict = "demo interrupted"
    finally:
        if demo:
            demo.stop()
        remove(place)
    if verdict:
        print(f"\n{verdict}", file=sys.stderr)
        return 1
    steps = demo.steps if demo else 0
    print(f"\ndemo ok: {steps} commands did what they should")
    return 0


if __name__ == "__main__":
    sys.exit(main())
