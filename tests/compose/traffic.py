"""Load with ids on the stack's topics, and the account of its results."""

from collections import Counter
from threading import Event, Thread
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, Message, Producer

from tests.compose.stack import StackBroker
from tests.pipeline import event
from tests.real.components import unique
from tests.real.reconcile import label_ids, missing
from tests.real.wait import until

GROUP = "labelstream"
TEXTS, LABELS, DEAD = "texts", "labels", "texts.dead"
BACK_S = 240.0
STEP = 20
PAUSE_S = 0.1
DISTINCT = 400


class Traffic:
    """A steady stream of events from a thread, which continues after a broker failure.

    Attributes:
        confirmed: ids of events that the broker has confirmed, and so of events that must not be lost.
    """

    def __init__(self, broker: StackBroker) -> None:
        self.stem = unique("load")
        self.confirmed: list[str] = []
        self._refused: list[KafkaError] = []
        self._broker = broker
        self._ended = Event()
        self._thread = Thread(target=self._run)
        self._producer = Producer(
            {
                "bootstrap.servers": broker.address,
                "enable.idempotence": True,
                "message.timeout.ms": int(BACK_S * 1000),
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self.confirmed, BACK_S, "the first event confirmed")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def await_confirmed(self, events: int = 200) -> None:
        """Wait until the broker has confirmed this number of further events."""
        target = len(self.confirmed) + events
        until(lambda: len(self.confirmed) >= target, BACK_S, f"{events} more events confirmed")

    def _run(self) -> None:
        number = 0
        while not self._ended.wait(PAUSE_S):
            for _ in range(STEP):
                self._send(number)
                number += 1
            self._producer.poll(0)
        self._producer.flush(BACK_S)

    def _send(self, number: int) -> None:
        event_id = f"{self.stem}-{number}"
        # Few different texts, which the model labels within seconds: the load is about events, not inference.
        value = event(number % DISTINCT, self.stem)[1]
        self._producer.produce(
            TEXTS,
            value,
            key=event_id.encode(),
            headers=[("labelstream-id", event_id.encode())],
            on_delivery=lambda error, message: self._confirm(event_id, error, message),
        )

    def _confirm(self, event_id: str, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.confirmed.append(event_id)
        else:
            self._refused.append(error)

    def reconcile(self) -> "Account":
        """Wait until all events are committed, and reconcile the ids of inputs and outputs.

        Raises:
            AssertionError: an id that the broker had confirmed led to no label.
        """
        assert not self._refused, f"{len(self._refused)} events not confirmed: {self._refused[0]}"
        self._broker.drop_connections()
        await_committed(self._broker)
        counts = label_ids(self._broker.records(LABELS))
        ours = Counter({name: n for name, n in counts.items() if name.startswith(f"{self.stem}-")})
        assert missing(self.confirmed, ours) == []
        return Account(len(self.confirmed), ours.total() - len(ours))


class Account:
    """Return the number of input events, outputs and duplicates."""

    def __init__(self, events: int, repeated: int) -> None:
        self.events = events
        self.repeated = repeated

    def __str__(self) -> str:
        return f"{self.events} events in, {self.events} out, {self.repeated} repeated, 0 lost"


def await_committed(broker: StackBroker) -> None:
    """Wait until the worker's group has committed every record of the input topic."""

    def done() -> bool:
        ends = {at: end for at, end in broker.end_offsets(TEXTS).items() if end}
        committed = broker.committed(GROUP, TEXTS)
        return all(committed.get(at) == end for at, end in ends.items())

    until(done, BACK_S, "every offset committed", ignoring=(Exception,))
