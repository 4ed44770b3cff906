"""git-annex accepts what our autoinit makes, and a client of it does too."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from stat import filemode

import pytest

from tests.support.client import Client
from tests.support.process import run
from tests.support.shell import environment, git, run_shell, write_identity

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("git-annex") is None, reason="no git-annex here"),
]


def annex(repository: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "annex", *words],
        cwd=repository,
        env=environment(repository.parent),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.mark.parametrize("bare", [True, False])
def test_git_annex_accepts_the_repository(tmp_path: Path, bare: bool) -> None:
    write_identity(tmp_path)
    path = tmp_path / "r"
    git("init", "-q", *(["--bare"] if bare else []), path)
    done = run_shell("configlist", "r", "--", "autoinit=1", env=environment(tmp_path))
    uuid = done.stdout.decode().splitlines()[0].removeprefix("annex.uuid=")
    info = json.loads(annex(path, "info", "--json", "--fast"))
    known = {r["uuid"]: r for r in info["semitrusted repositories"]}
    assert known[uuid]["here"]
    assert known[uuid]["description"].endswith(":~/r]") or known[uuid][
        "description"
    ].endswith(":~/r")
    config = git("-C", path, "config", "--list", "--local")
    annex(path, "fsck")
    annex(path, "init")
    assert git("-C", path, "config", "annex.uuid").strip() == uuid
    # Its own init has nothing to add to what matters.
    assert git("-C", path, "config", "--list", "--local") == config
    assert git("-C", path, "fsck", "--strict") == ""
    log = git("-C", path, "show", "git-annex:uuid.log")
    assert log.count("\n") == 1 and log.startswith(uuid)


def test_files_can_be_added_where_we_initialised(tmp_path: Path) -> None:
    write_identity(tmp_path)
    path = tmp_path / "r"
    git("init", "-q", path)
    run_shell("configlist", "r", "--", "autoinit=1", env=environment(tmp_path))
    (path / "file").write_text("content")
    annex(path, "add", "file")
    assert (path / "file").is_symlink()
    annex(path, "unlock", "file")
    # The filter is set up: git sees a pointer, not the content.
    assert git("-C", path, "show", ":file").startswith("/annex/objects/")
    annex(path, "fsck")


def sharing_clone(place: Path) -> Path:
    """A clone with no objects of its own."""
    git("init", "-q", "--bare", place / "origin")
    git("clone", "-q", "--bare", "--shared", place / "origin", place / "r")
    return place / "r"


def tuned_clone(place: Path) -> Path:
    git("init", "-q", place / "origin")
    words = ["-c", "annex.tune.objecthash1=true", "-c", "annex.tune.branchhash1=true"]
    run(
        ["git", *words, "annex", "init", "origin"],
        cwd=place / "origin",
        env=environment(place),
    )
    annex(place / "origin", "config", "--set", "annex.securehashesonly", "true")
    git("clone", "-q", "--bare", place / "origin", place / "r")
    return place / "r"


def fresh(*options: str, **config: str) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        git("init", "-q", *options, place / "r")
        for name, value in config.items():
            git("-C", place / "r", "config", name.replace("_", "."), value)
        return place / "r"

    return make


SAYINGS = {
    "annex_initwanted": "include=*.x or  standard",
    "annex_initrequired": "present",
    "annex_initgroups": " b  a b ",
}
REPOSITORIES: dict[str, Callable[[Path], Path]] = {
    "bare": fresh("--bare"),
    "work tree": fresh(),
    "locked only": fresh(annex_supportunlocked="false"),
    "group": fresh("--bare", "--shared=group"),
    "sayings": fresh("--bare", **SAYINGS),
    "private": fresh("--bare", annex_private="true", **SAYINGS),
    "tuned": fresh(annex_tune_objecthashlower="true"),
    "sha256": fresh("--bare", "--object-format=sha256"),
    "shared clone": sharing_clone,
    "tuned clone": tuned_clone,
}
_UUID = re.compile("[0-9a-f]{8}-[0-9a-f-]{27}")
_TIME = re.compile(r"timestamp=\d+s")


def state(path: Path) -> dict[str, str]:
    """All that initialising leaves, without uuids and times."""
    annex_dir = path / ("annex" if (path / "HEAD").exists() else ".git/annex")
    common = annex_dir.parent
    config = git("-C", path, "config", "--list", "--local").splitlines()
    found = {"config": "\n".join(sorted(config))}
    found["tree"] = git("-C", path, "ls-tree", "-r", "--name-only", "git-annex")
    for log in [*annex_dir.glob("journal*/*"), common / "info/attributes"]:
        if log.is_file() and log.stat().st_size:
            found[str(log.relative_to(common))] = log.read_text().lstrip()
    for script in (common / "hooks").iterdir():
        if script.suffix != ".sample":
            found[script.name] = script.read_text() + filemode(script.stat().st_mode)
    for name in (".", "sentinal", "sentinal.cache", "journal", "journal.lck"):
        if (annex_dir / name).exists():
            found[f"{name} mode"] = filemode((annex_dir / name).stat().st_mode)
    return {n: _anonymous(text) for n, text in found.items()}


def _anonymous(text: str) -> str:
    # Logs are sorted by uuid.
    return "\n".join(sorted(_TIME.sub("T", _UUID.sub("U", text)).splitlines()))


@pytest.mark.parametrize("kind", REPOSITORIES)
def test_all_is_as_git_annex_shell_leaves_it(
    current: Client, tmp_path: Path, kind: str
) -> None:
    states = []
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        home = tmp_path / name
        write_identity(home)
        path = REPOSITORIES[kind](home)
        env = environment(home)
        if name == "ours":
            done = run_shell("configlist", str(path), "--", "autoinit=1", env=env)
            assert done.returncode == 0, done.stderr
        else:
            run(
                [current.shell, "configlist", path, "--", "autoinit=1"],
                cwd=home,
                env=env,
            )
        states.append(
            {n: text.replace(str(home), "") for n, text in state(path).items()}
        )
    assert states[0] == states[1]
