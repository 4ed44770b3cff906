"""The built-in commands: what refuses them, and the module that carries each out."""

from __future__ import annotations

from annexshell.cli.commandline import Parameters
from annexshell.cli.environment import Surroundings
from annexshell.errors import BlockedBy
from annexshell.model.record import NamedTuple
from annexshell.policy.restrictions import APPENDONLY, LIMITED, READONLY, Restrictions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from annexshell.repository.config import GitConfig


class Host:
    """Whose process a session runs in: here its own, started for it."""

    def admit(self, config: GitConfig) -> int:
        """A session was checked, and nothing of it was read or written yet.

        A descriptor by which what sessions keep can be had, -1 where there is none.
        """
        return -1

    def greeted(self, config: GitConfig) -> None:
        """The session is on its way; whoever waits for its first answer has time."""


class Invocation(NamedTuple):
    """A built-in command after the checks that need no repository."""

    command: str
    path: str
    """The real path of the directory, checked against the confinement."""
    parameters: Parameters
    surroundings: Surroundings
    host: Host = Host()


class Command(NamedTuple):
    """How one command is refused and where it is found."""

    summary: str
    usage: str
    module: str
    function: str
    in_read_only: bool = True
    in_append_only: bool = True
    in_limited: bool = True
    tells_presence: bool = False
    """A client takes exit code 1 for absent content, so it must not mean anything else."""
    audited: bool = False
    """It is in the audit log, also where a restriction refuses it."""

    def load(self) -> Callable[[Invocation], int]:
        """The function that carries the command out and returns the exit status."""
        # importlib costs more than the import of what most commands need.
        module = __import__(self.module, fromlist=[self.function])
        run: Callable[[Invocation], int] = getattr(module, self.function)
        return run

    def check(self, restrictions: Restrictions) -> None:
        """Raise BlockedBy if a restriction forbids the command itself."""
        if restrictions.read_only and not self.in_read_only:
            raise BlockedBy(variable=READONLY)
        if restrictions.append_only and not self.in_append_only:
            raise BlockedBy(variable=APPENDONLY)
        if restrictions.limited and not self.in_limited:
            raise BlockedBy(variable=LIMITED)


COMMANDS: dict[str, Command] = {
    "configlist": Command(
        "outputs relevant git configuration",
        "[--uuid UUID] [-- autoinit=1 --]",
        "annexshell.cli.configlist",
        "configlist",
    ),
    "p2pstdio": Command(
        "communicate in P2P protocol over stdio",
        "CLIENTUUID [--uuid UUID]",
        "annexshell.cli.p2pstdio",
        "p2pstdio",
    ),
    "notifychanges": Command(
        "sends notification when git refs are changed",
        "[--uuid UUID]",
        "annexshell.cli.notifychanges",
        "notifychanges",
    ),
    "inannex": Command(
        "checks if keys are present in the annex",
        "KEY... [--uuid UUID]",
        "annexshell.cli.content",
        "inannex",
        tells_presence=True,
    ),
    "sendkey": Command(
        "runs rsync in server mode to send content",
        "KEY [--uuid UUID] [-- remoteuuid=UUID -- --bwlimit=RATE]",
        "annexshell.cli.transfer",
        "sendkey",
        audited=True,
    ),
    "recvkey": Command(
        "runs rsync in server mode to receive content",
        "KEY [--uuid UUID] [-- remoteuuid=UUID -- --bwlimit=RATE]",
        "annexshell.cli.transfer",
        "recvkey",
        in_read_only=False,
        audited=True,
    ),
    "dropkey": Command(
        "drops annexed content for specified keys",
        "KEY... --force [--uuid UUID] [-- remoteuuid=UUID --]",
        "annexshell.cli.content",
        "dropkey",
        in_read_only=False,
        in_append_only=False,
        audited=True,
    ),
    "gcryptsetup": Command(
        "sets up a gcrypt repository",
        "GCRYPTID [--uuid UUID]",
        "annexshell.cli.gcrypt",
        "gcryptsetup",
        in_read_only=False,
        in_append_only=False,
        # It says what git lets others push, and is of use to nobody who cannot push.
        in_limited=False,
    ),
}


def usage() -> str:
    """The whole command line, for a person who got it wrong."""
    lines = [f"  {name:<14}{c.summary}\n" for name, c in sorted(COMMANDS.items())]
    return (
        "Usage: annexshell [-c] COMMAND DIRECTORY [PARAMETER...] [OPTION...]\n\n"
        + "".join(lines)
        + "\ngit-upload-pack, git-receive-pack and git-upload-archive are handed to git.\n"
        "Meant to be run by ssh, as a forced command or a login shell.\n"
    )


def help_text(name: str) -> str:
    """The answer to ``--help`` after a command."""
    command = COMMANDS[name]
    return (
        f"annexshell {name} - {command.summary}\n\n"
        f"Usage: annexshell {name} DIRECTORY {command.usage}\n\n"
        "Other options: --force --fast|-F --quiet|-q --verbose|-v --debug|-d --no-debug\n"
        "  --debugfilter NAMES --explain --help|-h\n"
    )
