"""A backlog that is known to the last offset, and the account of what a worker made of it."""

import random
from collections.abc import Sequence
from threading import Event, Thread

import orjson

from tests.pipeline import WORDS, event
from tests.real.kafka import ApacheKafka
from tests.real.reconcile import out_of_order, sources
from tests.real.wait import until

BACK_S = 60.0


def produce_evenly(kafka: ApacheKafka, route: str, values: Sequence[bytes], partitions: int = 4) -> None:
    """Produce values, the first part of them to partition 0, and so on."""
    part = -(-len(values) // partitions)
    for partition in range(partitions):
        kafka.produce(route, *values[partition * part : (partition + 1) * part], partition=partition)


class Backlog:
    """Events that wait at the broker, topped up from a thread however fast the workers are.

    Attributes:
        least: the fewest events without an outcome that were ever seen before a top-up.
    """

    WAITING = 8_000
    STEP = 2_000

    def __init__(self, kafka: ApacheKafka, route: str) -> None:
        self.least = self.WAITING
        self._kafka = kafka
        self._route = route
        self._produced = 0
        self._ended = Event()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> "Backlog":
        while self._produced < self.WAITING:
            self._produce()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            waiting = self._produced - written(self._kafka, self._route)
            self.least = min(self.least, waiting)
            if waiting < self.WAITING:
                self._produce()

    def _produce(self) -> None:
        numbers = range(self._produced, self._produced + self.STEP)
        produce_evenly(self._kafka, self._route, [event(number)[1] for number in numbers])
        self._produced += self.STEP


def uneven_values(chosen: random.Random) -> list[bytes]:
    """8,192 texts of 1 to 40 words; of each 1,024 half are one text again and again, done before the rest."""
    found = []
    for number in range(8_192):
        words = ["again"] if number // 512 % 2 else [*chosen.choices(WORDS, k=chosen.randint(1, 40)), "0"]
        found.append(orjson.dumps({"text": " ".join(words)}))
    return found


def outcomes(kafka: ApacheKafka, route: str) -> dict[int, list[int]]:
    """Source offsets of all labels and dead letters, by source partition."""
    found: dict[int, list[int]] = {partition: [] for partition in kafka.partitions(route)}
    for topic in (f"{route}.labels", f"{route}.dead"):
        for _, partition, offset in sources(kafka.records(topic)):
            found[partition].append(offset)
    return found


def written(kafka: ApacheKafka, route: str) -> int:
    """How many labels and dead letters there are."""
    topics = (f"{route}.labels", f"{route}.dead")
    return sum(sum(kafka.end_offsets(topic).values()) for topic in topics)


def check_committed_is_covered(kafka: ApacheKafka, group: str, route: str) -> None:
    """Nothing is committed that led to nothing."""
    done = outcomes(kafka, route)
    for partition, committed in kafka.committed(group, route).items():
        lost = set(range(committed)) - set(done[partition])
        assert not lost, (
            f"partition {partition}: committed {committed}, nothing written for {sorted(lost)[:9]}"
        )


def check_committed_is_exact(kafka: ApacheKafka, group: str, route: str) -> None:
    """What is committed is what was written: the next owner neither loses nor repeats anything."""
    committed = kafka.committed(group, route)
    for partition, offsets in outcomes(kafka, route).items():
        assert sorted(offsets) == list(range(committed.get(partition, 0))), f"partition {partition}"


def await_all(kafka: ApacheKafka, group: str, route: str) -> None:
    """Wait until every record of the input is committed, and see that each led to something."""
    until(lambda: kafka.committed(group, route) == kafka.end_offsets(route), BACK_S, "every offset committed")
    ends = kafka.end_offsets(route)
    for partition, offsets in outcomes(kafka, route).items():
        assert set(offsets) == set(range(ends[partition])), f"partition {partition}: lost"


def repeats(kafka: ApacheKafka, route: str) -> int:
    """How many records too many were written."""
    return sum(len(offsets) - len(set(offsets)) for offsets in outcomes(kafka, route).values())


def check_no_gaps(kafka: ApacheKafka, route: str) -> None:
    """What was written of each partition begins at its beginning and leaves nothing out."""
    for partition, offsets in outcomes(kafka, route).items():
        assert sorted(offsets) == list(range(len(offsets))), f"partition {partition}"


def check_order(kafka: ApacheKafka, route: str) -> None:
    """Labels, and dead letters, stand in offset order, none twice."""
    for topic in (f"{route}.labels", f"{route}.dead"):
        assert out_of_order(kafka.records(topic)) == [], topic
