"""The clients on every broker: requests with replies, and the consumption of a label topic."""

import asyncio
from typing import Any

import pytest

from stream.bundle import Bundle
from stream.client import (
    Classification,
    LabelClient,
    LabelConsumer,
    LabelEvent,
    LabelTimeoutError,
    Reason,
    RejectedError,
    RowError,
    SyncLabelClient,
    Tombstone,
    UnreadableRecord,
    UsageError,
)
from stream.errors import BrokerError
from tests.pipeline import StartWorker, event, make_route, offline_labels, start_worker, tiny_bundle
from tests.real.client import BrokerClient
from tests.real.raw_batches import batch, produce_batches, record
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

RECOVERY_S = 60.0


def topics(broker: BrokerClient, route: str) -> dict[str, Any]:
    """Return the settings of a client for a route."""
    return {
        "broker": broker.address,
        "input_topic": route,
        "output_topic": f"{route}.labels",
        "dead_topic": f"{route}.dead",
    }


async def test_requests_get_the_labels_of_their_texts(
    broker: BrokerClient, start_worker: StartWorker, tiny_bundle: Bundle
) -> None:
    route = make_route(broker, "request")
    worker = await asyncio.to_thread(start_worker, broker, route)
    texts = [f"{'refund ' * (number % 5)}where is my card {number}" for number in range(60)]
    expected = offline_labels(tiny_bundle, texts)
    async with LabelClient(**topics(broker, route), timeout_s=RECOVERY_S, max_in_flight=7) as client:
        found = await client.classify_many([*texts, " "])
        assert found.pop() == RowError(Reason.EMPTY, "text contains only white space")
        for prediction, offline in zip(found, expected, strict=True):
            assert isinstance(prediction, Classification)
            assert prediction.label == offline["label"]
            assert prediction.scores == pytest.approx(offline["scores"], abs=1e-5)
        with pytest.raises(RejectedError, match="white space") as rejected:
            await client.classify("\n", key=b"k")
        assert rejected.value.reason is Reason.EMPTY
        assert (await client.classify(texts[0])).label == expected[0]["label"]
    with pytest.raises(UsageError, match="not open"):
        await client.classify("hi")

    def ask() -> Classification:
        with SyncLabelClient(**topics(broker, route), timeout_s=RECOVERY_S) as blocking:
            return blocking.classify(texts[1])

    assert (await asyncio.to_thread(ask)).label == expected[1]["label"]
    assert await asyncio.to_thread(worker.stop) == 0


async def test_a_request_without_a_worker_ends_at_its_deadline(broker: BrokerClient) -> None:
    route = make_route(broker, "nobody")
    async with LabelClient(**topics(broker, route), timeout_s=RECOVERY_S) as client:
        with pytest.raises(LabelTimeoutError, match=r"within 0\.5 s"):
            await client.classify("hi", timeout_s=0.5)
        waiting = asyncio.create_task(client.classify("hi"))
        await asyncio.sleep(0)
    with pytest.raises(UsageError, match="closed"):
        await waiting


async def test_a_client_needs_its_broker_and_topics(broker: BrokerClient) -> None:
    with pytest.raises(BrokerError, match="does not answer"):
        async with LabelClient(broker="127.0.0.1:1"):
            pass


async def test_a_consumer_reads_every_label_event_and_marks_duplicates(
    broker: BrokerClient, start_worker: StartWorker
) -> None:
    route = make_route(broker, "consume")
    worker = await asyncio.to_thread(start_worker, broker, route)
    ids = []
    for number in range(40):
        event_id, value = event(number)
        broker.produce(route, value, key=event_id.encode(), partition=number % 4)
        ids.append(event_id)
    await asyncio.to_thread(
        until, lambda: sum(broker.end_offsets(worker.labels).values()) >= 40, RECOVERY_S, "40 labels"
    )
    first = broker.records(worker.labels)[0]
    broker.produce(worker.labels, first.value, b"[]", None, key=b"again", partition=first.partition)
    consumed = []
    consumer = LabelConsumer(worker.labels, group=f"c-{route}", broker=broker.address)
    async with consumer as labels, asyncio.timeout(RECOVERY_S):
        async for found in labels:
            consumed.append(found)
            if len(consumed) == 43:
                break
    events = [found for found in consumed if isinstance(found, LabelEvent)]
    assert sorted(found.id for found in events if not found.duplicate) == sorted(ids)
    (duplicate,) = (found for found in events if found.duplicate)
    assert duplicate.key == b"again"
    assert {type(found) for found in consumed} == {LabelEvent, UnreadableRecord, Tombstone}
    # The last record was not finished, so another consumer of the group reads it again, and only it.
    async with (
        LabelConsumer(worker.labels, group=f"c-{route}", broker=broker.address) as labels,
        asyncio.timeout(RECOVERY_S),
    ):
        again = await anext(labels)
    assert again.position == consumed[-1].position
    assert sum(broker.committed(f"c-{route}", worker.labels).values()) == 42


async def test_header_names_of_any_bytes_stop_no_client(
    broker: BrokerClient, start_worker: StartWorker
) -> None:
    route = make_route(broker, "odd-headers")
    worker = await asyncio.to_thread(start_worker, broker, route)
    odd = record(0, b'{"text": "refund"}', b"k", [("\udcff", b"1"), ("labelstream-id", b"odd")])
    async with LabelClient(**topics(broker, route), timeout_s=RECOVERY_S) as client:
        await asyncio.to_thread(produce_batches, broker.address, route, batch(odd, 1))
        await asyncio.to_thread(
            until, lambda: sum(broker.end_offsets(worker.labels).values()) >= 1, RECOVERY_S, "1 label"
        )
        assert (await client.classify("where is my card")).label is not None
    consumer = LabelConsumer(worker.labels, group=f"o-{route}", broker=broker.address)
    async with consumer as labels, asyncio.timeout(RECOVERY_S):
        found = [await anext(labels), await anext(labels)]
    headers = {event.id: dict(event.headers) for event in found if isinstance(event, LabelEvent)}
    assert headers["odd"]["\udcff"] == b"1"
    assert len(headers) == 2


async def test_a_consumer_needs_its_topics(broker: BrokerClient) -> None:
    with pytest.raises(BrokerError, match="has no topic missing-labels"):
        async with LabelConsumer("missing-labels", group="g", broker=broker.address):
            pass
