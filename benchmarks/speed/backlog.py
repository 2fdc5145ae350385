"""Backlogs: topics that are loaded in advance, and the throughput of a system that drains them."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from benchmarks.speed.context import Bench
from benchmarks.speed.load import HEADERS, Headers, load
from benchmarks.speed.process import sample
from benchmarks.speed.stats import Sample, SteadyState, steady_state
from benchmarks.speed.systems import Endpoints, RunningSystem, System
from tests.real.client import BrokerClient
from tests.real.components import unique

PARTITIONS = 4
POLL_S = 0.1
FIRST_S = 180.0
"""Seconds until the first output, which include loading and warming up a model."""
STALL_S = 60.0

# The broker frees deleted topics after a second instead of a minute, since a run writes many gigabytes.
TOPIC = {"file_delete_delay_ms": 1000}


@dataclass(frozen=True, slots=True)
class Backlog:
    """A loaded topic."""

    topic: str
    events: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """The measurement of one run of a system."""

    steady_state: SteadyState
    trace: list[Sample]
    notes: dict[str, float] = field(default_factory=dict)
    """Figures that were read from the process before it ended."""


@contextmanager
def topics(bench: Bench, *names: str) -> Iterator[None]:
    """Create topics and delete them at the end."""
    with ExitStack() as stack:
        for name in names:
            bench.kafka.create_topic(name, PARTITIONS, **TOPIC)
            stack.callback(bench.kafka.delete_topics, name)
        yield


@contextmanager
def backlog(
    bench: Bench, stem: str, values: Iterator[bytes], expected: int, headers: Headers = HEADERS
) -> Iterator[Backlog]:
    """Create a topic that contains the given values, each with the headers."""
    topic = unique(stem)
    with topics(bench, topic):
        bench.show_step(f"loading {expected:,} events")
        events = load(
            bench.kafka.address,
            topic,
            values,
            PARTITIONS,
            bench.options.compression,
            lambda done: bench.advance(done, expected),
            headers,
        )
        yield Backlog(topic, events)


def drain(
    bench: Bench,
    system: System,
    work: Backlog,
    limit_s: float,
    read: Callable[[RunningSystem], dict[str, float]] = lambda _running: {},
    poll_s: float = POLL_S,
) -> Measurement:
    """Run a system on a backlog, to its end or up to a time limit, and measure the steady state.

    Args:
        bench: the benchmark run.
        system: the system, which starts a process.
        work: the loaded topic.
        limit_s: the seconds after the first output at which the process is stopped.
        read: reads further figures from the process before it is stopped.
        poll_s: the seconds between two samples.

    Raises:
        EndedError: the process ended by itself.
        TimeoutError: the process produced no output, or its output stalled.
        ValueError: the system wrote dead letters.
    """
    target = unique("out")
    with topics(bench, target, f"{target}.dead"):
        endpoints = Endpoints(bench.kafka.address, work.topic, target, bench.options.compression)
        with system(endpoints) as running:
            trace = watch(bench, bench.kafka, running, target, work.events, limit_s, poll_s)
            notes = read(running)
        dead = sum(bench.kafka.end_offsets(f"{target}.dead").values())
        if dead:
            raise ValueError(f"{dead} events became dead letters")
        return Measurement(steady_state(trace), trace, notes)


def watch(
    bench: Bench,
    broker: BrokerClient,
    running: RunningSystem,
    topic: str,
    events: int,
    limit_s: float,
    poll_s: float,
) -> list[Sample]:
    """Sample a process and its output topic until the backlog is drained or the time limit is reached.

    A system whose output arrives in bursts too large to compute a rate gets up to three times the limit.
    """
    samples: list[Sample] = []
    started = progressed = time.monotonic()
    first_output = None
    while True:
        running.check()
        done = sum(broker.end_offsets(topic).values())
        now = time.monotonic()
        if done and first_output is None:
            first_output = now
        if not samples or done > samples[-1].events:
            progressed = now
        samples.append(sample(running.pid, now, done))
        bench.advance(done, events)
        if done >= events:
            return samples
        if (
            first_output is not None
            and now - first_output > limit_s
            and (now - first_output > 3 * limit_s or _has_steady_state(samples))
        ):
            return samples
        if now - progressed > (FIRST_S if first_output is None else STALL_S):
            raise TimeoutError(f"{done:,} of {events:,} events after {now - started:.0f} s, then none")
        time.sleep(poll_s)


def _has_steady_state(samples: list[Sample]) -> bool:
    try:
        steady_state(samples)
    except ValueError:
        return False
    return True
