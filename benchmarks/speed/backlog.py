"""A backlog that was loaded before, worked off by a way while its output and its CPU time are watched."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from benchmarks.speed.context import Bench
from benchmarks.speed.load import load
from benchmarks.speed.process import sample
from benchmarks.speed.stats import Sample, Steady, steady
from benchmarks.speed.ways import Place, Running, Way
from tests.real.client import BrokerClient
from tests.real.parts import unique

PARTITIONS = 4
POLL_S = 0.1
FIRST_S = 180.0
"""Seconds until the first output: loading and warming a model takes its time."""
STALL_S = 60.0

# The broker frees deleted topics at once, not a minute later: a run writes more than the disk should hold.
TOPIC = {"file_delete_delay_ms": 1000}


@dataclass(frozen=True, slots=True)
class Backlog:
    """A loaded topic."""

    topic: str
    events: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a way."""

    steady: Steady
    trace: list[Sample]
    notes: dict[str, float] = field(default_factory=dict)
    """What was read from the process before it ended."""


@contextmanager
def topics(bench: Bench, *names: str) -> Iterator[None]:
    """Topics for a while."""
    with ExitStack() as made:
        for name in names:
            bench.kafka.create_topic(name, PARTITIONS, **TOPIC)
            made.callback(bench.kafka.delete_topics, name)
        yield


@contextmanager
def backlog(bench: Bench, stem: str, values: Iterator[bytes], expected: int) -> Iterator[Backlog]:
    """A fresh topic that holds these values."""
    topic = unique(stem)
    with topics(bench, topic):
        bench.tell(f"loading {expected:,} events")
        events = load(
            bench.kafka.address,
            topic,
            values,
            PARTITIONS,
            bench.options.compression,
            lambda done: bench.advance(done, expected),
        )
        yield Backlog(topic, events)


def work_off(
    bench: Bench,
    way: Way,
    work: Backlog,
    limit_s: float,
    read: Callable[[Running], dict[str, float]] = lambda _running: {},
    poll_s: float = POLL_S,
) -> Measured:
    """Let a way label a backlog, to its end or for a time, and measure the steady part.

    Args:
        bench: the run.
        way: starts the process.
        work: what it finds.
        limit_s: seconds after the first output at which it is ended, when it has not ended before.
        read: called before the process ends; what it returns is kept.
        poll_s: seconds between two looks at the output.

    Raises:
        EndedError: the process ended by itself.
        TimeoutError: it gave no output, or stopped giving any.
    """
    target = unique("out")
    with topics(bench, target, f"{target}.dead"):
        place = Place(bench.kafka.address, work.topic, target, bench.options.compression)
        with way(place) as running:
            trace = watch(bench, bench.kafka, running, target, work.events, limit_s, poll_s)
            notes = read(running)
        dead = sum(bench.kafka.end_offsets(f"{target}.dead").values())
        if dead:
            raise ValueError(f"{dead} events became dead letters")
        return Measured(steady(trace), trace, notes)


def watch(
    bench: Bench,
    broker: BrokerClient,
    running: Running,
    topic: str,
    events: int,
    limit_s: float,
    poll_s: float,
) -> list[Sample]:
    """Samples of a process and its output topic, until all events are out or the time is over.

    A way whose output comes in bursts too large to tell a rate gets up to three times as long.
    """
    samples: list[Sample] = []
    began = moved = time.monotonic()
    first = None
    while True:
        running.check()
        done = sum(broker.end_offsets(topic).values())
        now = time.monotonic()
        if done and first is None:
            first = now
        if not samples or done > samples[-1].events:
            moved = now
        samples.append(sample(running.pid, now, done))
        bench.advance(done, events)
        if done >= events:
            return samples
        if first is not None and now - first > limit_s and (now - first > 3 * limit_s or _enough(samples)):
            return samples
        if now - moved > (FIRST_S if first is None else STALL_S):
            raise TimeoutError(f"{done:,} of {events:,} events after {now - began:.0f} s, and no more come")
        time.sleep(poll_s)


def _enough(samples: list[Sample]) -> bool:
    try:
        steady(samples)
    except ValueError:
        return False
    return True
