"""Tables of cases: one test for all rows, since each test costs more than a tiny case."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

Test = Callable[..., None]


def each(rows: Collection[Any]) -> Callable[[Test], Callable[[], None]]:
    """Call the test with every row; a failure says with which one."""
    return _looped(rows, lambda test, row: test(row))


def each_of(rows: Collection[tuple[Any, ...]]) -> Callable[[Test], Callable[[], None]]:
    """The same with rows of several arguments."""
    return _looped(rows, lambda test, row: test(*row))


def _looped(
    rows: Collection[Any], call: Callable[[Test, Any], None]
) -> Callable[[Test], Callable[[], None]]:
    assert rows, "a table without rows tests nothing"

    def decorated(test: Test) -> Callable[[], None]:
        # Not functools.wraps: the arguments would be taken for fixtures.
        def all_rows() -> None:
            for row in rows:
                try:
                    call(test, row)
                except BaseException as error:
                    error.add_note(f"with {row!r:.1000}")
                    raise

        all_rows.__name__ = test.__name__
        all_rows.__doc__ = test.__doc__
        return all_rows

    return decorated
