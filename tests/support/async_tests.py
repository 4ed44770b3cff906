"""Run a coroutine as a test, with its failure laid bare and a bound on hanging."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import trio
import trio.testing

PATIENCE = 60


def trio_test(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Decorator: the test is run by trio."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def bounded() -> None:
            with trio.fail_after(PATIENCE):
                await test(*args, **kwargs)

        try:
            trio.run(bounded)
        except BaseExceptionGroup as group:
            raise first_of(group) from None

    return run


def clock_test(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Decorator: the test is run by trio, on a clock that jumps on when all tasks wait.

    To wait for a thread is to wait: a deadline may pass then that would not otherwise.
    """

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def bound() -> None:
            await test(*args, **kwargs)

        try:
            trio.run(bound, clock=trio.testing.MockClock(autojump_threshold=0))
        except BaseExceptionGroup as group:
            raise first_of(group) from None

    return run


def first_of(error: BaseException) -> BaseException:
    """The first failure that an exception group holds."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
