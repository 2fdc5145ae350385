"""Output records that are larger than their topics take: one outcome each, and the partition goes on."""

import random
from hashlib import sha256

import jsonschema
import orjson
import pytest

from stream.schemas import load_schema
from tests.delivery_checks import (
    RECOVERY_S,
    await_all_committed,
    check_no_gaps,
    check_order,
    count_repeats,
    count_written,
    produce_evenly,
)
from tests.fault.test_refused import configure
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

LIMIT = 20_000
# Random bytes, because the broker compares the compressed size.
LARGE = random.Random(0).randbytes(60_000)
MORE_EVENTS = 4_000


def test_oversized_labels_become_dead_letters_in_offset_order(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "large-labels", partitions=1)
    configure(apache_kafka, f"{route}.labels", "max.message.bytes", str(LIMIT))
    large = [number for number in range(60) if number % 7 == 3]
    broken = [number for number in range(60) if number % 10 == 5]
    for number in range(60):
        value = b"{broken" if number in broken else event(number)[1]
        own = [("large", LARGE)] if number in large else []
        apache_kafka.produce(route, value, key=b"k%d" % number, headers=own, partition=0)
    worker = start_worker(apache_kafka, route)
    await_all_committed(apache_kafka, worker.group, route)
    dead = apache_kafka.records(worker.dead)
    assert [int((record.key or b"")[1:]) for record in dead] == sorted({*large, *broken})
    for record in dead:
        headers = dict(record.headers)
        number = int((record.key or b"")[1:])
        reason = b"decode" if number in broken else b"too-large"
        assert headers["labelstream-error-reason"] == reason
        assert record.value == (b"{broken" if number in broken else event(number)[1])
        assert headers.get("large") == (LARGE if number in large else None)
    labelled = 60 - len(dead)
    assert worker.metric("labelstream_events_total", outcome="labelled") == labelled
    assert worker.metric("labelstream_events_total", outcome="dead") == len(dead)
    assert worker.metric("labelstream_dead_letters_total", reason="too-large") == len({*large} - {*broken})
    # The producer continues: further batches are neither refused nor repeated.
    for start in range(0, MORE_EVENTS, 500):
        apache_kafka.produce(route, *(event(n, "more")[1] for n in range(start, start + 500)), partition=0)
    await_all_committed(apache_kafka, worker.group, route)
    for _ in range(2):
        assert worker.stop() == 0
        worker = start_worker(apache_kafka, route)
    await_all_committed(apache_kafka, worker.group, route)
    check_order(apache_kafka, route)
    check_no_gaps(apache_kafka, route)
    assert count_written(apache_kafka, route) == 60 + MORE_EVENTS


def test_an_oversized_tombstone_becomes_a_dead_letter(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "large-tombstone", partitions=1)
    configure(apache_kafka, f"{route}.labels", "max.message.bytes", str(LIMIT))
    apache_kafka.produce(route, None, key=LARGE, partition=0)
    apache_kafka.produce(route, None, key=b"small", partition=0)
    worker = start_worker(apache_kafka, route)
    until(lambda: apache_kafka.committed(worker.group, route) == {0: 2}, RECOVERY_S, "both committed")
    (dead,) = apache_kafka.records(worker.dead)
    assert (dead.key, dead.value) == (LARGE, None)
    assert dict(dead.headers)["labelstream-error-reason"] == b"too-large"
    (tombstone,) = apache_kafka.records(worker.labels)
    assert (tombstone.key, tombstone.value) == (b"small", None)
    assert worker.metric("labelstream_events_total", outcome="tombstone") == 1


@pytest.mark.parametrize("limit", [LIMIT, 3_000])
def test_a_dead_letter_is_cut_to_the_limit_of_its_topic(
    apache_kafka: ApacheKafka, start_worker: StartWorker, limit: int
) -> None:
    route = make_route(apache_kafka, "large-dead", partitions=1)
    configure(apache_kafka, f"{route}.dead", "max.message.bytes", str(limit))
    configure(apache_kafka, f"{route}.labels", "max.message.bytes", str(LIMIT))
    values: list[bytes | None] = [LARGE, b"{broken", LARGE, event(3)[1], b"{broken", None, event(6)[1]]
    keys = [b"k", b"k", b"k", b"k", LARGE, LARGE, b"k"]
    headers = [[], [("h", LARGE)], [("h", LARGE), ("small", b"1")], [("h", LARGE)], [], [], []]
    for value, key, own in zip(values, keys, headers, strict=True):
        apache_kafka.produce(route, value, key=key, headers=own, partition=0)
    worker = start_worker(apache_kafka, route)
    until(lambda: apache_kafka.committed(worker.group, route) == {0: 7}, RECOVERY_S, "all committed")
    dead = apache_kafka.records(worker.dead)
    reasons = []
    for offset, record in enumerate(dead):
        found = {name: (data or b"").decode("utf-8", "replace") for name, data in record.headers}
        jsonschema.validate(found, load_schema("dead-letter-headers.v1"))
        assert found["labelstream-error-truncated"] == "true"
        assert found["labelstream-error-offset"] == str(offset)
        value = values[offset]
        if value is None:
            assert record.value is None
        else:
            assert value.startswith(record.value or b"")
            assert found["labelstream-error-original-size"] == str(len(value))
            assert found["labelstream-error-original-sha256"] == sha256(value).hexdigest()
        reasons.append(found["labelstream-error-reason"])
    assert reasons == ["decode", "decode", "decode", "too-large", "decode", "too-large"]
    assert limit // 2 < len(dead[0].value or b"") < limit
    assert dead[1].value == b"{broken"
    assert dead[4].key is None
    assert worker.metric("labelstream_dead_letters_truncated_total") == 6
    lines = [line for line in worker.log_lines() if line["event"] == "dead letter truncated"]
    assert [(line["level"], line["offset"]) for line in lines] == [("error", str(n)) for n in range(6)]
    (label,) = apache_kafka.records(worker.labels)
    assert orjson.loads(label.value or b"")["id"] == event(6)[0]
    assert worker.stop() == 0


@pytest.mark.slow
def test_a_limit_that_is_lowered_under_load_splits_batches_without_loss_or_repeats(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "lowered")
    produce_evenly(apache_kafka, route, [event(number)[1] for number in range(8_000)])
    program = Oddity(seconds_a_batch=0.01).program()
    worker = start_worker(apache_kafka, route, program=program, cache_local_entries=0)
    until(lambda: count_written(apache_kafka, route) > 0, RECOVERY_S, "labels under load")
    configure(apache_kafka, worker.labels, "max.message.bytes", "3000")
    assert count_written(apache_kafka, route) < 8_000, "the limit was lowered too late"
    await_all_committed(apache_kafka, worker.group, route)
    check_order(apache_kafka, route)
    check_no_gaps(apache_kafka, route)
    assert sum(apache_kafka.end_offsets(worker.dead).values()) == 0
    configure(apache_kafka, worker.labels, "max.message.bytes", "100")
    produce_evenly(apache_kafka, route, [event(number, "tiny")[1] for number in range(200)])
    await_all_committed(apache_kafka, worker.group, route)
    assert sum(apache_kafka.end_offsets(worker.dead).values()) == 200
    assert count_repeats(apache_kafka, route) == 0
    assert worker.stop() == 0
