"""Order of labels: inference is ordered by length, publishing by offset."""

import random

import pytest

from tests.delivery_checks import (
    await_all_committed,
    check_order,
    count_repeats,
    produce_evenly,
    uneven_values,
)
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka

__all__ = ["start_worker", "tiny_bundle"]


@pytest.mark.slow
def test_inference_is_ordered_by_length_and_publishing_by_offset(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "order")
    produce_evenly(apache_kafka, route, uneven_values(random.Random(4)))
    apache_kafka.produce(route, b"{broken", *[b'{"text": "again"}', b"{broken"] * 50, partition=1)
    odd = Oddity(seconds_a_batch=0.01)
    worker = start_worker(apache_kafka, route, program=odd.program(), max_batch_tokens=512)
    await_all_committed(apache_kafka, worker.group, route)
    assert count_repeats(apache_kafka, route) == 0
    check_order(apache_kafka, route)
    filled = worker.metric("labelstream_batch_fill_ratio_sum")
    batches = worker.metric("labelstream_batch_fill_ratio_count")
    assert filled / batches > 0.8, "the fill ratio is not above that of arrival order, which is about 0.5"
    assert worker.stop() == 0
