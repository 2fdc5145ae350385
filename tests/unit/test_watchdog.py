"""The watchdog tells a worker that waits from one that hangs."""

from stream.errors import StalledError
from stream.observe.metrics import Metrics
from stream.worker.watchdog import Watch


class FakeConsumer:
    """A consumer whose state the test sets."""

    def __init__(self) -> None:
        self.queued_events = 7
        self.queued_bytes = 700
        self.in_flight_events = 3
        self.progress = 1
        self.full = False
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
        self.watch = Watch(
            self.consumer,
            self.metrics,
            300,
            lambda: self.now,
            self.failures.append,
            lambda: 1_000 + self.now,
        )

    def look_at(self, now: float) -> None:
        self.now = now
        self.watch.look()


def test_lag_without_progress_ends_the_worker() -> None:
    setup = Setup()
    for now in (0, 299, 300):
        setup.look_at(now)
    assert setup.failures == []
    setup.look_at(301)
    assert isinstance(setup.failures[0], StalledError)
    assert setup.failures[0].exit_code == 5


def test_progress_begins_the_time_anew() -> None:
    setup = Setup()
    setup.look_at(0)
    setup.consumer.progress += 1
    setup.look_at(299)
    setup.look_at(599)
    assert setup.failures == []


def test_nothing_to_do_is_no_stall() -> None:
    setup = Setup()
    setup.consumer.behind = {("texts", 0): 0}
    setup.look_at(0)
    setup.look_at(10_000)
    assert setup.failures == []


def test_gauges_follow_the_consumer_and_forget_partitions_given_back() -> None:
    setup = Setup()
    setup.consumer.full = True
    setup.look_at(0)
    value = setup.metrics.registry.get_sample_value
    assert value("labelstream_queue_events") == 7
    assert value("labelstream_partitions_assigned") == 2
    assert value("labelstream_partitions_paused") == 2
    assert value("labelstream_consumer_lag", {"topic": "texts", "partition": "0"}) == 10
    setup.consumer.behind = {}
    setup.look_at(1)
    assert value("labelstream_consumer_lag", {"topic": "texts", "partition": "0"}) is None


def test_the_time_of_the_last_progress_stands_still_while_work_waits_or_the_broker_is_silent() -> None:
    setup = Setup()
    value = setup.metrics.registry.get_sample_value

    def at(now: float) -> float | None:
        setup.look_at(now)
        return value("labelstream_last_progress_timestamp_seconds")

    assert at(0) == 1_000, "the first batch was read"
    assert at(1) == 1_000, "ten events wait and nothing moves"
    setup.consumer.progress += 1
    assert at(2) == 1_002, "one was finished"
    setup.consumer.behind = {("texts", 0): 0}
    assert at(3) == 1_003, "nothing is left to do"
    setup.consumer.broker_answers = False
    assert at(4) == 1_003, "nobody knows what is left to do"
