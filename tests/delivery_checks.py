"""Checks that reconcile a worker's output with its input, offset by offset, and backlogs for them."""

import random
from collections.abc import Sequence
from threading import Event, Thread

import orjson

from tests.pipeline import WORDS, event
from tests.real.kafka import ApacheKafka
from tests.real.reconcile import out_of_order, sources
from tests.real.wait import until

RECOVERY_S = 60.0


def produce_evenly(kafka: ApacheKafka, route: str, values: Sequence[bytes], partitions: int = 4) -> None:
    """Produce values in contiguous parts, one per partition."""
    part_size = -(-len(values) // partitions)
    for partition in range(partitions):
        kafka.produce(
            route, *values[partition * part_size : (partition + 1) * part_size], partition=partition
        )


class ReplenishedBacklog:
    """A backlog of events that a thread replenishes, however fast the workers are.

    Attributes:
        min_waiting: the smallest observed number of events without an outcome.
    """

    TARGET = 8_000
    STEP = 2_000

    def __init__(self, kafka: ApacheKafka, route: str) -> None:
        self.min_waiting = self.TARGET
        self._kafka = kafka
        self._route = route
        self._produced = 0
        self._stopped = Event()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> "ReplenishedBacklog":
        while self._produced < self.TARGET:
            self._produce()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0.05):
            waiting = self._produced - count_written(self._kafka, self._route)
            self.min_waiting = min(self.min_waiting, waiting)
            if waiting < self.TARGET:
                self._produce()

    def _produce(self) -> None:
        numbers = range(self._produced, self._produced + self.STEP)
        produce_evenly(self._kafka, self._route, [event(number)[1] for number in numbers])
        self._produced += self.STEP


def uneven_values(generator: random.Random) -> list[bytes]:
    """Return 8,192 texts of 1 to 40 words; half of each 1,024 are the same text, which finishes first."""
    values = []
    for number in range(8_192):
        words = (
            ["again"] if number // 512 % 2 else [*generator.choices(WORDS, k=generator.randint(1, 40)), "0"]
        )
        values.append(orjson.dumps({"text": " ".join(words)}))
    return values


def outcome_offsets(kafka: ApacheKafka, route: str) -> dict[int, list[int]]:
    """Return the source offsets of all labels and dead letters, by source partition."""
    offsets_by_partition: dict[int, list[int]] = {partition: [] for partition in kafka.partitions(route)}
    for topic in (f"{route}.labels", f"{route}.dead"):
        for _, partition, offset in sources(kafka.records(topic)):
            offsets_by_partition[partition].append(offset)
    return offsets_by_partition


def count_written(kafka: ApacheKafka, route: str) -> int:
    """Count labels and dead letters."""
    topics = (f"{route}.labels", f"{route}.dead")
    return sum(sum(kafka.end_offsets(topic).values()) for topic in topics)


def check_committed_is_covered(kafka: ApacheKafka, group: str, route: str) -> None:
    """Check that every committed offset has a label or a dead letter."""
    done = outcome_offsets(kafka, route)
    for partition, committed in kafka.committed(group, route).items():
        lost = set(range(committed)) - set(done[partition])
        assert not lost, f"partition {partition}: committed {committed}, no outcome for {sorted(lost)[:9]}"


def check_committed_is_exact(kafka: ApacheKafka, group: str, route: str) -> None:
    """Check that exactly the written records are committed: the next owner loses and repeats nothing."""
    committed = kafka.committed(group, route)
    for partition, offsets in outcome_offsets(kafka, route).items():
        assert sorted(offsets) == list(range(committed.get(partition, 0))), f"partition {partition}"


def await_all_committed(kafka: ApacheKafka, group: str, route: str) -> None:
    """Wait until all input offsets are committed, and check that each has a label or a dead letter."""
    until(
        lambda: kafka.committed(group, route) == kafka.end_offsets(route),
        RECOVERY_S,
        "every offset committed",
    )
    ends = kafka.end_offsets(route)
    for partition, offsets in outcome_offsets(kafka, route).items():
        assert set(offsets) == set(range(ends[partition])), f"partition {partition}: lost"


def count_repeats(kafka: ApacheKafka, route: str) -> int:
    """Count records that were written more than once."""
    return sum(len(offsets) - len(set(offsets)) for offsets in outcome_offsets(kafka, route).values())


def check_no_gaps(kafka: ApacheKafka, route: str) -> None:
    """Check that the outcomes of each partition start at offset 0 and have no gaps or repeats."""
    for partition, offsets in outcome_offsets(kafka, route).items():
        assert sorted(offsets) == list(range(len(offsets))), f"partition {partition}"


def check_order(kafka: ApacheKafka, route: str) -> None:
    """Check that labels and dead letters are in offset order without repeats."""
    for topic in (f"{route}.labels", f"{route}.dead"):
        assert out_of_order(kafka.records(topic)) == [], topic
