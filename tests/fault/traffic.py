"""Continuous traffic during faults, and its reconciliation."""

import itertools
from collections.abc import Iterator
from threading import Event, Thread

from tests.pipeline import event
from tests.real.kafka import ApacheKafka
from tests.real.reconcile import dead_ids, label_ids, missing, repeated
from tests.real.wait import until

RECOVERY_S = 120.0
INVALID_EVERY = 50


class Traffic:
    """A thread that produces until it is stopped; every 50th record is invalid and has its id in a header."""

    def __init__(self, kafka: ApacheKafka, route: str, stem: str = "e") -> None:
        self.valid: list[str] = []
        self.invalid: list[str] = []
        self._kafka = kafka
        self._route = route
        self._stem = stem
        self._stopped = Event()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        for numbers in _chunks(40):
            if self._stopped.wait(0.05):
                return
            for number in numbers:
                event_id, _ = event(number, self._stem)
                if number % INVALID_EVERY == 0:
                    headers = [("labelstream-id", event_id.encode())]
                    self._kafka.produce(self._route, b"{broken", headers=headers, partition=number % 4)
                    self.invalid.append(event_id)
            values = [event(number, self._stem)[1] for number in numbers if number % INVALID_EVERY]
            self._kafka.produce(self._route, *values, partition=numbers[0] // 40 % 4)
            self.valid.extend(event(number, self._stem)[0] for number in numbers if number % INVALID_EVERY)


def _chunks(size: int) -> Iterator[list[int]]:
    numbers = itertools.count()
    while True:
        yield list(itertools.islice(numbers, size))


def check_nothing_lost(kafka: ApacheKafka, traffic: Traffic, route: str) -> None:
    """Check that valid ids have labels, invalid ids have dead letters, and no id has both."""
    labels, dead = f"{route}.labels", f"{route}.dead"
    until(
        lambda: not missing(traffic.valid, label_ids(kafka.records(labels))),
        RECOVERY_S,
        "a label for every valid id",
    )
    until(
        lambda: not missing(traffic.invalid, dead_ids(kafka.records(dead))),
        RECOVERY_S,
        "a dead letter for every invalid id",
    )
    labelled, dead_letters = label_ids(kafka.records(labels)), dead_ids(kafka.records(dead))
    assert set(labelled) == set(traffic.valid)
    assert set(dead_letters) == set(traffic.invalid)
    assert not set(labelled) & set(dead_letters)
    print(
        f"{len(traffic.valid)} valid and {len(traffic.invalid)} invalid events; "
        f"repeated: {repeated(labelled)} labels, {repeated(dead_letters)} dead letters"
    )
