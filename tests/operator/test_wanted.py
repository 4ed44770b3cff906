"""What repositories want: set, shown, checked and explained by annexshell-admin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annexshell.cli.admin import main
from tests.support.operators import GATEWAY, N1, N2, N3, Estate, locations, usual
from tests.support.repositories import C1

PREFERRED, REQUIRED = b"preferred-content.log", b"required-content.log"
OF_GROUPS, GROUPS = b"group-preferred-content.log", b"group.log"
ODD = "\x1b]0;x\x07\udcff"


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return usual(tmp_path)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_ANNEX_VECTOR_CLOCK", "5000s")


def run(estate: Estate, *words: str) -> int:
    return main(["-C", str(estate.repo.path), *words])


def told(
    estate: Estate,
    capfdbinary: pytest.CaptureFixture[bytes],
    *words: str,
    code: int = 0,
) -> str:
    """What is on stdout; no control characters but the ends of lines are in it."""
    assert run(estate, *words) == code
    out = capfdbinary.readouterr().out.decode()
    assert all(line.isprintable() for line in out.splitlines())
    return out


def data(
    estate: Estate,
    capfdbinary: pytest.CaptureFixture[bytes],
    *words: str,
    code: int = 0,
) -> Any:
    return json.loads(told(estate, capfdbinary, *words, "--json", code=code))


Capture = pytest.CaptureFixture[bytes]


def old(texts: dict[bytes, str]) -> bytes:
    """A log of the old form."""
    return b"".join(
        b"%b %b timestamp=1000s\n" % (uuid, text.encode("utf-8", "surrogateescape"))
        for uuid, text in texts.items()
    )


# -- setting ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "path", "log"),
    [
        (("wanted", "n1", "present"), PREFERRED, N1 + b" present timestamp=5000s\n"),
        (("required", "here", "a=b"), REQUIRED, None),
        (("required", ".", ""), REQUIRED, GATEWAY + b"  timestamp=5000s\n"),
        (("groupwanted", "A", "standard"), OF_GROUPS, b"5000s A standard\n"),
        (("group", "the second", "A"), GROUPS, N2 + b" A timestamp=5000s\n"),
        (("ungroup", "n1", "A"), GROUPS, None),
        (("maxsize", "n1", "1.5 kB"), b"maxsize.log", b"5000s %b 1500\n" % N1),
        (("wanted", "foo", "nothing"), PREFERRED, None),
        (("wanted", C1.decode(), "nothing"), PREFERRED,
         C1 + b" nothing timestamp=5000s\n"),
    ],
)  # fmt: skip
def test_setting_writes_one_line(
    estate: Estate, words: tuple[str, ...], path: bytes, log: bytes | None
) -> None:
    tip = estate.repo.tip()
    run(estate, words[0], "-n", *words[1:])
    assert estate.repo.tip() == tip
    assert estate.repo.journal() == {}
    run(estate, *words)
    assert estate.repo.show(path) == log
    assert estate.repo.journal() == {}
    tip = estate.repo.tip()
    run(estate, *words)
    assert estate.repo.tip() == tip


def test_the_json_of_a_change(estate: Estate, capfdbinary: Capture) -> None:
    for dry in (True, False):
        words = ["wanted", "n1", "not present", *(["--dry-run"] if dry else [])]
        found = data(estate, capfdbinary, *words)
        assert found.pop("warnings")[0].startswith("present at character 5 is negated")
        assert found == {
            "command": "wanted",
            "dry-run": dry,
            "changed": True,
            "uuid": N1.decode(),
            "expression": "not present",
        }
    assert data(estate, capfdbinary, *words)["changed"] is False
    shown = data(estate, capfdbinary, "wanted", "n1")
    assert shown["expression"] == "not present"


def test_an_expression_of_a_group_may_make_others_useless(
    estate: Estate, capfdbinary: Capture
) -> None:
    logs = {PREFERRED: old({N1: "not groupwanted", N2: "not present"})}
    estate.record({GROUPS: old({N1: "A", N2: "A"}), **logs})
    for more in ((), ("-n",)):
        found = data(estate, capfdbinary, "groupwanted", "A", "present", *more)
        [warning] = found["warnings"]
        assert warning.startswith("n1: groupwanted, which stands for present, at")
    assert data(estate, capfdbinary, "groupwanted", "A", "nothing")["warnings"] == []


def test_what_cannot_be_parsed_changes_nothing(
    estate: Estate, capfdbinary: Capture
) -> None:
    tip = estate.repo.tip()
    assert run(estate, "wanted", "n1", "present or (bad\x1b[2J and copies=1)") == 1
    said = capfdbinary.readouterr().err.decode().splitlines()
    assert 'near "bad\\x1b[2J"' in said[0]
    assert said[1:] == [
        "annexshell-admin: present or (bad?[2J and copies=1)",
        "annexshell-admin:             ^~~~~~~",
    ]
    for words in (("required", "n1", "include=["), ("groupwanted", "A", "copies=x")):
        assert run(estate, *words) == 1
    assert estate.repo.tip() == tip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("wanted", "nobody"), "no repository named"),
        (("wanted", "the same", "present"), "several repositories"),
        (("group", "n1", "a b"), "cannot be the name of a group"),
        (("groupwanted", "a\nb", "present"), "cannot be the name of a group"),
        (("maxsize", "n1", "much"), "is no size"),
        (("maxsize", "n1", "--", "-5"), "less than empty"),
        (("wanted", "new"), "uuid of the remote new is not known"),
        (("wanted", ODD), "no repository named"),
    ],
)
def test_refusals(
    estate: Estate, capfdbinary: Capture, words: tuple[str, ...], message: str
) -> None:
    estate.record({b"uuid.log": old({b"u8": "the same", b"u9": "the same"})})
    estate.repo.git("config", "remote.new.url", "/nowhere")
    assert run(estate, *words) == 1
    said = capfdbinary.readouterr().err.decode().removesuffix("\n")
    assert message in said
    assert said.isprintable()


def test_a_uuid_is_not_hidden_by_a_description(
    estate: Estate, capfdbinary: Capture
) -> None:
    """git-annex would take the repository that is described so."""
    texts = {N1: "n", N2: "n", N3: N2.decode(), b"u5": "check", b"u6": "here"}
    estate.record({b"uuid.log": old(texts), PREFERRED: old({N2: "present"})})
    estate.repo.git("config", "--remove-section", "remote.n2")
    assert told(estate, capfdbinary, "wanted", N2.decode()) == "present\n"
    # A repository that is called like a subcommand.
    assert told(estate, capfdbinary, "wanted", "--", "check", "nothing")
    assert told(estate, capfdbinary, "wanted", "u5") == "nothing\n"
    assert data(estate, capfdbinary, "wanted", "here")["uuid"] == GATEWAY.decode()


def test_options_may_stand_before_the_subcommand(
    estate: Estate, capfdbinary: Capture
) -> None:
    path = str(estate.repo.path)
    for words in (("--json", "-C", path, "check"), ("check", "--json", "-C", path)):
        assert main(["wanted", *words]) == 0
        assert json.loads(capfdbinary.readouterr().out)["wrong"] is False
    assert main(["wanted", "-C", path, "--json", "n1"]) == 0
    assert main(["wanted", "-C", path]) == main(["wanted"]) == 2


# -- checking --------------------------------------------------------------------------------

FAULTS: list[tuple[str, bool, dict[bytes, bytes]]] = [
    ("not-parsed", True, {PREFERRED: old({N1: "anything or bogus"})}),
    ("not-parsed", True, {REQUIRED: old({N1: "include=[b-a]"})}),
    ("not-parsed", True, {OF_GROUPS: b"1s A lackingcopies=x\n"}),
    ("unstable", True, {PREFERRED: old({N1: "not present"})}),
    ("unstable", True,
     {PREFERRED: old({N1: "not groupwanted"}), OF_GROUPS: b"1s A present\n"}),
    ("standard-not-clear", True, {PREFERRED: old({N1: "standard"})}),
    ("groupwanted-not-clear", True, {PREFERRED: old({N1: "groupwanted"})}),
    ("not-a-member", True, {PREFERRED: old({N2: "balanced=A"})}),
    ("group-without-members", True, {PREFERRED: old({N1: "balanced=Z"})}),
    ("group-without-members", False, {PREFERRED: old({N1: "inallgroup=Z"})}),
    ("group-without-members", False, {OF_GROUPS: b"1s Z present\n"}),
    ("member-without-maxsize", True, {PREFERRED: old({N1: "sizebalanced=A"})}),
    ("maxsize-not-positive", False, {b"maxsize.log": b"1s %b 0\n" % N1}),
    ("maxsize-not-positive", True,
     {b"maxsize.log": b"1s %b -5\n" % N1, PREFERRED: old({N1: "balanced=A"})}),
    ("and-after-or", False, {PREFERRED: old({N1: "present or anything nothing"})}),
    ("zero-width", False, {OF_GROUPS: b"1s A include=it's\n"}),
    ("no-expression", False, {GROUPS: old({N1: "archive"})}),
    ("no-expression", False, {OF_GROUPS: b"1s A present\n"}),
    ("no-expression", False,
     {PREFERRED: old({N2: "balanced=B"}), GROUPS: old({N2: "B", N3: "B C"})}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "wrong", "logs"), FAULTS)
def test_faults_are_found(
    estate: Estate,
    capfdbinary: Capture,
    kind: str,
    wrong: bool,
    logs: dict[bytes, bytes],
) -> None:
    estate.record({GROUPS: old({N1: "A"}), **logs})
    found = data(estate, capfdbinary, "wanted", "check", code=int(wrong))
    kinds = [finding["kind"] for finding in found["findings"]]
    if kind != "no-expression" and "no-expression" in kinds:
        kinds.remove("no-expression")  # for a case's sake somebody has none
    assert kinds == [kind]
    assert found["wrong"] is wrong
    assert found["findings"][0]["wrong"] is wrong
    shown = told(estate, capfdbinary, "wanted", "check", code=int(wrong))
    assert found["findings"][0]["message"] in shown
    assert ("^" in shown) == (kind == "not-parsed")


def test_checking_some(estate: Estate, capfdbinary: Capture) -> None:
    estate.record({PREFERRED: old({N1: "standard", N2: "bogus", N3: "bogus"}),
                   b"trust.log": old({N3: "X"})})  # fmt: skip
    found = data(estate, capfdbinary, "wanted", "check", code=1)["findings"]
    assert [(f["where"], f["uuid"]) for f in found] == [
        ("wanted n1", N1.decode()),
        ("wanted n2", N2.decode()),
    ]
    found = data(estate, capfdbinary, "wanted", "check", "n2", code=1)["findings"]
    assert [f["kind"] for f in found] == ["not-parsed"]
    assert told(estate, capfdbinary, "wanted", "check", "here") == "nothing is wrong\n"


# -- explaining ------------------------------------------------------------------------------

KEY = "WORM-s1--a"


def test_who_wants_a_key(estate: Estate, capfdbinary: Capture) -> None:
    estate.record(
        {
            **locations({b"a": (N2,)}),
            GROUPS: old({N1: "archive A"}),
            PREFERRED: old({N1: "standard and include=*.mp3", N2: "not copies=1"}),
            b"maxsize.log": b"1s %b 1500\n" % N2,
        }
    )
    assert told(estate, capfdbinary, "wanted", "explain", KEY, "--file", "x.mp3") == (
        "n1: wants it\n"
        "  wanted: standard and include=*.mp3\n"
        "  standard archive: (not (copies=archive:1 or copies=smallarchive:1)) or"
        " approxlackingcopies=1\n"
        "  decided by: include=*.mp3 (wanted)\n"
    ) + _tree(estate, capfdbinary)
    found = data(estate, capfdbinary, "wanted", "explain", KEY, "--file", "x.ogg")
    assert {n["name"]: n["explanation"]["wanted"] for n in found["nodes"]} == {
        "n1": False,
        "n2": False,
    }
    first, second = found["nodes"]
    assert (first["by"], second["by"]) == ("wanted", "wanted")
    assert second["explanation"]["decided"] == ["copies=1"]
    assert (second["size"], second["maxsize"], second["room"]) == (1, 1500, 1499)
    assert (first["listed"], second["listed"]) == (False, True)
    assert first["maxsize"] is None


def _tree(estate: Estate, capfdbinary: Capture) -> str:
    """What comes after the heading: it is drawn by rich, and terms say why themselves."""
    out = told(estate, capfdbinary, "wanted", "explain", KEY, "--file", "x.mp3")
    _, _, rest = out.partition("decided by: include=*.mp3 (wanted)\n")
    first, _, second = rest.partition("\n\n")
    assert first.splitlines()[0] == "and = true"
    assert sum("<- decides" in line for line in first.splitlines()) == 1
    assert "free below maxsize: 1 kB of 2 kB" in second
    assert second.startswith("n2: does not want it, and has it by the location log\n")
    return rest


def test_where_rebalancing_would_bring_it(estate: Estate, capfdbinary: Capture) -> None:
    """What is balanced stays where it is, unless that is asked for."""
    groups: dict[bytes, str] = {N1: "G", N2: "G"}
    texts = dict.fromkeys(groups, "balanced=G")
    estate.record({GROUPS: old(groups), PREFERRED: old(texts)})
    words = ("wanted", "explain", KEY)

    def wanting(*options: str) -> set[str]:
        nodes = data(estate, capfdbinary, *words, *options)["nodes"]
        return {n["name"] for n in nodes if n["explanation"]["wanted"]} & {"n1", "n2"}

    (picked,) = wanting()
    other = N2 if picked == "n1" else N1
    estate.record(locations({b"a": (other,)}))
    assert wanting() == {"n1", "n2"} - {picked}
    assert wanting("--rebalance") == {picked}
    shown = told(estate, capfdbinary, *words, "--rebalance")
    assert f"picked {picked} of 2" in shown


def test_by_which_expression(estate: Estate, capfdbinary: Capture) -> None:
    estate.record(
        {
            GROUPS: old({N1: "A backup", N2: "A"}),
            OF_GROUPS: b"1s A standard and include=*.mp3\n",
            PREFERRED: old({N1: "groupwanted", N2: "nothing", N3: "bogus \x1b"}),
            REQUIRED: old({N2: "largerthan=0"}),
            b"uuid.log": old({N3: "third", b"u4": "fourth"}),
        }
    )
    words = [w for name in ("n1", "n2", "third", "fourth") for w in ("--node", name)]
    found = data(estate, capfdbinary, "wanted", "explain", KEY, *words)["nodes"]
    assert [(n["explanation"]["wanted"], n["by"]) for n in found] == [
        (False, "groupwanted A"),
        (True, "required"),
        (False, "present"),
        (True, "default"),
    ]
    kinds = [[e["kind"] for e in n["expressions"]] for n in found]
    assert kinds[0] == ["wanted", "groupwanted", "standard"]
    assert kinds[1:] == [["wanted", "required"], ["wanted"], []]
    assert [p["offset"] for p in found[2]["expressions"][0]["problems"]] == [0, 6]
    shown = told(estate, capfdbinary, "wanted", "explain", KEY, *words)
    assert (
        'cannot be parsed, near "bogus": counts as present\n    bogus ?\n    ^~~~~'
        in (shown)
    )
    assert "nothing is configured, so it gets everything" in shown


def test_a_key_that_is_none(estate: Estate, capfdbinary: Capture) -> None:
    assert run(estate, "wanted", "explain", "foo\x1b") == 1
    assert b"bad key (foo\\x1b)" in capfdbinary.readouterr().err


def test_colours_are_for_terminals(
    estate: Estate, capfdbinary: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate.record({PREFERRED: old({N1: "present"})})
    words = ("wanted", "explain", KEY, "--node", "n1")
    assert "\x1b" not in told(estate, capfdbinary, *words)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert run(estate, *words) == 0
    assert b"\x1b[31m" in capfdbinary.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in told(estate, capfdbinary, *words)


# -- what anybody may push -------------------------------------------------------------------

HOSTILE = {
    "long": "include=*.a or " * 20_000 + "present",
    "bad": "bogus " * 50_000,
    "parentheses": "(" * 10_000 + "present" + ")" * 10_000,
    "nots": "not " * 10_001 + "present",
    "globs": "include=[ exclude=[b-a] url=[[:x:]",
    "numbers": "copies=" + "9" * 5000 + " largerthan=" + "9" * 5000,
    "odd": f"include={ODD} or {ODD}",
    "nested": "not (anything and " * 2000 + "present",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_expressions(estate: Estate, capfdbinary: Capture, name: str) -> None:
    text = HOSTILE[name]
    estate.record(
        {
            PREFERRED: old({N1: text, N2: "groupwanted", b"\xff": text}),
            OF_GROUPS: b"1s A %b\n" % text.encode("utf-8", "surrogateescape"),
            GROUPS: old({N2: "A", N1: ODD}),
            b"maxsize.log": b"1s %b %b\n" % (N1, b"9" * 5000),
            b"uuid.log": old({N1: ODD, N2: ODD}),
        }
    )
    for words in (("wanted", "check"), ("wanted", "explain", KEY), ("maxsize",)):
        for more in ((), ("--json",)):
            assert run(estate, *words, *more) in (0, 1)
            out = capfdbinary.readouterr().out.decode()
            assert all(line.isprintable() for line in out.splitlines())
            assert out
    assert told(estate, capfdbinary, "wanted", "n1")


def test_ten_thousand_members(estate: Estate, capfdbinary: Capture) -> None:
    many = {b"u%d" % number: "A" for number in range(10_000)}
    estate.record({GROUPS: old(many), PREFERRED: old({N1: "sizebalanced=A"})})
    found = data(estate, capfdbinary, "wanted", "check", code=1)["findings"]
    kinds = {"not-a-member", "member-without-maxsize", "no-expression"}
    assert {f["kind"] for f in found} == kinds
    assert all(len(f["message"]) < 300 for f in found)
