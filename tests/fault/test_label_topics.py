"""Kills, refusals and missing permissions with several output topics."""

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.bundle import Bundle
from tests.fault.test_group_refused import run_doctor
from tests.fault.test_refused import configure
from tests.fault.test_too_large import LARGE, LIMIT
from tests.fault.traffic import RECOVERY_S, Traffic
from tests.pipeline import StartWorker, event, offline_labels, start_worker, tiny_bundle
from tests.real.components import unique
from tests.real.kafka import ApacheKafka
from tests.real.reconcile import dead_ids, label_ids, missing, out_of_order, repeated
from tests.real.secured import GROUP, READ, TOPIC, WRITE, SecuredKafka
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

REVIEW_BELOW = 0.4


def make_label_route(
    kafka: ApacheKafka, bundle: Bundle, partitions: int = 4
) -> tuple[str, list[str], dict[str, object]]:
    """Create the topics of a route, its label topics with 1, 2, … partitions.

    Returns:
        The name of the input topic, the label topics with the review topic as the last one, and the settings.
    """
    route = unique("labelled")
    for name in (route, f"{route}.dead", f"{route}.review"):
        kafka.create_topic(name, partitions)
    topics = [f"{route}.labels.{label}" for label in bundle.manifest.labels]
    for count, name in enumerate(topics, 1):
        kafka.create_topic(name, min(count, partitions))
    settings: dict[str, object] = {
        "output_topic": f"{route}.labels.{{label}}",
        "review_topic": f"{route}.review",
        "review_below": REVIEW_BELOW,
    }
    return route, [*topics, f"{route}.review"], settings


def ids_by_topic(kafka: ApacheKafka, topics: list[str]) -> dict[str, Counter[str]]:
    return {topic: label_ids(kafka.records(topic)) for topic in topics}


def await_committed(kafka: ApacheKafka, group: str, route: str) -> None:
    until(
        lambda: kafka.committed(group, route) == kafka.end_offsets(route),
        RECOVERY_S,
        "every offset committed",
    )


@pytest.mark.slow
def test_a_kill_with_label_topics_and_a_review_topic_lose_nothing(
    apache_kafka: ApacheKafka, start_worker: StartWorker, tiny_bundle: Bundle
) -> None:
    route, topics, settings = make_label_route(apache_kafka, tiny_bundle)

    def written() -> int:
        return sum(sum(apache_kafka.end_offsets(topic).values()) for topic in topics)

    with Traffic(apache_kafka, route) as traffic:
        worker = start_worker(apache_kafka, route, **settings)
        until(lambda: written() > 300, RECOVERY_S, "labels under load")
        worker.kill()
    last = start_worker(apache_kafka, route, **settings)
    await_committed(apache_kafka, last.group, route)
    found = ids_by_topic(apache_kafka, topics)
    every = sum(found.values(), Counter[str]())
    assert missing(traffic.valid, every) == []
    assert every.keys() == {*traffic.valid}
    topics_of_ids = Counter(event_id for ids in found.values() for event_id in ids)
    assert set(topics_of_ids.values()) == {1}, "an id is in two topics"
    assert sum(bool(ids) for ids in found.values()) >= 3
    assert found[f"{route}.review"]
    assert set(dead_ids(apache_kafka.records(last.dead))) == {*traffic.invalid}
    print(f"{len(traffic.valid)} events, {repeated(every)} repeated; by topic: {[*map(len, found.values())]}")
    assert last.stop() == 0


def test_records_that_one_topic_refuses_become_dead_letters_in_offset_order(
    apache_kafka: ApacheKafka, start_worker: StartWorker, tiny_bundle: Bundle
) -> None:
    route, topics, settings = make_label_route(apache_kafka, tiny_bundle, partitions=1)
    del settings["review_below"]
    events = [event(number) for number in range(120)]
    predicted = offline_labels(tiny_bundle, [orjson.loads(value)["text"] for _, value in events])
    labels = [str(fields["label"]) for fields in predicted]
    ((limited, _),) = Counter(labels).most_common(1)
    configure(apache_kafka, f"{route}.labels.{limited}", "max.message.bytes", str(LIMIT))
    for number, (event_id, value) in enumerate(events):
        headers = [("large", LARGE)] if number % 3 == 0 else []
        apache_kafka.produce(route, value, key=event_id.encode(), headers=headers, partition=0)
    large_tombstone = [("labelstream-id", b"gone"), ("large", LARGE)]
    apache_kafka.produce(route, None, key=b"gone", headers=large_tombstone, partition=0)
    worker = start_worker(apache_kafka, route, **settings)
    await_committed(apache_kafka, worker.group, route)
    refused = [events[at][0] for at, label in enumerate(labels) if label == limited and at % 3 == 0]
    assert refused
    assert len(refused) < sum(number % 3 == 0 for number in range(120)), "only one topic has the limit"
    dead = apache_kafka.records(worker.dead)
    assert [(record.key or b"").decode() for record in dead] == [*refused, "gone"]
    found: dict[str, str] = {}
    for topic in topics:
        records = apache_kafka.records(topic)
        assert [r.key for r in records if r.value is None] == [b"gone"] * (not topic.endswith(limited))
        values = [record for record in records if record.value is not None]
        assert out_of_order(values) == []
        found |= dict.fromkeys(label_ids(values), topic)
    assert found == {
        event_id: f"{route}.labels.{label}"
        for (event_id, _), label in zip(events, labels, strict=True)
        if event_id not in refused
    }
    assert worker.metric("labelstream_events_total", outcome="dead") == len(dead)
    assert worker.metric("labelstream_events_total", outcome="labelled") == len(found)
    assert worker.metric("labelstream_events_total", outcome="tombstone") == 0


def test_doctor_names_a_label_topic_that_the_user_may_not_write_to(
    secured_kafka: SecuredKafka, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    route, topics, settings = make_label_route(secured_kafka, tiny_bundle)
    secured_kafka.allow(GROUP, f"group-{route}", READ)
    secured_kafka.allow(TOPIC, route, READ)
    for topic in (*topics, f"{route}.dead"):
        secured_kafka.allow(TOPIC, topic, WRITE)

    def doctor() -> tuple[int, str]:
        login: dict[str, Any] = secured_kafka.login(tmp_path)
        return run_doctor(route, tiny_bundle.path, broker=secured_kafka.secured.address, **login, **settings)

    assert doctor()[0] == 0
    secured_kafka.revoke(TOPIC, topics[2], WRITE)
    code, shown = doctor()
    assert code == 4
    assert f"--operation Write --topic {topics[2]}" in shown
