"""When which rows go to which lane, with a clock and an inference that the test moves by hand."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from stream.classify.batcher import Batcher, Lane, PendingCall
from stream.classify.inputs import Prediction
from stream.classify.pace import (
    ENOUGH_BATCHES,
    ENOUGH_ROWS,
    LEAST_ROWS_AT_ONCE,
    MOST_ROWS_AT_ONCE,
    SHARE_AT_ONCE,
    Pace,
)
from stream.classify.queue import Limits
from stream.observe.rate import Rate

ROWS = 4
LINGER_S = 0.1


class FakeTimer:
    """A timer handle of `FakeTime`."""

    def __init__(self, at: float, work: Callable[[], None]) -> None:
        self.at = at
        self.work = work
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeTime:
    """A monotonic clock that stands still until it is moved, and its timers."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[FakeTimer] = []

    def clock(self) -> float:
        return self.now

    def call_later(self, pause: float, work: Callable[[], None]) -> Any:
        self.timers.append(FakeTimer(self.now + pause, work))
        return self.timers[-1]

    @property
    def pending(self) -> list[FakeTimer]:
        return [timer for timer in self.timers if not timer.cancelled]

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for timer in self.pending:
            if timer.at <= self.now + 1e-9:
                timer.cancelled = True
                timer.work()


class Inference:
    """A batch that is being inferred until the test says how it ends."""

    def __init__(self, lane: Lane, texts: list[str]) -> None:
        self.lane = lane
        self.texts = texts
        self.outcome: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    def finish(self) -> None:
        self.outcome.set_result([said(text) for text in self.texts])


def said(text: str) -> Prediction:
    """What the model says of a text."""
    return Prediction(text.encode(), b"")


class Bench:
    """A batcher between doubles; a token list holds the text as often as it has tokens."""

    def __init__(self, lanes: int = 1, max_tokens: int = 1000) -> None:
        self.time = FakeTime()
        runtime: Any = None
        self.lanes = [Lane(runtime) for _ in range(lanes)]
        self.begun: list[Inference] = []
        self.batcher = Batcher(
            self.lanes,
            self.infer,
            Limits(ROWS, max_tokens),
            linger_s=LINGER_S,
            window_s=1.0,
            clock=self.time.clock,
            call_later=self.time.call_later,
        )

    async def infer(self, lane: Lane, tokens: Sequence[Any]) -> list[Any]:
        self.begun.append(Inference(lane, [row[0] for row in tokens]))
        return await self.begun[-1].outcome

    async def submit(self, *texts: str, length: int = 3) -> PendingCall:
        done = asyncio.get_running_loop().create_future()
        group = PendingCall(texts, [None] * len(texts), len(texts), done)
        fresh = self.batcher.join(group, range(len(texts)))
        tokens: list[Any] = [[texts[at]] * length for _, at in fresh]
        if fresh:
            self.batcher.add(fresh, tokens)
        await settle()
        return group

    async def finish_all(self) -> None:
        while running := [inference for inference in self.begun if not inference.outcome.done()]:
            for inference in running:
                inference.finish()
            await settle()

    async def make_busy_times(self) -> None:
        """Let so many rows come and go that more are expected at any moment."""
        for at in range(8):
            await self.submit(*(f"early {at} {n}" for n in range(ROWS)))
        await self.finish_all()
        self.begun.clear()
        self.time.timers.clear()


async def settle() -> None:
    """Let every task go on as far as it can."""
    for _ in range(6):
        await asyncio.sleep(0)


def texts_of(bench: Bench) -> list[list[str]]:
    return [inference.texts for inference in bench.begun]


async def test_at_low_load_an_event_leaves_at_once() -> None:
    bench = Bench()
    group = await bench.submit("a")
    assert texts_of(bench) == [["a"]]
    assert bench.time.pending == []
    assert not group.done.done()
    bench.begun[0].finish()
    await group.done
    assert group.results == [said("a")]
    assert len(bench.batcher) == 0


async def test_at_high_load_an_idle_lane_waits_for_a_fuller_batch_until_the_linger_is_over() -> None:
    bench = Bench()
    await bench.make_busy_times()
    await bench.submit("a")
    bench.time.advance(0.06)
    await bench.submit("b")
    assert bench.begun == []
    (timer,) = bench.time.pending
    assert timer.at - bench.time.now == pytest.approx(0.04), "the first row's linger, not the last one's"
    bench.time.advance(0.03)
    await settle()
    assert bench.begun == []
    bench.time.advance(0.01)
    await settle()
    assert texts_of(bench) == [["a", "b"]]
    assert bench.time.pending == []


async def test_a_full_batch_does_not_linger() -> None:
    bench = Bench()
    await bench.make_busy_times()
    await bench.submit("a", "b", "c")
    assert bench.begun == []
    await bench.submit("d")
    assert texts_of(bench) == [["a", "b", "c", "d"]]
    assert bench.time.pending == []


async def test_a_batch_is_full_by_tokens_as_well() -> None:
    bench = Bench(max_tokens=20)
    await bench.make_busy_times()
    await bench.submit("a", "b", length=10)
    assert texts_of(bench) == [["a", "b"]]


async def test_load_that_has_passed_is_forgotten() -> None:
    bench = Bench()
    await bench.make_busy_times()
    bench.time.advance(10)
    await bench.submit("a")
    assert texts_of(bench) == [["a"]]


async def test_one_batch_runs_while_a_full_one_is_prepared_and_never_a_third() -> None:
    bench = Bench()
    await bench.submit(*"abcdefghijkl")
    assert texts_of(bench) == [list("abcd"), list("efgh")]
    assert bench.lanes[0].batches == 2
    bench.begun[0].finish()
    await settle()
    assert texts_of(bench)[2:] == [list("ijkl")]
    await bench.finish_all()
    assert len(bench.begun) == 3
    assert bench.lanes[0].batches == 0


async def test_a_busy_lane_takes_no_batch_that_could_become_fuller() -> None:
    bench = Bench()
    await bench.submit("a", "b", "c", "d")
    await bench.submit("e")
    bench.time.advance(10 * LINGER_S)
    await bench.submit("f")
    assert texts_of(bench) == [["a", "b", "c", "d"]]
    bench.begun[0].finish()
    await settle()
    assert texts_of(bench)[1:] == [["e", "f"]]


async def test_several_lanes_share_the_work() -> None:
    bench = Bench(lanes=2)
    await bench.submit(*"abcdefghijklmnopqrst")
    assert [bench.lanes.index(inference.lane) for inference in bench.begun] == [0, 1, 0, 1]
    bench.begun[1].finish()
    await settle()
    assert bench.begun[4].lane is bench.lanes[1], "the lane that has room gets the next one"


async def test_equal_inputs_are_inferred_once_and_everyone_gets_the_result() -> None:
    bench = Bench()
    one = await bench.submit("a", "b", "a")
    assert texts_of(bench) == [["a", "b"]]
    two = await bench.submit("b", "a")
    three = await bench.submit("b")
    assert len(bench.begun) == 1
    bench.begun[0].finish()
    await asyncio.gather(one.done, two.done, three.done)
    assert one.results == [said("a"), said("b"), said("a")]
    assert two.results == [said("b"), said("a")]
    assert three.results == [said("b")]
    await bench.submit("a")
    assert texts_of(bench)[1:] == [["a"]], "nobody is at it any more"


async def test_a_group_is_done_when_its_last_batch_is() -> None:
    bench = Bench()
    group = await bench.submit(*"abcdefgh")
    bench.begun[1].finish()
    await settle()
    assert not group.done.done()
    bench.begun[0].finish()
    await group.done
    assert group.results == [said(text) for text in "abcdefgh"]


async def test_a_failure_reaches_everyone_who_waits_and_is_forgotten() -> None:
    bench = Bench()
    one, two = await bench.submit("a", "b"), await bench.submit("b")
    bystander = await bench.submit("c")
    bench.begun[0].outcome.set_exception(RuntimeError("the lane broke"))
    await settle()
    for group in (one, two):
        with pytest.raises(RuntimeError, match="the lane broke"):
            await group.done
    assert texts_of(bench)[1:] == [["c"]], "the lane goes on with the others"
    bench.begun[1].finish()
    await bystander.done
    assert len(bench.batcher) == 0
    again = await bench.submit("a")
    bench.begun[2].finish()
    await again.done
    assert again.results == [said("a")]


async def test_rows_can_fail_before_they_are_queued() -> None:
    bench = Bench()
    groups = [PendingCall(["a"], [None], 1, asyncio.get_running_loop().create_future()) for _ in range(2)]
    fresh = bench.batcher.join(groups[0], [0])
    assert bench.batcher.join(groups[1], [0]) == []
    bench.batcher.fail(fresh, ValueError("no tokens"))
    for group in groups:
        with pytest.raises(ValueError, match="no tokens"):
            await group.done
    assert len(bench.batcher) == 0
    await bench.submit("a")
    assert texts_of(bench) == [["a"]]


async def test_a_group_that_gave_up_hurts_nobody() -> None:
    bench = Bench()
    one, two = await bench.submit("a"), await bench.submit("a")
    one.done.cancel()
    bench.begun[0].finish()
    await two.done
    assert two.results == [said("a")]


async def test_only_the_places_that_are_named_are_waited_for() -> None:
    bench = Bench()
    done = asyncio.get_running_loop().create_future()
    group = PendingCall(["known", "a"], [said("known"), None], 1, done)
    fresh = bench.batcher.join(group, [1])
    assert fresh == [(group, 1)]
    tokens: list[Any] = [["a"]]
    bench.batcher.add(fresh, tokens)
    await bench.finish_all()
    await settle()
    await bench.finish_all()
    await group.done
    assert group.results == [said("known"), said("a")]


async def test_the_pace_is_that_of_the_lanes_clock() -> None:
    bench = Bench()
    await bench.submit(*"abcd")
    bench.lanes[0].busy_s += 0.02
    bench.begun[0].finish()
    await settle()
    assert bench.batcher.pace.rows_per_s == pytest.approx(200)


# --- pace


def test_before_the_first_batch_as_much_is_asked_for_as_a_fast_model_could_need() -> None:
    pace = Pace(lanes=1, batch_rows=64, window_s=4)
    assert pace.window_rows == ENOUGH_ROWS
    assert pace.rows_at_once == ENOUGH_ROWS // SHARE_AT_ONCE
    assert Pace(2, 4_096, 4).rows_at_once == MOST_ROWS_AT_ONCE
    assert Pace(2, 512, 4).window_rows == ENOUGH_BATCHES * 2 * 512


def test_a_slow_model_still_gets_two_batches_a_lane() -> None:
    pace = Pace(lanes=2, batch_rows=64, window_s=4)
    pace.note(1, 10)
    assert pace.window_rows == 2 * 2 * 64
    assert pace.rows_at_once == LEAST_ROWS_AT_ONCE


def test_between_the_bounds_the_window_is_a_time() -> None:
    pace = Pace(lanes=2, batch_rows=64, window_s=4)
    for _ in range(100):
        pace.note(20, 0.2)
    assert pace.rows_per_s == pytest.approx(200), "two lanes work side by side"
    assert pace.window_rows == pytest.approx(800, abs=1)
    assert pace.rows_at_once == pytest.approx(100, abs=1), "half a second"


def test_rows_that_a_cache_knows_raise_the_pace() -> None:
    pace = Pace(lanes=1, batch_rows=8, window_s=4)
    pace.note(50, 1)
    pace.note(950, 0)
    assert pace.rows_per_s == pytest.approx((50 * 0.9 + 950) / 0.9)


def test_the_pace_follows_a_model_that_becomes_slower() -> None:
    pace = Pace(lanes=1, batch_rows=8, window_s=4)
    pace.note(1000, 1)
    for _ in range(100):
        pace.note(10, 1)
    assert pace.rows_per_s == pytest.approx(10, rel=0.01)


def test_the_arrival_rate_fades() -> None:
    rate = Rate()
    assert rate.per_s(5.0) == 0
    for tick in range(1_000):
        rate.note(2, tick / 100)
    assert rate.per_s(10.0) == pytest.approx(200, rel=0.02)
    assert rate.per_s(20.0) < 0.1
