"""Traffic that runs while things die, and the account of it afterwards."""

import itertools
from collections.abc import Iterator
from threading import Event, Thread

from tests.pipeline import event
from tests.real.kafka import ApacheKafka
from tests.real.reconcile import dead_ids, label_ids, missing, repeated
from tests.real.wait import until

BACK_S = 120.0
BROKEN_EVERY = 50


class Traffic:
    """Produces from a thread until stopped; every 50th record is broken, with its id in a header."""

    def __init__(self, kafka: ApacheKafka, route: str, stem: str = "e") -> None:
        self.good: list[str] = []
        self.broken: list[str] = []
        self._kafka = kafka
        self._route = route
        self._stem = stem
        self._ended = Event()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        for numbers in _chunks(40):
            if self._ended.wait(0.05):
                return
            for number in numbers:
                event_id, _ = event(number, self._stem)
                if number % BROKEN_EVERY == 0:
                    headers = [("labelstream-id", event_id.encode())]
                    self._kafka.produce(self._route, b"{broken", headers=headers, partition=number % 4)
                    self.broken.append(event_id)
            values = [event(number, self._stem)[1] for number in numbers if number % BROKEN_EVERY]
            self._kafka.produce(self._route, *values, partition=numbers[0] // 40 % 4)
            self.good.extend(event(number, self._stem)[0] for number in numbers if number % BROKEN_EVERY)


def _chunks(size: int) -> Iterator[list[int]]:
    numbers = itertools.count()
    while True:
        yield list(itertools.islice(numbers, size))


def check_nothing_lost(kafka: ApacheKafka, traffic: Traffic, route: str) -> None:
    """Every good id is labelled, every broken one is a dead letter, none is both; offsets are at the end."""
    labels, dead = f"{route}.labels", f"{route}.dead"
    until(
        lambda: not missing(traffic.good, label_ids(kafka.records(labels))),
        BACK_S,
        "every good id as a label",
    )
    until(
        lambda: not missing(traffic.broken, dead_ids(kafka.records(dead))),
        BACK_S,
        "every broken id as a dead letter",
    )
    labelled, dead_letters = label_ids(kafka.records(labels)), dead_ids(kafka.records(dead))
    assert set(labelled) == set(traffic.good)
    assert set(dead_letters) == set(traffic.broken)
    assert not set(labelled) & set(dead_letters)
    print(
        f"{len(traffic.good)} good and {len(traffic.broken)} broken in; "
        f"repeated: {repeated(labelled)} labels, {repeated(dead_letters)} dead letters"
    )
