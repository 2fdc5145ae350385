"""The watchdog ends a worker that hangs, and not one that has nothing to do."""

from stream.errors import StalledError
from stream.kafka.unfinished import UnfinishedEvents
from stream.observe.metrics import Metrics
from stream.worker.watchdog import Watchdog


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

    def lag(self) -> dict[tuple[str, int], int]:
        return self.behind


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
