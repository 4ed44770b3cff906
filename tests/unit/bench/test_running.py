"""In what order rows run, and which; options; facts of machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.__main__ import tell
from tests.bench.contenders import THEIRS, Contender, install_launchers, sides
from tests.bench.machine import file_system, has_sha, processor
from tests.bench.measure import Row, interleaved
from tests.bench.options import parse
from tests.bench.ratios import Cost
from tests.bench.results import Results
from tests.bench.rows import QUICK
from tests.bench.running import chosen, compare
from tests.bench.targets import COLD, WARM
from tests.support.world import ROOT
from tests.unit.bench.made import comparison, results

SIDES = sides("/ours", "/theirs", warm=True)


def test_every_round_begins_with_another_one_after_one_that_does_not_count() -> None:
    ran = []

    def once(contender: Contender) -> list[Cost]:
        ran.append(contender.name)
        return [Cost(len(ran))]

    costs = interleaved([SIDES.cold, SIDES.theirs], 3, once)
    assert ran == [COLD, THEIRS] + [COLD, THEIRS, THEIRS, COLD, COLD, THEIRS]
    assert costs[COLD] == [[Cost(3)], [Cost(6)], [Cost(7)]]


def test_none_always_comes_after_the_same_one() -> None:
    contenders = [Contender(name, "/program") for name in "abcd"]
    ran: list[str] = []

    def once(contender: Contender) -> list[Cost]:
        ran.append(contender.name)
        return [Cost(1)]

    interleaved(contenders, 4, once)
    counted = ran[len(contenders) :]
    assert "".join(counted) == "abcdbadccdabdcba"
    for name in "abcd":
        after = {one for one, next_ in zip(ran[3:], counted) if next_ == name}
        assert len(after - {name}) >= 2, (name, after)


def test_comparisons_pair_the_runs_of_each_name() -> None:
    def once(contender: Contender) -> list[Cost]:
        factor = 2 if contender == SIDES.theirs else 1
        return [Cost(factor), Cost(10 * factor * factor)]

    pairs = [(SIDES.cold, SIDES.theirs), (SIDES.usual, SIDES.theirs)]
    row = Row("G", ["a", "b"], pairs, lambda: once, runs=0.1)
    found = list(compare(row, 7))
    assert [(one.row, one.subject) for one in found] == [
        *(("a", COLD), ("a", WARM), ("b", COLD), ("b", WARM)),
    ]
    assert [len(one.costs) for one in found] == [3] * 4
    assert [one.medians("wall") for one in found] == [(1, 2)] * 2 + [(10, 40)] * 2


def test_each_row_is_kept_as_soon_as_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    found = results(comparison(row="a"))
    for name in ("b", "c"):
        found = found.with_more([comparison(row=name)])
        tell(
            Row("G", [name], [], lambda: lambda contender: []),
            found,
            parse(["--json", str(path)]),
        )
        kept = Results.read(path)
        assert kept == found.stopped("interrupted") != found
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert [one.row for one in kept.comparisons] == ["a", "b", "c"]


def test_rows_are_chosen_by_any_of_their_names_with_or_without_the_group() -> None:
    row = Row("Start", ["first", "second"], [], lambda: lambda contender: [])
    for pattern in ("*", "second", "Start: fir*", "Start*"):
        assert chosen(row, pattern)
    assert not chosen(row, "third") and not chosen(row, "Large*")


def test_without_a_resident_nothing_is_called_warm() -> None:
    cold = sides("/ours", "/theirs", warm=False)
    assert cold.starts == [cold.cold] and cold.usual == cold.cold
    assert not cold.unsynced.warm and "warm" not in cold.unsynced.name
    assert SIDES.usual.warm and SIDES.unsynced.warm and not SIDES.theirs.warm
    assert SIDES.unsynced.settings["annexshell.fsync"] == "false"
    assert SIDES.usual.settings["annexshell.fsync"] == "true"


def test_ways_keep_the_program_apart() -> None:
    direct = SIDES.usual.going("direct")
    assert (direct.name, direct.way, direct.ours) == (
        "annexshell, direct",
        "direct",
        True,
    )
    assert not SIDES.theirs.going("direct").ours


def test_launchers_are_the_installed_ones_with_this_checkout(tmp_path: Path) -> None:
    install_launchers(tmp_path)
    text = (tmp_path / "annexshell").read_text()
    assert text.startswith("#!") and " -IS\n" in text
    assert f"sys.path += [{str(ROOT)!r}, " in text


def test_options() -> None:
    quick = parse(["--quick", "--times", "9", "--size", "1"]).amounts
    assert (quick.times, quick.large, quick.crowd) == (9, 1, QUICK.crowd)
    assert not parse([]).draws and parse(["--write", "x.md"]).draws
    with pytest.raises(SystemExit):
        parse(["--times", "many"])


def test_facts_of_machines() -> None:
    intel = "processor\t: 0\nmodel name\t: Some CPU @ 2GHz\nflags\t\t: fpu sha_ni sse\n"
    arm = "processor\t: 0\nFeatures\t: fp sha1 sha2\n"
    assert processor(intel) == "Some CPU @ 2GHz" and processor(arm)
    assert has_sha(intel) and has_sha(arm)
    assert not has_sha(intel.replace("sha_ni", "sha"))
    mounts = (
        "/dev/a / ext4 rw,discard 0 0\ntmpfs /tmp tmpfs rw 0 0\n"
        "/dev/b /tmpfoo xfs rw 0 0\n"
    )
    assert file_system(mounts, Path("/tmp/bench")) == "tmpfs (rw)"
    assert file_system(mounts, Path("/home")) == "ext4 (rw, discard)"
    assert file_system("", Path("/home")) == "unknown"
