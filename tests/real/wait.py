"""Waiting until something is true, in place of sleeping for a time that is always too short or too long."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")

POLL_S = 0.02


class NotInTimeError(AssertionError):
    """What a test awaited did not come about before its deadline."""


def until(
    predicate: Callable[[], T], deadline_s: float, what: str, *, ignoring: tuple[type[Exception], ...] = ()
) -> T:
    """Call `predicate` until it returns something true, and return that.

    Args:
        predicate: asked at least once, also with a deadline of zero.
        deadline_s: seconds until the test fails.
        what: what is awaited, as it should read after "not within 5 s: ".
        ignoring: errors that mean "not yet"; the last one is told when the time is up.

    Raises:
        NotInTimeError: with `what` and the last thing seen.
    """
    started = time.monotonic()
    while True:
        seen: object
        try:
            result = predicate()
            if result:
                return result
            seen = result
        except ignoring as error:
            seen = error
        if time.monotonic() - started >= deadline_s:
            raise _late(what, deadline_s, seen)
        time.sleep(POLL_S)


async def until_async(
    predicate: Callable[[], Awaitable[T]] | Callable[[], T],
    deadline_s: float,
    what: str,
    *,
    ignoring: tuple[type[Exception], ...] = (),
) -> T:
    """`until` for a running event loop; `predicate` may be a coroutine function."""
    started = time.monotonic()
    while True:
        seen: object
        try:
            answer = predicate()
            result = cast("T", await answer if inspect.isawaitable(answer) else answer)
            if result:
                return result
            seen = result
        except ignoring as error:
            seen = error
        if time.monotonic() - started >= deadline_s:
            raise _late(what, deadline_s, seen)
        await asyncio.sleep(POLL_S)


def _late(what: str, deadline_s: float, seen: object) -> NotInTimeError:
    return NotInTimeError(f"not within {deadline_s:g} s: {what} (last seen: {seen!r})")
