"""How many system calls a request costs, at most (tests/support/syscalls.py).

To lower the ceilings after something got leaner, put what
``python -m tests.support.syscalls`` prints in place of the tables' rows. What raises one
needs a reason.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.syscalls import A_MIB, TOPOLOGIES, make_home, measured, need_strace

#: For a small request: calls, and of those that sync to the disk, which are not among them.
#: For a MiB of large content: calls, and of those the ones that wait to be woken.
CEILINGS: dict[tuple[str, str], tuple[float, float]] = {
    ("local", "PUT"): (126, 7),
    ("local", "CHECKPRESENT"): (7, 0),
    ("local", "GET"): (26, 0),
    ("local", "LOCKCONTENT"): (43, 2),
    ("local", "REMOVE"): (48, 2),
    ("local", "PUT a MiB"): (28, 5),
    ("local", "GET a MiB"): (8, 1.5),
    ("proxied", "PUT"): (147, 9),
    ("proxied", "CHECKPRESENT"): (7, 0),
    ("proxied", "GET"): (26, 0),
    ("proxied", "LOCKCONTENT"): (43, 2),
    ("proxied", "REMOVE"): (75, 4),
    ("proxied", "PUT a MiB"): (30, 5),
    ("proxied", "GET a MiB"): (8, 1.5),
    ("cluster", "PUT"): (346, 16),
    ("cluster", "CHECKPRESENT"): (21, 0),
    ("cluster", "GET"): (44, 0),
    ("cluster", "LOCKCONTENT"): (6, 0),
    ("cluster", "REMOVE"): (151, 6),
    ("cluster", "PUT a MiB"): (45, 8),
    ("cluster", "GET a MiB"): (8, 1.5),
}


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_no_request_costs_more_than_it_may(tmp_path: Path, topology: str) -> None:
    need_strace()
    costs = measured(make_home(tmp_path.resolve()), topology)
    assert costs.keys() == {row for row in CEILINGS if row[0] == topology}
    dear = {}
    for row, cost in costs.items():
        second = cost.waits if row[1].endswith(A_MIB) else cost.syncs
        calls, other = CEILINGS[row]
        if cost.calls > calls or second > other:
            dear[row] = f"{cost}, where {calls} calls and {other} are allowed"
    assert not dear, dear
