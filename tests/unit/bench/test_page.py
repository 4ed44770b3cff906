"""docs/benchmarks.md as it is made from results."""

from __future__ import annotations

from pathlib import Path

from tests.bench import page, prose
from tests.bench.ratios import Cost
from tests.bench.results import Results
from tests.bench.table import HEADER, figure, line
from tests.support.rows import each_of
from tests.unit.bench.made import comparison, results

MIB = 1 << 20
MISSED = comparison(costs=(Cost(0.1, 3, 8 * MIB),), base=(Cost(0.2, 4, 10 * MIB),))
PUT = comparison(
    row="PUT, local",
    costs=(Cost(0.1, 1, 8 * MIB),),
    base=(Cost(0.4, 4 * 256 * MIB / 2e9, 8 * MIB),),
)
CLIENT = comparison(
    "Real client",
    "one file of 500 MB",
    "annexshell, proxied",
    reference="annexshell, direct",
    costs=(Cost(1.01),),
    base=(Cost(1),),
)


def test_a_table_tells_ratios_verdicts_and_what_both_took() -> None:
    text = page.text(results(MISSED), "")
    (row,) = [part for part in text.splitlines() if part.startswith("| GET, local | a")]
    assert row.split(" | ")[2:] == [
        "0.500 (0.500 to 0.500) **met** (≤ 0.6)",
        "100 / 200",
        "0.750 (0.750 to 0.750) **missed** (≤ 0.25)",
        "3000 / 4000",
        "0.800 (0.800 to 0.800) **met** (≤ 0.8)",
        "8.00 / 10.0 |",
    ]


def test_tables_have_as_many_cells_in_every_line() -> None:
    text = page.text(results(MISSED, PUT, CLIENT), "")
    for table in text.split("\n\n"):
        lines = [part for part in table.splitlines() if part.startswith("|")]
        assert len({part.count("|") for part in lines}) <= 1, table


def test_the_summary_counts_and_says_by_how_much() -> None:
    text = page.text(results(MISSED), "")
    assert "\n2 of 3 met.\n" in text
    assert "| GET, local: annexshell, warm | processor | 0.750 | 0.25 | 200 % |" in text
    assert "Not measured in this run: Large content: PUT, cluster… (processor" in text


def test_other_references_are_named() -> None:
    text = page.text(results(CLIENT), "")
    row = "| one file of 500 MB | annexshell, proxied / annexshell, direct | 1.01 ("
    assert row in text and "1.01 to 1.01) **met** (≤ 1.02)" in text


def test_the_floor_is_hashing_beside_all_of_the_other_program() -> None:
    assert "\n- PUT, local: floor 0.250\n" in page.text(results(PUT), "")
    slow = Results({}, {"large": "256"}, (PUT,))
    assert "floor 0" not in page.text(slow, "")


def test_machine_and_amounts_are_told() -> None:
    text = page.text(results(MISSED), "")
    assert "| Processor | a made one |" in text and "times 3, large 256." in text


def test_notes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    page.write(results(MISSED), path)
    first = path.read_text()
    assert first.endswith(f"{prose.NO_NOTES}\n")
    notes = "PUT hashes.\n\n### More\n\nAnd more."
    path.write_text(first.replace(prose.NO_NOTES, notes))
    page.write(results(CLIENT), path)
    again = path.read_text()
    assert again.endswith(f"{prose.NOTES_HEADING}\n\n{notes}\n")
    assert "GET, local: annexshell" not in again and "one file of 500 MB" in again


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    made = results(MISSED, PUT, CLIENT)
    made.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == made


def test_a_line_on_the_terminal_fits_below_the_header() -> None:
    told = line(MISSED)
    assert told.startswith("GET, local: annexshell, warm ")
    assert told.endswith("  MISSED: cpu 0.750 > 0.25")
    assert len(told) - len("MISSED: cpu 0.750 > 0.25") - 2 <= len(HEADER)
    assert line(CLIENT).endswith("  met")
    assert "met" not in line(comparison("Fan-out", "PUT to 2 nodes"))


@each_of([(1234.5, "1234"), (99.94, "99.9"), (1.006, "1.01"), (0.0416, "0.042")])
def test_figures(value: float, told: str) -> None:
    assert figure(value) == told
