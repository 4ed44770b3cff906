"""make bench: annexshell beside git-annex-shell, in the same interleaved run.

git-annex-shell is called through a link to the program itself, not through the Python script
that PyPI puts around it; annexshell is called as ``make install`` installs it. A ratio below 1
means that annexshell needs less.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import asdict
from importlib import import_module

from tests.bench import table
from tests.bench.machine import facts
from tests.bench.measure import Row
from tests.bench.options import Options, parse
from tests.bench.resident import NoResident
from tests.bench.results import Results
from tests.bench.running import NotInstalled, chosen, compare, prepared, rows


def measure(options: Options) -> Results:
    """Measure what was chosen; print each row, and keep it, as soon as it is done.

    What was measured is not lost when sessions are no longer warm, or the run is
    interrupted: "stopped" says so.
    """
    told = {name: str(value) for name, value in asdict(options.amounts).items()}
    told |= {"only": options.only, "sessions": "cold" if options.cold else "warm"}
    with prepared(cold=options.cold) as (ground, stack):
        machine = facts(ground.client, ground.world.place)
        print("\n".join(f"{name}: {value}" for name, value in machine.items()))
        print(table.HEADER, flush=True)
        wanted = (
            row
            for row in rows(ground, options.amounts, stack)
            if chosen(row, options.only)
        )
        results = Results(machine, told, ())
        try:
            for row in wanted:
                _begin(row, results)
                results = results.with_more(compare(row, options.amounts.times))
                tell(row, results, options)
        except NoResident as reason:
            return results.stopped(str(reason))
    return results


def _begin(row: Row, results: Results) -> None:
    last = results.comparisons[-1:]
    if not last or row.group != last[0].group:
        print(f"\n{row.group} (beside git-annex-shell, or as it says)", flush=True)


def tell(row: Row, results: Results, options: Options) -> None:
    """Print the row, the last of the results, and keep all there are as ``--json`` says."""
    for comparison in results.comparisons[-len(row.names) * len(row.pairs) :]:
        print(table.line(comparison), flush=True)
    if options.json is not None:
        results.stopped("interrupted").write(options.json)


def keep(results: Results, options: Options) -> None:
    """Write what the options ask for."""
    if options.json is not None:
        results.write(options.json)
    if options.plot is not None:
        from tests.bench.plot import draw

        draw(results, options.plot)
    if options.page is not None:
        from tests.bench.page import write
        from tests.bench.plot import draw

        write(results, options.page)
        draw(results, options.page.with_suffix(".svg"))


def main() -> int:
    options = parse()
    # So that the resident, the ssh server and all repositories go with us.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if options.draws:
        import_module("matplotlib")  # fails before the run rather than after it
    try:
        if options.source is None:
            results = measure(options)
        else:
            results = Results.read(options.source)
    except (NoResident, NotInstalled) as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    keep(results, options)
    if "stopped" in results.options:
        print(f"bench: stopped: {results.options['stopped']}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
