"""The batcher and the throughput estimate, with inferences that the test finishes by hand."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from stream.classify import BatchLimits, Prediction
from stream.classify.batcher import Batcher, PendingCall, RuntimeThread
from stream.classify.throughput import (
    MAX_RECORD_BATCH,
    MAX_WINDOW_BATCHES,
    MAX_WINDOW_ROWS,
    MIN_RECORD_BATCH,
    RECORD_BATCHES_PER_WINDOW,
    Throughput,
)
from stream.observe.rate import Rate

ROWS = 4


class Inference:
    """A batch that is being inferred until the test finishes it."""

    def __init__(self, thread: RuntimeThread, texts: list[str]) -> None:
        self.thread = thread
        self.texts = texts
        self.future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    def finish(self) -> None:
        self.future.set_result([prediction(text) for text in self.texts])


def prediction(text: str) -> Prediction:
    """Return the prediction of the fake model."""
    return Prediction(text.encode(), b"")


class Bench:
    """A batcher between test doubles; each token of a row is the row's text."""

    def __init__(self, threads: int = 1, max_tokens: int = 1000) -> None:
        runtime: Any = None
        self.threads = [RuntimeThread(runtime) for _ in range(threads)]
        self.started: list[Inference] = []
        self.throughput = Throughput(threads, ROWS, window_s=1.0)
        self.batcher = Batcher(self.threads, self.infer, BatchLimits(ROWS, max_tokens), self.throughput)

    async def infer(self, thread: RuntimeThread, tokens: Sequence[Any]) -> list[Any]:
        self.started.append(Inference(thread, [row[0] for row in tokens]))
        return await self.started[-1].future

    async def submit(self, *texts: str, length: int = 3) -> PendingCall:
        done = asyncio.get_running_loop().create_future()
        call = PendingCall(texts, [None] * len(texts), len(texts), done)
        new = self.batcher.register(call, range(len(texts)))
        tokens: list[Any] = [[texts[at]] * length for _, at in new]
        if new:
            self.batcher.enqueue(new, tokens)
        await settle()
        return call

    async def finish_all(self) -> None:
        while running := [inference for inference in self.started if not inference.future.done()]:
            for inference in running:
                inference.finish()
            await settle()


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(6):
        await asyncio.sleep(0)


def texts_of(bench: Bench) -> list[list[str]]:
    return [inference.texts for inference in bench.started]


async def test_an_idle_thread_gets_a_batch_at_once() -> None:
    bench = Bench()
    call = await bench.submit("a")
    assert texts_of(bench) == [["a"]]
    assert not call.done.done()
    bench.started[0].finish()
    await call.done
    assert call.results == [prediction("a")]
    assert len(bench.batcher) == 0


async def test_a_busy_thread_gets_a_second_batch_that_is_full_by_tokens() -> None:
    bench = Bench(max_tokens=20)
    await bench.submit("running")
    await bench.submit("a", length=10)
    assert texts_of(bench) == [["running"]]
    await bench.submit("b", length=10)
    assert texts_of(bench) == [["running"], ["a", "b"]]


async def test_a_thread_has_one_running_and_one_full_prepared_batch_and_never_a_third() -> None:
    bench = Bench()
    await bench.submit(*"abcdefghijkl")
    assert texts_of(bench) == [list("abcd"), list("efgh")]
    assert bench.threads[0].batches == 2
    bench.started[0].finish()
    await settle()
    assert texts_of(bench)[2:] == [list("ijkl")]
    await bench.finish_all()
    assert len(bench.started) == 3
    assert bench.threads[0].batches == 0


async def test_a_busy_thread_gets_no_batch_that_could_become_fuller() -> None:
    bench = Bench()
    await bench.submit("a", "b", "c", "d")
    await bench.submit("e")
    await bench.submit("f")
    assert texts_of(bench) == [["a", "b", "c", "d"]]
    bench.started[0].finish()
    await settle()
    assert texts_of(bench)[1:] == [["e", "f"]]


async def test_several_threads_share_the_work() -> None:
    bench = Bench(threads=2)
    await bench.submit(*"abcdefghijklmnopqrst")
    assert [bench.threads.index(inference.thread) for inference in bench.started] == [0, 1, 0, 1]
    bench.started[1].finish()
    await settle()
    assert bench.started[4].thread is bench.threads[1], "the thread with room gets the next batch"


async def test_equal_inputs_are_inferred_once_and_every_call_gets_the_result() -> None:
    bench = Bench()
    one = await bench.submit("a", "b", "a")
    assert texts_of(bench) == [["a", "b"]]
    two = await bench.submit("b", "a")
    three = await bench.submit("b")
    assert len(bench.started) == 1
    bench.started[0].finish()
    await asyncio.gather(one.done, two.done, three.done)
    assert one.results == [prediction("a"), prediction("b"), prediction("a")]
    assert two.results == [prediction("b"), prediction("a")]
    assert three.results == [prediction("b")]
    await bench.submit("a")
    assert texts_of(bench)[1:] == [["a"]], "the input is no longer in progress"


async def test_a_call_is_done_after_its_last_batch() -> None:
    bench = Bench()
    call = await bench.submit(*"abcdefgh")
    bench.started[1].finish()
    await settle()
    assert not call.done.done()
    bench.started[0].finish()
    await call.done
    assert call.results == [prediction(text) for text in "abcdefgh"]


async def test_a_failure_reaches_every_waiting_call_and_is_then_forgotten() -> None:
    bench = Bench()
    one, two = await bench.submit("a", "b"), await bench.submit("b")
    other = await bench.submit("c")
    bench.started[0].future.set_exception(RuntimeError("the thread failed"))
    await settle()
    for call in (one, two):
        with pytest.raises(RuntimeError, match="the thread failed"):
            await call.done
    assert texts_of(bench)[1:] == [["c"]], "the thread continues with other rows"
    bench.started[1].finish()
    await other.done
    assert len(bench.batcher) == 0
    again = await bench.submit("a")
    bench.started[2].finish()
    await again.done
    assert again.results == [prediction("a")]


async def test_rows_can_fail_before_they_are_enqueued() -> None:
    bench = Bench()
    calls = [PendingCall(["a"], [None], 1, asyncio.get_running_loop().create_future()) for _ in range(2)]
    new = bench.batcher.register(calls[0], [0])
    assert bench.batcher.register(calls[1], [0]) == []
    bench.batcher.fail(new, ValueError("no tokens"))
    for call in calls:
        with pytest.raises(ValueError, match="no tokens"):
            await call.done
    assert len(bench.batcher) == 0
    await bench.submit("a")
    assert texts_of(bench) == [["a"]]


async def test_rows_can_be_finished_before_they_are_enqueued() -> None:
    bench = Bench()
    calls = [PendingCall(["a"], [None], 1, asyncio.get_running_loop().create_future()) for _ in range(2)]
    new = bench.batcher.register(calls[0], [0])
    assert bench.batcher.register(calls[1], [0]) == []
    bench.batcher.finish(new, [prediction("a")])
    for call in calls:
        await call.done
        assert call.results == [prediction("a")]
    assert len(bench.batcher) == 0


@pytest.mark.parametrize("texts", [["a"], ["a", "b", "c"]])
async def test_results_of_another_number_fail_every_call_of_the_batch(texts: list[str]) -> None:
    bench = Bench()
    call = await bench.submit("a", "b")
    bench.started[0].future.set_result([prediction(text) for text in texts])
    with pytest.raises(ValueError, match="zip"):
        await asyncio.wait_for(call.done, 5)
    assert bench.threads[0].batches == 0


async def test_a_queue_that_fails_ends_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_queue: object) -> None:
        raise KeyError("a bug")

    bench = Bench()
    first = await bench.submit("a")
    later = await bench.submit("b")
    monkeypatch.setattr("stream.classify.queue.LengthOrderedQueue.take", broken)
    bench.started[0].finish()
    await first.done
    with pytest.raises(KeyError):
        await asyncio.wait_for(later.done, 5)


async def test_a_cancelled_call_does_not_affect_others() -> None:
    bench = Bench()
    one, two = await bench.submit("a"), await bench.submit("a")
    one.done.cancel()
    bench.started[0].finish()
    await two.done
    assert two.results == [prediction("a")]


async def test_a_call_waits_only_for_the_registered_indexes() -> None:
    bench = Bench()
    done = asyncio.get_running_loop().create_future()
    call = PendingCall(["known", "a"], [prediction("known"), None], 1, done)
    new = bench.batcher.register(call, [1])
    assert new == [(call, 1)]
    tokens: list[Any] = [["a"]]
    bench.batcher.enqueue(new, tokens)
    await bench.finish_all()
    await settle()
    await bench.finish_all()
    await call.done
    assert call.results == [prediction("known"), prediction("a")]


async def test_throughput_is_measured_by_the_threads_busy_seconds() -> None:
    bench = Bench()
    await bench.submit(*"abcd")
    bench.threads[0].busy_s += 0.02
    bench.started[0].finish()
    await settle()
    assert bench.throughput.rows_per_s == pytest.approx(200)


# --- throughput


def test_before_the_first_batch_the_window_is_that_of_a_fast_model() -> None:
    throughput = Throughput(threads=1, batch_rows=64, window_s=4)
    assert throughput.window_rows == MAX_WINDOW_ROWS
    assert throughput.record_batch_rows == MAX_WINDOW_ROWS // RECORD_BATCHES_PER_WINDOW
    assert Throughput(2, 4_096, 4).record_batch_rows == MAX_RECORD_BATCH
    assert Throughput(2, 512, 4).window_rows == MAX_WINDOW_BATCHES * 2 * 512


def test_a_slow_model_still_gets_two_batches_per_thread() -> None:
    throughput = Throughput(threads=2, batch_rows=64, window_s=4)
    throughput.record(1, 10)
    assert throughput.window_rows == 2 * 2 * 64
    assert throughput.record_batch_rows == MIN_RECORD_BATCH


def test_between_the_bounds_the_window_is_a_duration() -> None:
    throughput = Throughput(threads=2, batch_rows=64, window_s=4)
    for _ in range(100):
        throughput.record(20, 0.2)
    assert throughput.rows_per_s == pytest.approx(200), "two threads work concurrently"
    assert throughput.window_rows == pytest.approx(800, abs=1)
    assert throughput.record_batch_rows == pytest.approx(100, abs=1), "half a second"


def test_cache_hits_raise_the_throughput() -> None:
    throughput = Throughput(threads=1, batch_rows=8, window_s=4)
    throughput.record(50, 1)
    throughput.record(950, 0)
    assert throughput.rows_per_s == pytest.approx((50 * 0.9 + 950) / 0.9)


def test_the_throughput_follows_a_model_that_becomes_slower() -> None:
    throughput = Throughput(threads=1, batch_rows=8, window_s=4)
    throughput.record(1000, 1)
    for _ in range(100):
        throughput.record(10, 1)
    assert throughput.rows_per_s == pytest.approx(10, rel=0.01)


def test_the_arrival_rate_fades() -> None:
    rate = Rate()
    assert rate.per_s(5.0) == 0
    for tick in range(1_000):
        rate.count(2, tick / 100)
    assert rate.per_s(10.0) == pytest.approx(200, rel=0.02)
    assert rate.per_s(20.0) < 0.1
