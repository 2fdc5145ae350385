"""A model that does not keep up: what the worker holds is bounded, and its partitions are paused."""

from pathlib import Path

import orjson
import pytest

from tests.account import BACK_S, await_all, check_order, produce_evenly
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

EVENTS, EVENT_BYTES = 3_000, 8_000
# What one look at the consumer may bring: aiokafka fetches up to 1 MiB a partition.
AT_ONCE_BYTES = 4 * 2**20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "most_events"),
    [
        ({"max_queue_events": 400}, 400 + AT_ONCE_BYTES // EVENT_BYTES),
        ({"max_queue_bytes": 2**21}, (2**21 + AT_ONCE_BYTES) // EVENT_BYTES),
    ],
    ids=["events", "bytes"],
)
def test_a_held_model_pauses_the_partitions_before_memory_fills(
    apache_kafka: ApacheKafka,
    start_worker: StartWorker,
    tmp_path: Path,
    limit: dict[str, int],
    most_events: int,
) -> None:
    route = make_route(apache_kafka, "bounds")
    filler = "x" * EVENT_BYTES
    produce_evenly(
        apache_kafka, route, [orjson.dumps({"text": f"{n} {filler}"[:EVENT_BYTES]}) for n in range(EVENTS)]
    )
    hold = tmp_path / "hold"
    hold.touch()
    worker = start_worker(apache_kafka, route, program=Oddity(held_by=str(hold)).program(), **limit)
    until(lambda: worker.metric("labelstream_partitions_paused") == 4, BACK_S, "paused partitions")
    fetched = worker.metric("labelstream_queue_events") + worker.metric("labelstream_in_flight_events")
    assert 0 < fetched <= most_events < EVENTS / 2
    hold.unlink()
    await_all(apache_kafka, worker.group, route)
    check_order(apache_kafka, route)
    until(lambda: worker.metric("labelstream_partitions_paused") == 0, BACK_S, "partitions that go on")
    assert worker.stop() == 0
