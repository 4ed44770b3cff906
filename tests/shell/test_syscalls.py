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
    ("local", "PUT"): (183, 8),
    ("local", "CHECKPRESENT"): (8, 0),
    ("local", "GET"): (30, 0),
    ("local", "LOCKCONTENT"): (81, 2),
    ("local", "REMOVE"): (136, 3),
    ("local", "PUT a MiB"): (30, 7),
    ("local", "GET a MiB"): (8, 1.5),
    ("proxied", "PUT"): (227, 10),
    ("proxied", "CHECKPRESENT"): (11, 0),
    ("proxied", "GET"): (33, 0),
    ("proxied", "LOCKCONTENT"): (83, 2),
    ("proxied", "REMOVE"): (186, 5),
    ("proxied", "PUT a MiB"): (33, 7.2),
    ("proxied", "GET a MiB"): (8, 1.5),
    ("cluster", "PUT"): (500, 18),
    ("cluster", "CHECKPRESENT"): (42, 0),
    ("cluster", "GET"): (71, 0),
    ("cluster", "LOCKCONTENT"): (7, 0),
    ("cluster", "REMOVE"): (338, 8),
    ("cluster", "PUT a MiB"): (71, 12),
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
