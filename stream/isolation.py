"""Isolation of faulty items: a function of many items is applied so that one faulty item fails alone."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from stream.errors import is_fault_of_record

T = TypeVar("T")
R = TypeVar("R")


def isolate(
    work: Callable[[Sequence[T]], Sequence[R]],
    items: Sequence[T],
    on_failure: Callable[[T, BaseException], R],
) -> Sequence[R]:
    """Apply a function to many items at once; after a failure, halve them until each faulty item is alone.

    Without a failure this costs one call. One faulty item among n costs about 2 log2(n) further calls.

    Args:
        work: returns one result for each item, in order.
        items: the items.
        on_failure: returns the result of an item that makes `work` fail, given the item and the error.

    Raises:
        BaseException: an error that is not the fault of a record. See `stream.errors.is_fault_of_record`.
    """
    try:
        return checked_results(work(items), len(items))
    except BaseException as exc:
        if not items or not is_fault_of_record(exc):
            raise
        if len(items) == 1:
            return [on_failure(items[0], exc)]
    half = len(items) // 2
    return [*isolate(work, items[:half], on_failure), *isolate(work, items[half:], on_failure)]


def checked_results(results: Sequence[R], count: int) -> Sequence[R]:
    """Return results, which must be as many as the items.

    Raises:
        ValueError: a function returned another number of results.
    """
    if len(results) != count:
        raise ValueError(f"{len(results)} results for {count} items")
    return results


def is_exit(error: BaseException) -> bool:
    """Return True for cancellation and for the exit of the process: a task that meets them must end."""
    return not isinstance(error, Exception) and not is_fault_of_record(error)
