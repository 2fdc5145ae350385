"""Exactly-once delivery: a reader of committed records finds every id once, whatever dies meanwhile."""

import random
import time
from collections import Counter
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from tests.delivery_checks import await_all_committed, count_written
from tests.fault.test_refused import configure
from tests.fault.test_too_large import LARGE, LIMIT
from tests.fault.traffic import Traffic
from tests.odd_worker import Oddity
from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.components import unique
from tests.real.kafka import ApacheKafka
from tests.real.reconcile import dead_ids, label_ids
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]
pytestmark = pytest.mark.slow

RECOVERY_S = 120.0
INVALID_EVERY = 50
SLOW = 0.03


def produce_events(kafka: ApacheKafka, route: str, count: int) -> list[str]:
    """Produce events, every 50th of them invalid, and return their ids."""
    ids = []
    for partition in range(4):
        for number in range(partition, count, 4):
            event_id, _ = event(number)
            ids.append(event_id)
            if number % INVALID_EVERY == 0:
                headers = [("labelstream-id", event_id.encode())]
                kafka.produce(route, b"{broken", headers=headers, partition=partition)
        values = [event(number)[1] for number in range(partition, count, 4) if number % INVALID_EVERY]
        kafka.produce(route, *values, partition=partition)
    return ids


def count_ids(kafka: ApacheKafka, route: str, *, aborted: bool = False) -> Counter[str]:
    """Count each id in the label events and the dead letters."""
    labels = label_ids(kafka.records(f"{route}.labels", aborted=aborted))
    return labels + dead_ids(kafka.records(f"{route}.dead", aborted=aborted))


def check_once(kafka: ApacheKafka, route: str, ids: list[str]) -> None:
    """Check that each id has one label event or one dead letter, and print the counts."""
    found = count_ids(kafka, route)
    everything = count_ids(kafka, route, aborted=True)
    print(
        f"{len(ids)} ids in, {found.total()} records out, {everything.total() - found.total()} aborted copies"
    )
    assert found == Counter(ids)


def start_once(
    start_worker: StartWorker, kafka: ApacheKafka, route: str, oddity: Oddity, **settings: object
) -> WorkerProcess:
    return start_worker(kafka, route, program=oddity.program(), delivery="exactly_once", **settings)


# ---- the same output as with at-least-once delivery


def outcomes(kafka: ApacheKafka, target: str) -> dict[str, list[tuple[object, ...]]]:
    """Return what differs between records of a target, in order, by topic and without the times."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for suffix in ("labels", "dead"):
        found[suffix] = [
            (
                record.partition,
                record.key,
                _label(record.value) if suffix == "labels" else record.value,
                dict(record.headers).get("labelstream-error-reason"),
                dict(record.headers).get("labelstream-error-offset"),
            )
            for record in kafka.records(f"{target}.{suffix}")
        ]
    return found


def _label(value: bytes | None) -> object:
    members = None if value is None else orjson.loads(value)
    return members and (members["id"], members["label"], members["scores"], members["source"])


def test_the_output_is_that_of_at_least_once(apache_kafka: ApacheKafka, start_worker: StartWorker) -> None:
    route = make_route(apache_kafka, "same")
    for number in range(400):
        event_id, value = event(number)
        headers = [("labelstream-id", event_id.encode())]
        if number % 20 == 3:
            headers.append(("large", LARGE))
        written = {5: b"{broken", 7: None}.get(number % 20, value)
        apache_kafka.produce(route, written, key=event_id.encode(), headers=headers, partition=number % 4)
    found = {}
    for delivery in ("at_least_once", "exactly_once"):
        target = unique(delivery.replace("_", "-"))
        for suffix in ("labels", "dead"):
            apache_kafka.create_topic(f"{target}.{suffix}", 4)
            configure(apache_kafka, f"{target}.{suffix}", "max.message.bytes", str(LIMIT))
        worker = start_worker(
            apache_kafka,
            route,
            group=target,
            delivery=delivery,
            output_topic=f"{target}.labels",
            dead_topic=f"{target}.dead",
        )
        until(
            lambda group=target: apache_kafka.committed(group, route) == apache_kafka.end_offsets(route),  # type: ignore[misc]
            RECOVERY_S,
            "every offset committed",
        )
        assert worker.metric("labelstream_dead_letters_truncated_total") > 0
        assert worker.stop() == 0
        found[delivery] = outcomes(apache_kafka, target)
    assert len(found["at_least_once"]["dead"]) == 40
    assert found["exactly_once"] == found["at_least_once"]


# ---- kills


@pytest.mark.timeout(400)
def test_kills_joins_and_leaves_write_every_id_once(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "once")
    generator = random.Random(7)
    # A kill meets an open transaction of most partitions.
    oddity = Oddity(seconds_a_transaction=0.2)
    workers = [start_once(start_worker, apache_kafka, route, oddity) for _ in range(2)]
    with Traffic(apache_kafka, route) as traffic:
        for action in ("kill", "stop", "kill"):
            before = count_written(apache_kafka, route)
            until(lambda least=before: count_written(apache_kafka, route) > least + 100, RECOVERY_S, "labels")  # type: ignore[misc]
            time.sleep(generator.random())
            worker = workers.pop(generator.randrange(len(workers)))
            worker.kill() if action == "kill" else worker.stop()
            workers.append(start_once(start_worker, apache_kafka, route, oddity))
    await_all_committed(apache_kafka, workers[0].group, route)
    check_once(apache_kafka, route, [*traffic.valid, *traffic.invalid])
    assert [worker.stop() for worker in workers] == [0, 0]


def test_a_worker_that_wakes_up_inside_a_transaction_is_fenced(
    apache_kafka: ApacheKafka, start_worker: StartWorker, tmp_path: Path
) -> None:
    route, hold = make_route(apache_kafka, "zombie"), tmp_path / "hold"
    ids = produce_events(apache_kafka, route, 4_000)
    hold.touch()
    first = start_once(start_worker, apache_kafka, route, Oddity(holds_commits=str(hold)))
    until(lambda: count_written(apache_kafka, route) > 0, RECOVERY_S, "records of open transactions")
    assert count_ids(apache_kafka, route).total() == 0
    first.pause()
    second = start_worker(apache_kafka, route, delivery="exactly_once", ready=False)
    until(lambda: sum(apache_kafka.committed(second.group, route).values()) > 0, RECOVERY_S, "the takeover")
    hold.unlink()
    first.resume()
    assert first.await_exit(RECOVERY_S) == 6
    assert "was fenced" in first.log
    await_all_committed(apache_kafka, second.group, route)
    assert count_ids(apache_kafka, route, aborted=True).total() > len(ids), "no transaction was aborted"
    check_once(apache_kafka, route, ids)
    assert second.stop() == 0


@pytest.mark.parametrize("early", [True, False], ids=["offset-before-fencing", "offset-after-fencing"])
def test_the_committed_offset_is_read_after_the_earlier_producer_is_fenced(
    apache_kafka: ApacheKafka, start_worker: StartWorker, tmp_path: Path, early: bool
) -> None:
    """With the steps in the wrong order, a late commit of the earlier owner leads to repeats."""
    route, hold = make_route(apache_kafka, "order"), tmp_path / "hold"
    events = [event(number) for number in range(200)]
    apache_kafka.produce(route, *(value for _, value in events), partition=0)
    owner = Producer(
        {"bootstrap.servers": apache_kafka.address, "transactional.id": f"group-{route}/{route}/0"}
    )
    owner.init_transactions(30)
    owner.begin_transaction()
    for offset, (event_id, _) in enumerate(events[:100]):
        label = {"id": event_id, "source": {"partition": 0, "offset": offset}}
        owner.produce(f"{route}.labels", orjson.dumps(label), partition=0)
    owner.flush(30)
    oddity = Oddity(reads_offsets_early=str(hold) if early else "")
    worker = start_once(start_worker, apache_kafka, route, oddity, ready=False)
    if early:
        until(hold.exists, RECOVERY_S, "the worker to read the offsets")
        commit_late(owner, apache_kafka, worker.group, route)
        hold.unlink()
    else:
        worker.await_ready(RECOVERY_S)
        with pytest.raises(KafkaException):
            commit_late(owner, apache_kafka, worker.group, route)
    await_all_committed(apache_kafka, worker.group, route)
    found = label_ids(apache_kafka.records(worker.labels))
    assert set(found) == {event_id for event_id, _ in events}
    assert found.total() - len(found) == (100 if early else 0)


def commit_late(owner: Producer, kafka: ApacheKafka, group: str, route: str) -> None:
    """Commit the open transaction of an earlier owner of partition 0, with its first 100 offsets."""
    consumer = Consumer({"bootstrap.servers": kafka.address, "group.id": group})
    owner.send_offsets_to_transaction([TopicPartition(route, 0, 100)], consumer.consumer_group_metadata(), 30)
    owner.commit_transaction(30)
    consumer.close()


# ---- the broker


def test_sigterm_with_a_dead_broker_ends_within_the_deadline_and_a_restart_writes_every_id_once(
    apache_kafka: ApacheKafka, start_worker: StartWorker, tmp_path: Path
) -> None:
    if not apache_kafka.owned:
        pytest.skip(
            "the broker of LABELSTREAM_TEST_BROKER must not be killed; unset the variable to run this test"
        )
    route, hold = make_route(apache_kafka, "dead"), tmp_path / "hold"
    ids = produce_events(apache_kafka, route, 4_000)
    hold.touch()
    worker = start_once(
        start_worker, apache_kafka, route, Oddity(holds_commits=str(hold)), drain_deadline_s=3
    )
    until(lambda: count_written(apache_kafka, route) > 0, RECOVERY_S, "records of open transactions")
    apache_kafka.kill()
    began = time.monotonic()
    assert worker.stop() in (0, 5), "neither an orderly exit nor that of the watchdog"
    print(f"ended after {time.monotonic() - began:.1f} s")
    assert "Traceback" not in worker.log
    hold.unlink()
    apache_kafka.start()
    last = start_once(start_worker, apache_kafka, route, Oddity(), ready=False)
    await_all_committed(apache_kafka, last.group, route)
    check_once(apache_kafka, route, ids)
    assert last.stop() == 0


@pytest.mark.timeout(400)
def test_a_killed_and_restarted_broker_leads_to_every_id_once(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    if not apache_kafka.owned:
        pytest.skip(
            "the broker of LABELSTREAM_TEST_BROKER must not be killed; unset the variable to run this test"
        )
    route = make_route(apache_kafka, "restart")
    ids = produce_events(apache_kafka, route, 12_000)
    slow = Oddity(seconds_a_batch=SLOW, seconds_a_transaction=0.2)
    worker = start_once(start_worker, apache_kafka, route, slow)
    until(lambda: count_written(apache_kafka, route) > 0, RECOVERY_S, "labels")
    apache_kafka.kill()
    apache_kafka.start()
    assert count_written(apache_kafka, route) < len(ids), "the worker was not under load"
    while not (ended := all_committed(apache_kafka, worker)):
        time.sleep(0.5)
        if ended is None:
            # A supervisor starts the worker again. The broker may have aborted its transactions meanwhile.
            assert worker.exit_code in (4, 6), worker.log
            worker = start_once(start_worker, apache_kafka, route, slow, ready=False)
    check_once(apache_kafka, route, ids)


def all_committed(kafka: ApacheKafka, worker: WorkerProcess) -> bool | None:
    """Return whether every offset is committed, None if the worker has ended."""
    if worker.ended:
        return None
    return kafka.committed(worker.group, worker.route) == kafka.end_offsets(worker.route)
