"""The watchdog ends a worker that hangs, and not one that has nothing to do."""

from typing import Any

from stream.errors import BrokerError, StalledError
from stream.kafka.batches import RecordBatch
from stream.kafka.consumer import PartitionProgress
from stream.kafka.ranges import OffsetRange
from stream.kafka.unfinished import UnfinishedEvents
from stream.observe.metrics import Metrics
from stream.records import Source
from stream.worker.watchdog import Watchdog
from tests.unit.records import FakeRecord


class FakeConsumer:
    """A consumer whose state the test sets."""

    def __init__(self) -> None:
        self.unfinished = UnfinishedEvents(max_events=100, max_bytes=10_000)
        self.unfinished.queued_events = 7
        self.unfinished.queued_bytes = 700
        self.unfinished.in_flight_events = 3
        self.progress = 1
        self.broker_answers = True
        self.behind = {("texts", 0): 10, ("texts", 1): 0}
        self.safe_offsets: dict[tuple[str, int], int] = {}
        self.unfinished_in = {("texts", 0)}
        self.behind_transactions = {("texts", 1): 500}
        self.topic_error: BrokerError | None = None

    def partition_progress(self) -> dict[tuple[str, int], PartitionProgress]:
        return {
            tp: PartitionProgress(lag, at, at, lag > 0 and tp in self.unfinished_in)
            for tp, lag in self.behind.items()
            for at in [self.safe_offsets.get(tp, self.progress)]
        }

    def blocked(self) -> dict[tuple[str, int], int]:
        return self.behind_transactions


class Setup:
    def __init__(self) -> None:
        self.consumer = FakeConsumer()
        self.metrics = Metrics()
        self.now = 0.0
        self.failures: list[BaseException] = []
        self.watchdog = Watchdog(
            self.consumer,
            self.metrics,
            300,
            lambda: self.now,
            self.failures.append,
            lambda: 1_000 + self.now,
        )

    def check_at(self, now: float) -> None:
        self.now = now
        self.watchdog.check()


def test_lag_without_progress_ends_the_worker() -> None:
    setup = Setup()
    for now in (0, 299, 300):
        setup.check_at(now)
    assert setup.failures == []
    setup.check_at(301)
    assert isinstance(setup.failures[0], StalledError)
    assert setup.failures[0].exit_code == 5


def test_progress_restarts_the_time_limit() -> None:
    setup = Setup()
    setup.check_at(0)
    setup.consumer.progress += 1
    setup.check_at(299)
    setup.check_at(599)
    assert setup.failures == []


def test_a_worker_without_lag_is_not_stalled() -> None:
    setup = Setup()
    setup.consumer.behind = {("texts", 0): 0}
    setup.check_at(0)
    setup.check_at(10_000)
    assert setup.failures == []


def test_gauges_follow_the_consumer_and_drop_revoked_partitions() -> None:
    setup = Setup()
    setup.consumer.unfinished.in_flight_events = 93
    setup.check_at(0)
    value = setup.metrics.registry.get_sample_value
    assert value("labelstream_queue_events") == 7
    assert value("labelstream_partitions_assigned") == 2
    assert value("labelstream_partitions_paused") == 2
    assert value("labelstream_consumer_lag", {"topic": "texts", "partition": "0"}) == 10
    setup.consumer.behind = {}
    setup.check_at(1)
    assert value("labelstream_consumer_lag", {"topic": "texts", "partition": "0"}) is None


def test_the_time_of_the_last_progress_stops_while_work_waits_or_the_broker_is_silent() -> None:
    setup = Setup()
    value = setup.metrics.registry.get_sample_value

    def at(now: float) -> float | None:
        setup.check_at(now)
        return value("labelstream_last_progress_timestamp_seconds")

    assert at(0) == 1_000, "the first batch was read"
    assert at(1) == 1_000, "ten events wait without progress"
    setup.consumer.progress += 1
    assert at(2) == 1_002, "an event was finished"
    setup.consumer.behind = {("texts", 0): 0}
    assert at(3) == 1_003, "no event waits"
    setup.consumer.broker_answers = False
    assert at(4) == 1_003, "the lag is unknown"


def test_a_partition_that_does_not_move_ends_the_worker_while_others_progress() -> None:
    setup = Setup()
    setup.consumer.behind = {("texts", 0): 10, ("texts", 1): 5}
    setup.consumer.safe_offsets["texts", 0] = 40
    for now in range(302):
        setup.consumer.progress += 1
        setup.check_at(now)
    assert [type(failure) for failure in setup.failures] == [StalledError]
    assert "texts-0" in str(setup.failures[0])


def a_batch() -> RecordBatch:
    """Return a batch of one event that waits for an agent."""
    owner: Any = None
    return RecordBatch(Source("texts", 1), [FakeRecord(b"v", offset=7)], OffsetRange(7, 8), 1, owner, 0.0)


def test_a_partition_without_room_for_its_events_does_not_end_the_worker() -> None:
    setup = Setup()
    setup.consumer.behind = {("texts", 0): 10}
    setup.consumer.safe_offsets["texts", 0] = 40
    setup.consumer.unfinished_in = set()
    setup.consumer.unfinished.queue(a_batch())
    for now in range(1_000):
        setup.consumer.progress += 1
        setup.check_at(now)
    assert setup.failures == []
    setup.consumer.unfinished.drop_queued()
    for now in range(1_000, 1_302):
        setup.consumer.progress += 1
        setup.check_at(now)
    assert "was not read" in str(setup.failures[0])


def test_events_behind_an_open_transaction_have_a_gauge_and_are_no_lag() -> None:
    setup = Setup()
    setup.check_at(0)
    value = setup.metrics.registry.get_sample_value
    partition = {"topic": "texts", "partition": "1"}
    assert value("labelstream_consumer_blocked_events", partition) == 500
    assert value("labelstream_consumer_lag", partition) == 0
    setup.consumer.behind_transactions = {}
    setup.check_at(1)
    assert value("labelstream_consumer_blocked_events", partition) is None


def test_an_input_topic_that_cannot_be_read_ends_the_worker() -> None:
    setup = Setup()
    setup.check_at(0)
    assert setup.failures == []
    setup.consumer.topic_error = BrokerError("the input topic texts was deleted")
    setup.check_at(1)
    assert setup.failures == [setup.consumer.topic_error]
