"""Bounds of the worker's memory when the model is too slow: partitions are paused."""

from pathlib import Path

import orjson
import pytest

from tests.delivery_checks import RECOVERY_S, await_all_committed, check_order, produce_evenly
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

EVENTS, EVENT_BYTES = 3_000, 8_000
# One fetch returns up to 1 MiB per partition.
FETCH_BYTES = 4 * 2**20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "max_events"),
    [
        ({"max_queue_events": 400}, 400 + FETCH_BYTES // EVENT_BYTES),
        ({"max_queue_bytes": 2**21}, (2**21 + FETCH_BYTES) // EVENT_BYTES),
    ],
    ids=["events", "bytes"],
)
def test_a_blocked_model_pauses_the_partitions(
    apache_kafka: ApacheKafka,
    start_worker: StartWorker,
    tmp_path: Path,
    limit: dict[str, int],
    max_events: int,
) -> None:
    route = make_route(apache_kafka, "bounds")
    filler = "x" * EVENT_BYTES
    produce_evenly(
        apache_kafka, route, [orjson.dumps({"text": f"{n} {filler}"[:EVENT_BYTES]}) for n in range(EVENTS)]
    )
    hold = tmp_path / "hold"
    hold.touch()
    worker = start_worker(apache_kafka, route, program=Oddity(held_by=str(hold)).program(), **limit)
    until(lambda: worker.metric("labelstream_partitions_paused") == 4, RECOVERY_S, "paused partitions")
    held_events = worker.metric("labelstream_queue_events") + worker.metric("labelstream_in_flight_events")
    assert 0 < held_events <= max_events < EVENTS / 2
    hold.unlink()
    await_all_committed(apache_kafka, worker.group, route)
    check_order(apache_kafka, route)
    until(lambda: worker.metric("labelstream_partitions_paused") == 0, RECOVERY_S, "resumed partitions")
    assert worker.stop() == 0
