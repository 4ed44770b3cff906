"""What is compared: a program, how its sessions start, and the settings it runs under."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.targets import COLD, WARM
from tests.support.world import ROOT

OURS, THEIRS = "annexshell", "git-annex-shell"


@dataclass(frozen=True)
class Contender:
    """A program under a name; ``settings`` are git config of all repositories it uses.

    ``way`` is how a real client reaches content: "direct", "proxied", or "" where none does.
    """

    name: str
    program: str
    settings: Mapping[str, str] = field(default_factory=dict)
    way: str = ""

    @property
    def ours(self) -> bool:
        return self.name.startswith(f"{OURS},")

    @property
    def warm(self) -> bool:
        """Whether a resident process must have its session."""
        return self.settings.get("annexshell.warm") == "true"

    def going(self, way: str) -> Contender:
        """The same for a real client that goes one way to content."""
        name = self.name.partition(",")[0]
        return Contender(f"{name}, {way}", self.program, self.settings, way)


@dataclass(frozen=True)
class Sides:
    """git-annex-shell, and annexshell in each of its forms; ``usual`` is the default one."""

    theirs: Contender
    cold: Contender
    warm: Contender | None

    @property
    def usual(self) -> Contender:
        return self.warm or self.cold

    @property
    def unsynced(self) -> Contender:
        """The usual one where nothing is synced to the disk, as git-annex has it."""
        usual = self.usual
        settings = {**usual.settings, "annexshell.fsync": "false"}
        return Contender(f"{usual.name}, no fsync", usual.program, settings)

    @property
    def starts(self) -> list[Contender]:
        """Ours, cold and (where there is a resident) warm."""
        return [self.cold] if self.warm is None else [self.warm, self.cold]


def sides(ours: str, theirs: str, *, warm: bool) -> Sides:
    """Both programs by their paths; without ``warm`` every session starts cold."""
    kept = Contender(WARM, ours, _settings("true")) if warm else None
    return Sides(
        Contender(THEIRS, theirs), Contender(COLD, ours, _settings("false")), kept
    )


def _settings(warm: str) -> dict[str, str]:
    return {
        "annexshell.warm": warm,
        # As where nobody sets it. In the 60 s of the tests' world it leaves while a scene is
        # made, or while git-annex-shell has its turns on a busy machine.
        "annexshell.warm-idle": "600s",
        "annexshell.fsync": "true",
    }


def install_launchers(directory: Path) -> None:
    """Write what ``make install`` writes, with the modules of this checkout."""
    spec = importlib.util.spec_from_file_location(
        "launchers", ROOT / "contrib/launchers.py"
    )
    assert spec is not None and spec.loader is not None
    launchers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launchers)
    launchers.write(str(directory))
    for name in (OURS, f"{OURS}-admin"):
        program = directory / name
        text = program.read_text()
        assert text.count("sys.path += [") == 1, text
        found = text.replace("sys.path += [", f"sys.path += [{str(ROOT)!r}, ")
        program.write_text(found)
