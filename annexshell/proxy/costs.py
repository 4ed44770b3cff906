"""What it costs to reach a remote, as git-annex reckons it (spec 01 §8.2, §11.2).

annex-cost-command goes before annex-cost, and the kind of the url decides where neither
is of use. A command is run only where its answer decides something, and only for callers
that pass a way to run it, which nobody does for a repository that is not trusted.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from annexshell.errors import PeerUnreachable
from annexshell.proxy.instantiated import Remote
from annexshell.remotes.recipes import LocalPath, recipe_for
from annexshell.repository.config import GitConfig

log = logging.getLogger("annexshell.proxy")

LOCAL = 100.0
NETWORK = 200.0
_BEHIND = 0.1
_LONGEST = 1 << 16
PATIENCE = 10.0
"""Seconds that a command may take."""

Run = Callable[[Iterable[str]], Mapping[str, str]]
"""What each command printed; those that failed are left out."""

_NUMBER = re.compile(
    r"\s*(?P<sign>-\s*)?"
    r"(?:0[xX](?P<hex>[0-9a-fA-F]{1,32})|(?P<plain>Infinity|"
    r"[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][-+]?[0-9]{1,9})?))"
)


def parse_cost(text: str) -> float | None:
    """The number that ``text`` begins with, None if it begins with none.

    Read as git-annex reads it: ``.5`` and ``+5`` are no numbers, ``12 x`` is 12.
    """
    found = _NUMBER.match(text)
    if found is None:
        return None
    digits = found["hex"]
    number = float(int(digits, 16)) if digits else float(found["plain"])
    return -number if found["sign"] else number


def prices(
    config: GitConfig, remotes: Sequence[Remote], run: Run | None = None
) -> list[float]:
    """The cost of each remote; less is better. Without ``run`` commands do not count."""
    commands = _commands(config, remotes) if run else []
    answers = run(commands) if run and commands else {}
    return [_price(config, remote, answers) for remote in remotes]


def asks_programs(config: GitConfig) -> bool:
    """Whether the cost of any remote may be told by a command."""
    return any(name.endswith("cost-command") for name in config.names(""))


def _commands(config: GitConfig, remotes: Iterable[Remote]) -> list[str]:
    found = (remote.setting(config, "cost-command") for remote in remotes)
    return list(dict.fromkeys(command for command in found if command))


def _price(config: GitConfig, remote: Remote, answers: Mapping[str, str]) -> float:
    default = _default(config, remote.via)
    command = remote.setting(config, "cost-command")
    if command is not None and command in answers:
        said = parse_cost(answers[command])
        return default if said is None else said
    own = parse_cost(remote.setting(config, "cost") or "")
    cost = default if own is None else own
    # git-annex lets a node be cheaper than the gateway it is reached through.
    return max(default + _BEHIND, cost) if remote.behind else cost


def _default(config: GitConfig, name: str) -> float:
    try:
        return LOCAL if isinstance(recipe_for(config, name), LocalPath) else NETWORK
    except PeerUnreachable:
        return NETWORK


def ask_commands(
    commands: Iterable[str], *, cwd: str, patience: float = PATIENCE
) -> dict[str, str]:
    """Run each with ``sh -c``, all at once, for ``patience`` seconds at most.

    Failing is not fatal, unlike in git-annex: what failed is named in a warning and left
    out.
    """
    from concurrent.futures import ThreadPoolExecutor

    commands = list(commands)
    with ThreadPoolExecutor(max(1, len(commands))) as pool:
        answers = pool.map(lambda command: _asked(command, cwd, patience), commands)
        found = zip(commands, answers, strict=True)
        return {command: answer for command, answer in found if answer is not None}


def _asked(command: str, cwd: str, patience: float) -> str | None:
    from subprocess import TimeoutExpired

    from annexshell.repository.programs import run_program

    try:
        run = run_program(
            ["sh", "-c", command],
            cwd=cwd,
            capture=True,
            timeout=patience,
            most=_LONGEST,
            lend=False,
        )
    except TimeoutExpired:
        problem = f"no end within {patience:g} seconds"
    except OSError as error:
        problem = str(error)
    else:
        if run.returncode == 0:
            return bytes(run.stdout).decode("utf-8", "replace")
        problem = f"exit code {run.returncode}"
    log.warning(
        "annex-cost-command is not followed (%s): %s; correct it in the git config",
        command,
        problem,
    )
    return None
