"""annexshell-admin's commands on preferred content leave what git-annex's leave.

Each step is done by git-annex in one copy of a repository and by annexshell-admin in the
other, taking turns; after that both are asked by both programs. Where annexshell-admin
deliberately differs a test says so.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.interop.test_admin import OURS, THEIRS, Pair, admin, doubled, said
from tests.support.client import Client, Repo
from tests.support.world import World

LOGS = ("preferred-content.log", "required-content.log", "maxsize.log", "group.log",
        "group-preferred-content.log")  # fmt: skip
OTHER = "00000000-0000-4000-8000-000000000007"
_CLOCK = re.compile(r"^[\d.]+s |timestamp=[\d.]+s$", re.MULTILINE)
ODD = "\x1b]0;x\x07\té\udcff"
"""What a terminal would obey, and what is no UTF-8."""


def logs(repo: Repo) -> dict[str, dict[str, str]]:
    """Each subject's newest line, which both programs have to spell alike.

    Lines that lost are not looked at: committing what we journal does not take them away.
    """
    found: dict[str, dict[str, str]] = {}
    for name in LOGS:
        text = repo.git("show", f"git-annex:{name}", check=False).out
        clocks: dict[str, tuple[float, str]] = {}
        for line in text.splitlines():
            clock = _CLOCK.search(line)
            time = float(clock[0].strip("timesap= ")) if clock else -1.0
            new = name.startswith(("maxsize", "group-"))
            subject = line.split(" ")[1 if new else 0]
            clocks[subject] = max((time, line), clocks.get(subject, (-2.0, "")))
        found[name] = {subject: line for subject, (_, line) in clocks.items()}
    return found


def meaning(repo: Repo) -> dict[str, list[str]]:
    """The logs without their clocks."""
    return {
        name: sorted(_CLOCK.sub("", line) for line in lines.values())
        for name, lines in logs(repo).items()
    }


def as_json(repo: Repo, program: str, *words: str) -> Any:
    return json.loads(admin(repo, program, *words, "--json").out)


def tip(repo: Repo) -> str:
    return repo.git("rev-parse", "git-annex").out


@pytest.fixture
def estate(world: World, current: Client, place: Path) -> Pair:
    """A repository with a remote, two special remotes, and lines that others wrote."""
    top = place / "one"
    repo = Repo.create(world, current, top / "gw", bare=True)
    node = Repo.create(world, current, top / "node", bare=True)
    repo.git("remote", "add", "node", "../node")
    repo.git("config", "remote.node.annex-uuid", node.uuid)
    for name in ("d1", "d2"):
        (place / name).mkdir()
        repo.annex("initremote", name, "type=directory", f"directory={place / name}",
                   "encryption=none")  # fmt: skip
        repo.annex("describe", name, "a directory")
    journal = repo.path / "annex/journal"
    journal.mkdir(exist_ok=True)
    (journal / "group.log").write_bytes(
        b"%b  b   a timestamp=1s\nu3\nu4 \xff timestamp=1.50s\n" % OTHER.encode()
    )
    (journal / "maxsize.log").write_bytes(b"1s %b 0x10\n" % OTHER.encode())
    (journal / "preferred-content.log").write_bytes(b"u5  bogus  x timestamp=1s\nu6\n")
    repo.annex("merge")
    return doubled(world, current, place)


SETTING: tuple[tuple[str, ...], ...] = (
    ("wanted", ".", "include=*.mp3  or (not copies=A:2)"),
    ("wanted", "node", "groupwanted and include=été*"),
    ("wanted", "d1", "  present\tand anything "),
    ("wanted", "here", ""),
    ("required", "d1", "include=req*"),
    ("required", "d1", ""),
    ("group", ".", "backup"),
    ("group", "node", "A"),
    ("group", "node", "été\t'"),
    ("ungroup", ".", "backup"),
    ("ungroup", "node", "été\t'"),
    ("groupwanted", "A", "standard or fullybalanced=A:lackingcopies"),
    ("groupwanted", "A", ""),
    ("maxsize", "d1", "10 foo"),
    ("maxsize", "d1", "1.5tb"),
    ("maxsize", ".", "0x10kib"),
    ("wanted", "node", "foo and copies=x"),
    ("groupwanted", "A", "balanced=A:x"),
    ("wanted", "nobody", "anything"),
    ("group", "a directory", "A"),
)


def outcome(repo: Repo, program: str, words: tuple[str, ...]) -> tuple[int, list[str]]:
    """The exit code, and what is on stdout if that is 0; errors have their own words."""
    code, out, _ = said(admin(repo, program, *words, check=False))
    lines = out.splitlines()
    return code, [] if code else lines


def test_both_programs_set_the_same(estate: Pair) -> None:
    pair, failed = estate, 0
    for number, words in enumerate(SETTING):
        clock = f"{5000 + 10 * number}s"
        pair = Pair(pair.world, pair.client, pair.places[::-1])
        first, second = pair.repos("gw")
        for repo in (first, second):
            repo.env["GIT_ANNEX_VECTOR_CLOCK"] = clock
        theirs, ours = outcome(first, THEIRS, words), outcome(second, OURS, words)
        assert theirs == ours, words
        assert of_now(first, clock) == of_now(second, clock), words
        assert (meant := meaning(first)) == meaning(second), words
        failed += theirs[0] != 0
        before = tip(first)
        assert outcome(first, OURS, words) == ours
        assert tip(first) == before, "what is set already is not written again"
        assert outcome(second, THEIRS, words) == theirs
        assert meaning(second) == meant
        assert_shown_alike(second, words[0], words[1])
    assert failed == 5
    assert all(logs(pair.repos("gw")[0]).values())


def of_now(repo: Repo, clock: str) -> list[str]:
    """The lines that the last step wrote."""
    found = (line for lines in logs(repo).values() for line in lines.values())
    return sorted(line for line in found if clock in line)


def assert_shown_alike(repo: Repo, command: str, name: str) -> None:
    words = ("group" if command == "ungroup" else command, name)
    (code, theirs), (same, ours) = (outcome(repo, p, words) for p in (THEIRS, OURS))
    assert code == same
    assert [line.expandtabs(1) for line in theirs] == [
        line.replace("\\t", " ") for line in ours
    ]


def test_both_show_how_full_repositories_are(estate: Pair) -> None:
    [repo, _] = estate.repos("gw")
    uuids = [repo.git("config", f"remote.{name}.annex-uuid").out.strip()
             for name in ("d1", "d2", "node")]  # fmt: skip
    sizes = {"d1": "2000", "d2": "7", "node": "1.5TB", ".": "0"}
    for name, size in sizes.items():
        admin(repo, OURS, "maxsize", name, size)
    keys = (950, 0), (10, 1), (12345678901, 2), (950, 2)
    for number, (bytes_, at) in enumerate(keys):
        repo.annex("setpresentkey", f"WORM-s{bytes_}--{number}", uuids[at], "1")
    repo.annex("dead", OTHER, check=False)
    for words in (("maxsize",), ("maxsize", "--bytes")):
        theirs, ours = (
            said(admin(repo, program, *words)) for program in (THEIRS, OURS)
        )
        assert theirs[:2] == ours[:2]
        assert ">100%" in ours[1] and " 48%" in ours[1]
    for name in sizes:
        words = ("maxsize", name)
        assert outcome(repo, THEIRS, words) == outcome(repo, OURS, words)
    tables = [as_json(repo, p, "maxsize")["repositories"] for p in (THEIRS, OURS)]
    assert tables[0] == tables[1]


NAMES = ("here", ".", "node", "d1", "a directory", "gw", "other", "nobody", "twice",
         OTHER, "Node", "")  # fmt: skip


def test_both_mean_the_same_repository(estate: Pair) -> None:
    [repo, _] = estate.repos("gw")
    repo.annex("describe", "here", "gw")
    journal = repo.path / "annex/journal"
    lines = [f"{OTHER} other", "u8 twice", "u9 twice", "u10 node"]
    text = "".join(f"{line} timestamp=3s\n" for line in lines)
    (journal / "uuid.log").write_text(repo.git("show", "git-annex:uuid.log").out + text)
    uuids = [repo.uuid, OTHER, "u8", "u9", "u10"]
    uuids += [repo.git("config", f"remote.{n}.annex-uuid").out.strip()
              for n in ("d1", "d2", "node")]  # fmt: skip
    wanted = "".join(f"{uuid} include=x{uuid} timestamp=3s\n" for uuid in uuids)
    (journal / "preferred-content.log").write_text(wanted)
    repo.annex("merge")
    found = {}
    for name in NAMES:
        found[name] = outcome(repo, OURS, ("wanted", name))
        assert found[name] == outcome(repo, THEIRS, ("wanted", name)), name
    assert found["other"] == (0, [f"include=x{OTHER}"])
    assert found["twice"][0] == found["a directory"][0] == 1


def test_what_git_annex_breaks_the_logs_with(estate: Pair) -> None:
    """The end of a line in an expression; a space in the name of a group."""
    first, second = estate.repos("gw")
    text = "include=*.mp3\nor present"
    admin(first, THEIRS, "wanted", "node", text)
    admin(second, OURS, "wanted", "node", text)
    assert outcome(first, THEIRS, ("wanted", "node")) == (0, ["include=*.mp3"])
    for program in (THEIRS, OURS):
        shown = outcome(second, program, ("wanted", "node"))
        assert shown == (0, ["include=*.mp3 or present"])
    before = logs(second)
    for words in (("groupwanted", "a b", "anything"), ("group", "node", "a b"),
                  ("groupwanted", "", "anything"), ("group", "node", "")):  # fmt: skip
        assert outcome(first, THEIRS, words)[0] == 0
        done = admin(second, OURS, *words, check=False)
        assert done.code == 1
        assert "cannot be the name of a group" in done.err
    assert logs(second) == before


def test_what_git_annex_takes_and_fails_at_later(estate: Pair) -> None:
    first, second = estate.repos("gw")
    before = logs(second)
    for words in (("wanted", "node", "include=[b-a]"), ("maxsize", "d1", "-5"),
                  ("maxsize", "d1", "1e400")):  # fmt: skip
        options = (words[0], "--", *words[1:])
        assert outcome(first, THEIRS, options)[0] == 0
        assert outcome(second, OURS, options)[0] == 1
    assert logs(second) == before


def test_texts_that_a_terminal_would_obey(estate: Pair) -> None:
    [repo, _] = estate.repos("gw")
    text = f"include={ODD.replace(chr(9), '')}"
    admin(repo, OURS, "wanted", "node", text)
    lines = "".join(logs(repo)["preferred-content.log"].values())
    assert f" {text} timestamp=" in lines
    done = admin(repo, OURS, "wanted", "node")
    assert done.out == "include=\\x1b]0;x\\x07é\\xff\n"
    found = as_json(repo, OURS, "wanted", "node")
    assert found["expression"] == "include=\x1b]0;x\x07é\\xff"


def test_clocks_are_newer_than_what_is_there(estate: Pair) -> None:
    first, second = estate.repos("gw")
    for repo in (first, second):
        repo.env["GIT_ANNEX_VECTOR_CLOCK"] = "20s"
        repo.annex("wanted", "node", "present")
        repo.annex("numcopies", "2")
    for expression in ("anything", "nothing"):
        admin(first, THEIRS, "wanted", "node", expression)
        admin(second, OURS, "wanted", "node", expression)
        assert logs(first) == logs(second)
    lines = logs(second)["preferred-content.log"].values()
    assert any(line.endswith(" nothing timestamp=22s") for line in lines)


EXPLAINED = ("include=*.mp3 or copies=2", "not present", "standard",
             "groupwanted and largerthan=2", "balanced=A", "")  # fmt: skip


def test_what_is_explained_is_what_git_annex_decides(
    world: World, current: Client, place: Path
) -> None:
    repo = Repo.create(world, current, place / "own")
    names = ("n1", "n2", "n3")
    for name in names:
        (place / name).mkdir()
        repo.annex("initremote", name, "type=directory", f"directory={place / name}",
                   "encryption=none")  # fmt: skip
        repo.annex("group", name, "A")
    repo.annex("group", "n1", "archive")
    repo.annex("groupwanted", "A", "anything")
    repo.annex("maxsize", "n2", "10")
    n3 = repo.git("config", "remote.n3.annex-uuid").out.strip()
    files = {"a.mp3": "WORM-s1--k", "b.mp3": "WORM-s50--k", "c": "WORM-s5--k"}
    for file, key in files.items():
        repo.annex("fromkey", "--force", key, file)
        repo.annex("setpresentkey", key, n3, "1")
    answers = set()
    for expression in EXPLAINED:
        for name in names:
            admin(repo, OURS, "wanted", name, expression)
        nodes = [word for name in names for word in ("--node", name)]
        theirs = {name: repo.annex("find", "--include=*", f"--want-get-by={name}").out
                  for name in names}  # fmt: skip
        for file, key in files.items():
            words = ("wanted", "explain", key, "--file", file, *nodes)
            for found in as_json(repo, OURS, *words)["nodes"]:
                name, wanted = found["name"], found["explanation"]["wanted"]
                # A cluster gives everything to who says nothing, `find` gives nothing.
                expected = file in theirs[name].split() or found["by"] == "default"
                assert wanted == expected, (expression, name, file)
                answers.add((name, wanted))
    assert len(answers) == 2 * len(names)
