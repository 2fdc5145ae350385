"""Waiting for a condition, instead of sleeping for a fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

POLL_S = 0.02


class NotInTimeError(AssertionError):
    """A condition did not become true before its deadline."""


def until(
    predicate: Callable[[], T],
    deadline_s: float,
    description: str,
    *,
    ignoring: tuple[type[Exception], ...] = (),
) -> T:
    """Call `predicate` until it returns a true value, and return that value.

    Args:
        predicate: the condition, called at least once, even with a deadline of zero.
        deadline_s: the seconds until the test fails.
        description: the description of the condition, which follows "not within 5 s: " in the message.
        ignoring: the errors that count as "not yet"; the message contains the last one.

    Raises:
        NotInTimeError: the condition was not met; the message has the description and the last result.
    """
    started = time.monotonic()
    while True:
        last_result: object
        try:
            result = predicate()
            if result:
                return result
            last_result = result
        except ignoring as error:
            last_result = error
        if time.monotonic() - started >= deadline_s:
            raise _not_in_time(description, deadline_s, last_result)
        time.sleep(POLL_S)


@overload
async def until_async(
    predicate: Callable[[], Awaitable[T]],
    deadline_s: float,
    description: str,
    *,
    ignoring: tuple[type[Exception], ...] = (),
) -> T: ...
@overload
async def until_async(
    predicate: Callable[[], T],
    deadline_s: float,
    description: str,
    *,
    ignoring: tuple[type[Exception], ...] = (),
) -> T: ...
async def until_async(
    predicate: Callable[[], object],
    deadline_s: float,
    description: str,
    *,
    ignoring: tuple[type[Exception], ...] = (),
) -> object:
    """Wait like `until` in a running event loop; `predicate` may be a coroutine function."""
    started = time.monotonic()
    while True:
        last_result: object
        try:
            returned = predicate()
            result: object = await returned if inspect.isawaitable(returned) else returned
            if result:
                return result
            last_result = result
        except ignoring as error:
            last_result = error
        if time.monotonic() - started >= deadline_s:
            raise _not_in_time(description, deadline_s, last_result)
        await asyncio.sleep(POLL_S)


def _not_in_time(description: str, deadline_s: float, last_result: object) -> NotInTimeError:
    return NotInTimeError(f"not within {deadline_s:g} s: {description} (last result: {last_result!r})")
