"""The planner runs events in an order of its own; they are published in the order they came in."""

import random

import pytest

from tests.account import await_all, check_order, produce_evenly, repeats, uneven_values
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka

__all__ = ["start_worker", "tiny_bundle"]


@pytest.mark.slow
def test_lengths_are_sorted_for_the_model_and_offsets_for_the_broker(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "order")
    produce_evenly(apache_kafka, route, uneven_values(random.Random(4)))
    apache_kafka.produce(route, b"{broken", *[b'{"text": "again"}', b"{broken"] * 50, partition=1)
    odd = Oddity(seconds_a_batch=0.01)
    worker = start_worker(apache_kafka, route, program=odd.program(), max_batch_tokens=512)
    await_all(apache_kafka, worker.group, route)
    assert repeats(apache_kafka, route) == 0
    check_order(apache_kafka, route)
    filled = worker.metric("labelstream_batch_fill_ratio_sum")
    batches = worker.metric("labelstream_batch_fill_ratio_count")
    assert filled / batches > 0.8, "in the order of arrival it is about a half"
    assert worker.stop() == 0
