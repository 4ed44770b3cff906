"""The programs that make install writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.shell import environment

LAUNCHERS = Path(__file__).parents[2] / "contrib" / "launchers.py"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory with both programs, for this interpreter."""
    subprocess.run([sys.executable, LAUNCHERS, tmp_path / "bin"], check=True)
    return tmp_path / "bin"


def test_both_programs_are_written_again_without_a_trace(programs: Path) -> None:
    subprocess.run([sys.executable, LAUNCHERS, programs], check=True)
    names = {path.name for path in programs.iterdir()}
    assert names == {"annexshell", "annexshell-admin"}
    for path in programs.iterdir():
        assert path.stat().st_mode & 0o777 == 0o755


def test_the_environment_decides_nothing_of_what_is_loaded(
    programs: Path, tmp_path: Path
) -> None:
    evil = tmp_path / "evil"
    (evil / "annexshell").mkdir(parents=True)
    (evil / "annexshell" / "__init__.py").write_text("print('loaded by the client')")
    text = (programs / "annexshell").read_text()
    # The checkout under test is not installed for this interpreter, so say where it is.
    source = str(LAUNCHERS.parents[1])
    (programs / "annexshell").write_text(
        text.replace("sys.path += ", f"sys.path[:0] = [{source!r}]; sys.path += ")
    )
    done = subprocess.run(
        [programs / "annexshell", "-c", "foo"],
        env=environment(tmp_path, PYTHONPATH=str(evil), PYTHONSTARTUP=str(evil)),
        cwd=evil,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1 and done.stdout == b""
    assert done.stderr.startswith(b"annexshell: not a command")
