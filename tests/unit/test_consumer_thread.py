"""The thread of aiokafka's consumer: positions, commits and fetches of topics that change."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, OffsetOutOfRangeError, TopicAuthorizationFailedError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.types import TP
from structlog.testing import capture_logs

from stream.kafka.consumer import ConsumerConfig
from stream.kafka.faust.app import BatchApp
from stream.kafka.faust.consumer_thread import BatchConsumerThread
from stream.kafka.faust.options import faust_options
from stream.kafka.faust.positions import Position
from stream.kafka.fetch_policy import FetchPolicy
from stream.kafka.group import GroupAnswers
from stream.observe.metrics import Metrics
from stream.settings import load_settings
from stream.worker.observer import MetricsObserver
from tests.unit.fake_producers import FakeProducers

PARTITION = TopicPartition("texts", 0)
OLD, NEW = b"o" * 16, b"n" * 16
OLD_MARK, NEW_MARK = "topic-id:b29vb29vb29vb29vb29vbw", "topic-id:bm5ubm5ubm5ubm5ubm5ubg"
UNKNOWN, DENIED = 3, 29


class FakeFetcher:
    """A fetcher whose next fetch raises the error that the test sets."""

    _closed = False

    def __init__(self) -> None:
        self._records: Any = OrderedDict()
        self._subscriptions = SimpleNamespace(fetch_context=nullcontext)
        self.error: Exception | None = None

    async def fetched_records(self, *_: object, **__: object) -> dict[TopicPartition, list[Any]]:
        if self.error:
            raise self.error
        return {}


class FakeKafka:
    """An `AIOKafkaConsumer` with one topic; the test sets what the broker and the group know."""

    _closed = False
    _max_poll_records = 100

    def __init__(self) -> None:
        self.topic: tuple[Any, ...] = self.state(OLD)
        self.log = (0, 50)
        self.high_watermark: int | None = 50
        self.stable_end: int | None = 50
        self.group: dict[TopicPartition, OffsetAndMetadata] = {}
        self.sought: dict[TopicPartition, int] = {}
        self.rejoins = 0
        self.updates = 0
        self.answers = True
        self.closed = False
        self._fetcher = FakeFetcher()
        self._client = self
        self._coordinator = self
        self.cluster = SimpleNamespace(brokers=lambda: [SimpleNamespace(nodeId=1)])

    @staticmethod
    def state(topic_id: bytes, partitions: int = 1, error: int = 0) -> tuple[Any, ...]:
        """Return the entry of the topic in a metadata response."""
        return (error, "texts", topic_id, False, [()] * partitions, 0, {})

    async def send(self, _node: int, _request: object) -> Any:
        if not self.answers:
            raise KafkaConnectionError("refused")
        return SimpleNamespace(topics=[self.topic])

    def force_metadata_update(self) -> Any:
        self.updates += 1
        updated = asyncio.get_running_loop().create_future()
        updated.set_result(True)
        return updated

    def request_rejoin(self) -> None:
        self.rejoins += 1

    async def fetch_committed_offsets(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        return {tp: self.group[tp] for tp in partitions if tp in self.group}

    def subscription(self) -> frozenset[str]:
        return frozenset({"texts"})

    def assignment(self) -> set[TopicPartition]:
        return {PARTITION}

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return {0, 1}

    async def beginning_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.log[0])

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.log[1])

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.sought[tp] = offset

    async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        self.group.update(offsets)

    async def stop(self) -> None:
        """Stop like aiokafka while a fetch waits for its retry."""
        raise asyncio.CancelledError

    async def close(self) -> None:
        self.closed = True

    def highwater(self, _tp: TopicPartition) -> int | None:
        return self.high_watermark

    def last_stable_offset(self, _tp: TopicPartition) -> int | None:
        return self.stable_end


async def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of the thread at once."""
    return await function(*args, **kwargs)


class Setup:
    """A consumer thread that is never started, on a double of aiokafka's consumer."""

    def __init__(self, start_at: str = "earliest") -> None:
        self.metrics = Metrics()
        observer = MetricsObserver(self.metrics)
        config = ConsumerConfig(start_at=start_at)

        def new_thread(consumer: Any) -> BatchConsumerThread:
            policy = FetchPolicy(0.0, lambda: 0.0)
            answers = GroupAnswers(load_settings(), lambda: 0.0, lambda _error: None)
            return BatchConsumerThread(
                consumer, config=config, observer=observer, fetch_policy=policy, group_answers=answers
            )

        app = BatchApp(
            "unit",
            faust_options(load_settings()),
            config=config,
            observer=observer,
            new_thread=new_thread,
            producers=FakeProducers(),
        )
        self.consumer: Any = app.consumer
        self.thread: Any = self.consumer._thread
        self.kafka = FakeKafka()
        self.thread._consumer = self.kafka
        self.thread.call_thread = call

    async def positions(self) -> Any:
        return await self.thread.set_positions()

    async def recreate(self) -> None:
        """Delete the topic and create it again, so that the next probe finds it."""
        self.kafka.topic = self.kafka.state(NEW)
        await self.thread.probe.probe()

    def count(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"labelstream_{name}", labels)


@pytest.fixture
async def setup() -> Setup:
    return Setup()


async def test_an_offset_is_committed_with_the_id_of_its_topic(setup: Setup) -> None:
    await setup.positions()
    assert await setup.thread.commit({TP("texts", 0): 40})
    assert setup.kafka.group == {PARTITION: OffsetAndMetadata(40, OLD_MARK)}
    assert await setup.positions() == {PARTITION: Position(40, 40, 0)}


async def test_the_offset_of_a_deleted_topic_is_not_used_in_the_new_one(setup: Setup) -> None:
    setup.kafka.group = {PARTITION: OffsetAndMetadata(40, OLD_MARK)}
    setup.kafka.topic = setup.kafka.state(NEW)
    with capture_logs() as lines:
        assert await setup.positions() == {PARTITION: Position(0, None, 0)}
    assert setup.kafka.sought == {PARTITION: 0}
    assert setup.count("topic_recreations_total", topic="texts") == 1
    assert lines[0]["log_level"] == "error"
    assert await setup.thread.commit({TP("texts", 0): 0})
    assert setup.kafka.group == {PARTITION: OffsetAndMetadata(0, NEW_MARK)}
    await setup.positions()
    assert setup.count("topic_recreations_total", topic="texts") == 1


async def test_an_offset_of_an_earlier_version_stays_valid_and_gets_the_id(setup: Setup) -> None:
    setup.kafka.group = {PARTITION: OffsetAndMetadata(40, "")}
    assert await setup.positions() == {PARTITION: Position(40, None, 0)}, (
        "without an id, it is committed again"
    )
    assert setup.count("topic_recreations_total", topic="texts") is None


async def test_a_topic_that_is_created_again_ends_the_epoch_and_its_lost_events_are_counted(
    setup: Setup,
) -> None:
    await setup.positions()
    await setup.thread.probe.probe()
    assert setup.kafka.rejoins == 0
    setup.kafka.log = (0, 10)
    await setup.recreate()
    assert setup.kafka.rejoins == 1
    assert setup.kafka.updates == 1
    assert not await setup.thread.commit({TP("texts", 0): 40})
    assert setup.kafka.group == {}, "nothing of the old log is committed in the new one"
    setup.thread.end_epoch({TP("texts", 0): 38}, setup.thread.log_ends())
    await setup.positions()
    assert setup.kafka.sought == {PARTITION: 0}
    assert setup.count("offsets_skipped_total", topic="texts", partition="0") == 12
    assert setup.count("topic_recreations_total", topic="texts") == 1
    assert await setup.thread.commit({TP("texts", 0): 3})
    assert setup.kafka.group == {PARTITION: OffsetAndMetadata(3, NEW_MARK)}


async def test_events_that_stay_unfinished_at_an_ordinary_rebalance_are_not_counted_as_lost(
    setup: Setup,
) -> None:
    await setup.positions()
    setup.thread.end_epoch({TP("texts", 0): 38}, setup.thread.log_ends())
    await setup.positions()
    await setup.recreate()
    await setup.positions()
    assert not setup.count("offsets_skipped_total", topic="texts", partition="0")


async def test_the_lost_events_are_counted_when_a_deleted_topic_exists_again(setup: Setup) -> None:
    await setup.positions()
    setup.kafka.topic = setup.kafka.state(bytes(16), 0, UNKNOWN)
    await setup.thread.probe.probe()
    setup.thread.end_epoch({TP("texts", 0): 38}, setup.thread.log_ends())
    assert await setup.positions() == {}, "a missing topic has no positions"
    assert not setup.count("offsets_skipped_total", topic="texts", partition="0")
    await setup.recreate()
    assert setup.kafka.rejoins == 1
    await setup.positions()
    assert setup.count("offsets_skipped_total", topic="texts", partition="0") == 12


async def test_events_that_only_a_fetch_has_reported_count_as_lost(setup: Setup) -> None:
    await setup.positions()
    setup.kafka.stable_end = 1_000
    setup.kafka.topic = setup.kafka.state(bytes(16), 0, UNKNOWN)
    await setup.thread.probe.probe()
    ends = setup.thread.log_ends()
    setup.kafka.stable_end = 5_000
    await setup.recreate()
    assert setup.thread.log_ends() == {TP("texts", 0): 50}, "a fetch reports the end of the new topic"
    setup.thread.end_epoch({TP("texts", 0): 38}, ends)
    await setup.positions()
    assert setup.count("offsets_skipped_total", topic="texts", partition="0") == 962


async def test_a_topic_that_was_created_again_is_reported_once_although_offsets_of_the_old_one_remain(
    setup: Setup,
) -> None:
    # A worker that ends before its first commit in the new topic leaves such an offset.
    setup.kafka.group = {TopicPartition("texts", 1): OffsetAndMetadata(40, OLD_MARK)}
    await setup.positions()
    await setup.recreate()
    setup.thread.end_epoch({TP("texts", 0): 38}, {TP("texts", 0): 50})
    await setup.positions()
    setup.thread.end_epoch({TP("texts", 0): 5}, {TP("texts", 0): 50})
    await setup.positions()
    assert setup.count("topic_recreations_total", topic="texts") == 1
    assert setup.count("offsets_skipped_total", topic="texts", partition="0") == 12


async def test_a_new_group_at_latest_reads_a_topic_that_is_created_again_from_its_beginning() -> None:
    setup = Setup(start_at="latest")
    assert await setup.positions() == {PARTITION: Position(50, None, 0)}
    await setup.recreate()
    assert await setup.positions() == {PARTITION: Position(0, None, 0)}


async def test_another_partitions_offset_shows_that_the_topic_was_created_again() -> None:
    setup = Setup(start_at="latest")
    setup.kafka.group = {TopicPartition("texts", 1): OffsetAndMetadata(7, OLD_MARK)}
    setup.kafka.topic = setup.kafka.state(NEW)
    assert await setup.positions() == {PARTITION: Position(0, None, 0)}


async def test_a_position_beyond_the_end_of_the_log_ends_the_epoch(setup: Setup) -> None:
    await setup.positions()
    setup.kafka.sought.clear()
    setup.kafka._fetcher.error = OffsetOutOfRangeError({PARTITION: 60})
    for _ in range(2):
        assert await setup.thread.getmany({PARTITION}, timeout=0.0) == {}
    assert setup.kafka.rejoins == 1, "once in an epoch"
    assert setup.kafka.sought == {}
    assert setup.count("offsets_skipped_total", topic="texts", partition="0") is None


async def test_a_position_before_the_beginning_of_the_log_is_skipped_and_counted(setup: Setup) -> None:
    setup.kafka.log = (20, 50)
    setup.kafka._fetcher.error = OffsetOutOfRangeError({PARTITION: 5})
    assert await setup.thread.getmany({PARTITION}, timeout=0.0) == {}
    assert setup.kafka.sought == {PARTITION: 20}
    assert setup.kafka.rejoins == 0
    assert setup.count("offsets_skipped_total", topic="texts", partition="0") == 15


async def test_a_fetch_that_is_not_authorized_is_an_error_of_the_topic(setup: Setup) -> None:
    await setup.positions()
    setup.kafka._fetcher.error = TopicAuthorizationFailedError("texts")
    assert await setup.thread.getmany({PARTITION}, timeout=0.0) == {}
    assert setup.consumer.topic_error.exit_code == 4
    assert not await setup.thread.commit({TP("texts", 0): 40})


@pytest.mark.parametrize("error", [UNKNOWN, DENIED])
async def test_a_topic_that_cannot_be_read_does_not_make_the_broker_silent(setup: Setup, error: int) -> None:
    await setup.positions()
    setup.kafka.topic = setup.kafka.state(bytes(16), 0, error)
    await setup.thread.probe.probe()
    assert setup.thread.probe.failure == ""
    assert setup.consumer.topic_problem
    assert setup.thread.probe.ends == {PARTITION: 50}, "the last known end tells which events are lost"


async def test_positions_are_not_set_without_the_ids_of_the_topics(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.kafka.faust.consumer_thread.REQUEST_TIMEOUT_S", 0.0)
    setup.kafka.answers = False
    with pytest.raises(KafkaConnectionError):
        await setup.positions()
    assert setup.kafka.sought == {}


async def test_a_commit_without_an_answer_fails_after_a_while(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.kafka.faust.consumer_thread.COMMIT_TIMEOUT_S", 0.01)
    monkeypatch.setattr(setup.kafka, "commit", lambda _: asyncio.get_running_loop().create_future())
    await setup.positions()
    assert not await asyncio.wait_for(setup.thread.commit({TP("texts", 0): 40}), 5)


@pytest.mark.parametrize(
    ("high_watermark", "stable_end", "blocked"),
    [(50, 50, 0), (550, 50, 500), (None, None, 0), (50, -1, 0), (50, None, 0), (40, 50, 0)],
)
async def test_blocked_events_lie_between_last_stable_offset_and_high_watermark(
    setup: Setup, high_watermark: int | None, stable_end: int | None, blocked: int
) -> None:
    setup.kafka.high_watermark, setup.kafka.stable_end = high_watermark, stable_end
    assert setup.thread.blocked() == {PARTITION: blocked}


async def test_a_fetch_that_waits_for_its_retry_does_not_keep_the_thread_from_stopping(setup: Setup) -> None:
    await setup.thread.on_thread_stop()
    assert setup.kafka.closed
