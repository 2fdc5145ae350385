"""One faulty item among many fails alone, at the cost of a few calls."""

import asyncio
from collections.abc import Sequence
from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import BrokerError, Poison, Reason, is_fault_of_record
from stream.isolation import checked_results, is_exit, isolate


class RustPanic(BaseException):
    """A stand-in for `pyo3_runtime.PanicException`, which is no `Exception` either."""


class Work:
    """A function of many items that fails if one of them is faulty, and counts its calls."""

    def __init__(self, faulty: set[int], error: BaseException) -> None:
        self.faulty = faulty
        self.error = error
        self.calls = 0

    def __call__(self, items: Sequence[int]) -> list[str]:
        self.calls += 1
        if self.faulty.intersection(items):
            raise self.error
        return [f"good {item}" for item in items]


def failed(item: int, error: BaseException) -> str:
    return f"{type(error).__name__} {item}"


@given(st.integers(0, 40), st.sets(st.integers(0, 39)), st.sampled_from([ValueError("x"), RustPanic("x")]))
def test_only_faulty_items_fail_and_results_keep_their_order(
    count: int, faulty: set[int], error: BaseException
) -> None:
    results = isolate(Work(faulty, error), range(count), failed)
    name = type(error).__name__
    assert [*results] == [f"{name} {item}" if item in faulty else f"good {item}" for item in range(count)]


@pytest.mark.parametrize("count", [1, 2, 100, 4_096])
def test_one_faulty_item_costs_a_logarithmic_number_of_calls(count: int) -> None:
    work = Work({count // 3}, ValueError("x"))
    isolate(work, range(count), failed)
    assert work.calls <= 2 * ceil(log2(count)) + 1


def test_without_a_failure_there_is_one_call() -> None:
    work = Work(set(), ValueError("x"))
    isolate(work, range(4_096), failed)
    assert work.calls == 1


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        SystemExit(),
        GeneratorExit(),
        BrokerError("the broker refused"),
    ],
)
def test_an_error_of_the_worker_is_raised_at_once(error: BaseException) -> None:
    work = Work({3}, error)
    with pytest.raises(type(error)):
        isolate(work, range(8), failed)
    assert work.calls == 1
    assert not is_fault_of_record(error)


@pytest.mark.parametrize(
    "error", [ValueError(), RecursionError(), RustPanic(), AssertionError(), Poison(Reason.MODEL, "x")]
)
def test_every_other_error_concerns_one_record(error: BaseException) -> None:
    assert is_fault_of_record(error)
    assert not is_exit(error)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncio.CancelledError(), True),
        (KeyboardInterrupt(), True),
        (SystemExit(), True),
        (GeneratorExit(), True),
        (BrokerError("refused"), False),
        (MemoryError(), False),
    ],
)
def test_cancellation_and_exit_end_a_task(error: BaseException, expected: bool) -> None:
    assert is_exit(error) is expected


def test_a_function_that_loses_a_result_is_isolated_too() -> None:
    def loses_one(items: Sequence[int]) -> list[str]:
        return [f"good {item}" for item in items if item != 5]

    assert isolate(loses_one, range(8), failed)[4:7] == ["good 4", "ValueError 5", "good 6"]
    with pytest.raises(ValueError, match="0 results for 1 items"):
        checked_results([], 1)


def test_a_failure_without_items_is_raised() -> None:
    def fails(_items: Sequence[int]) -> list[str]:
        raise ValueError("always")

    with pytest.raises(ValueError, match="always"):
        isolate(fails, [], failed)
