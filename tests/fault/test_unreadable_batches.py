"""Records with odd framing, and batches that cannot be read, between good records on Apache Kafka.

Apache Kafka 4.3 refuses most broken framing, but stores header names that are not UTF-8, lengths below -1,
wrong offset deltas in uncompressed batches, bytes after compressed records, and batches of any decompressed
size.
"""

import gzip
from collections import Counter
from pathlib import Path

import cramjam
import orjson
import pytest
from aiokafka.codec import lz4_encode

from stream.codec import PYTHON_ONLY
from stream.codec.wire import varint
from tests.delivery_checks import RECOVERY_S
from tests.pipeline import StartWorker, make_route, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.raw_batches import batch, odd_record, produce_batches, read_records, record
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]

GZIP, LZ4, ZSTD = 1, 3, 4
NULL = b"\x01"
NOT_UTF8 = "n\udcff"
MIB = 2**20
# A worker with the tiny bundle takes less than this; a bomb of 600 MiB used to take 2,700 MiB.
BASE_MIB = 400


def good(number: int, delta: int = 0) -> bytes:
    value = orjson.dumps({"id": f"good-{number}", "text": f"where is my parcel {number}"})
    return record(delta, value)


def zstd(data: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(data, level=1))


def value_of(event_id: str) -> bytes:
    """Return an event as the encoded value of a record."""
    value = orjson.dumps({"id": event_id, "text": "my card was charged twice"})
    return varint(len(value)) + value


def ids(worker: WorkerProcess, kafka: ApacheKafka) -> list[str]:
    """Return the ids of all labels, in order."""
    count = kafka.end_offsets(worker.labels)[0]
    return [orjson.loads(label.value)["id"] for label in read_records(kafka.address, worker.labels, count)]


def committed(worker: WorkerProcess, kafka: ApacheKafka) -> int:
    return kafka.committed(worker.group, worker.route).get(0, 0)


def await_committed(worker: WorkerProcess, kafka: ApacheKafka) -> None:
    end = kafka.end_offsets(worker.route)[0]
    until(lambda: committed(worker, kafka) == end, RECOVERY_S, "every offset committed")


def await_end(worker: WorkerProcess) -> tuple[int, float]:
    """Return the exit code, and the highest resident memory in MiB."""
    highest = [0.0]

    def ended() -> bool:
        try:
            status = Path(f"/proc/{worker.pid}/status").read_text()
        except FileNotFoundError:
            return not worker._child.alive
        for line in status.splitlines():
            if line.startswith("VmHWM"):
                highest[0] = max(highest[0], int(line.split()[1]) / 1024)
        return not worker._child.alive

    until(ended, 2 * RECOVERY_S, "the worker's end")
    return worker.exit_code, highest[0]


def check_last_lines(worker: WorkerProcess, fix: str) -> None:
    """Check that a worker stopped in order, and printed its error and the fix at the end."""
    error, cause, printed_fix = worker.log.splitlines()[-3:]
    assert error.startswith("error: the record batch of topic")
    assert cause.startswith("cause: its records exceed")
    assert printed_fix.endswith(fix)
    assert "Traceback" not in worker.log


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["compiled", "python"])
def test_records_with_odd_framing_are_labelled(
    apache_kafka: ApacheKafka, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    if codec == "python":
        monkeypatch.setenv(PYTHON_ONLY, "1")
    route = make_route(apache_kafka, "odd-framing", 1)
    text = b'{"id":"named","text":"hi"}'
    produce_batches(
        apache_kafka.address,
        route,
        batch(good(0), 1),
        batch(record(0, text, b"k", [(NOT_UTF8, b"1"), ("h", None)]), 1),
        batch(odd_record(0, varint(-2) + value_of("key") + b"\0"), 1),
        batch(odd_record(0, NULL + value_of("header") + b"\x02\x02h" + varint(-7)), 1),
        batch(odd_record(0, varint(-2) + varint(-2) + b"\0"), 1),
        batch(record(0, b"{broken", b"k", [(NOT_UTF8, b"2")]), 1),
        batch(record(0, None, b"k", [(NOT_UTF8, b"3")]), 1),
        batch(good(1, 5) + good(2, 1) + good(3, -900), 3),
        batch(gzip.compress(good(4)) + b"bytes after the end", 1, compression=GZIP),
        batch(lz4_encode(good(5)) + b"bytes after the end", 1, compression=LZ4),
        batch(good(6), 1),
    )
    for _ in range(2):
        worker = start_worker(apache_kafka, route)
        await_committed(worker, apache_kafka)
        assert worker.stop() == 0
    labels = read_records(apache_kafka.address, worker.labels, 12)
    labelled = {orjson.loads(label.value)["id"]: label for label in labels if label.value is not None}
    assert set(labelled) == {"named", "key", "header", *(f"good-{at}" for at in range(7))}
    # Two tombstones are among them: a null value, and a value length of -2.
    assert len(labels) == len(labelled) + 2
    assert labelled["named"].headers[:2] == [(NOT_UTF8, b"1"), ("h", None)]
    assert labelled["named"].key == b"k"
    assert labelled["key"].key is None
    assert labelled["header"].headers[0] == ("h", None)
    assert [label.headers[0] for label in labels if label.value is None and label.key] == [(NOT_UTF8, b"3")]
    assert [orjson.loads(labelled[f"good-{at}"].value)["source"]["offset"] for at in (1, 2, 3)] == [7, 8, 9]
    (dead,) = read_records(apache_kafka.address, worker.dead, 1)
    assert (dead.key, dead.value, dead.headers[0]) == (b"k", b"{broken", (NOT_UTF8, b"2"))


@pytest.mark.slow
@pytest.mark.parametrize("compression", [GZIP, LZ4, ZSTD], ids=["gzip", "lz4", "zstd"])
def test_a_record_of_600_mib_ends_the_worker_within_its_memory_until_it_is_quarantined(
    apache_kafka: ApacheKafka, start_worker: StartWorker, compression: int
) -> None:
    compress = {GZIP: lambda data: gzip.compress(data, 1), LZ4: lambda data: lz4_encode(data, 1), ZSTD: zstd}
    route = make_route(apache_kafka, "bomb", 1)
    bomb = compress[compression](record(0, bytes(600 * MIB)))
    apache_kafka.delete_topics(route)
    apache_kafka.create_topic(route, 1, max_message_bytes=10 * MIB)
    produce_batches(
        apache_kafka.address,
        route,
        batch(good(0), 1),
        batch(bomb, 1, compression=compression),
        batch(good(1), 1),
    )
    for _ in range(2):
        worker = start_worker(apache_kafka, route, ready=False, max_decompressed_bytes="64MiB")
        code, highest = await_end(worker)
        assert code == 4
        assert highest < BASE_MIB + 3 * 64
        assert f"topic {route}, partition 0, offset 1 cannot be read" in worker.log
        assert "max_decompressed_bytes" in worker.log
        check_last_lines(worker, f"--quarantine {route}:0:1")
        assert ids(worker, apache_kafka) == ["good-0"]
        assert committed(worker, apache_kafka) == 1
    passing = start_worker(apache_kafka, route, quarantine=f"{route}:0:1", max_decompressed_bytes="64MiB")
    await_committed(passing, apache_kafka)
    assert ids(passing, apache_kafka) == ["good-0", "good-1"]
    (dead,) = read_records(apache_kafka.address, passing.dead, 2)
    headers = dict(dead.headers)
    assert (dead.key, dead.value) == (None, None)
    assert headers["labelstream-error-reason"] == b"quarantined"
    assert headers["labelstream-error-topic"] == route.encode()
    assert (headers["labelstream-error-partition"], headers["labelstream-error-offset"]) == (b"0", b"1")
    assert passing.metric("labelstream_dead_letters_total", reason="quarantined") == 1


@pytest.mark.slow
def test_400_mb_of_small_records_in_one_batch_stay_within_the_memory(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "many", 1)
    value = bytes(1_000)
    count = 400_000
    records = zstd(b"".join([record(number, value) for number in range(count)]))
    produce_batches(apache_kafka.address, route, batch(good(0), 1), batch(records, count, compression=ZSTD))
    worker = start_worker(apache_kafka, route, ready=False, max_decompressed_bytes="64MiB")
    code, highest = await_end(worker)
    assert code == 4
    assert highest < BASE_MIB + 3 * 64
    check_last_lines(worker, f"--quarantine {route}:0:1-{count}")


@pytest.mark.slow
def test_a_batch_is_skipped_when_all_its_offsets_are_quarantined(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "quarantined", 1)
    large = batch(lz4_encode(b"".join(record(at, bytes(5_000)) for at in range(3)), 1), 3, compression=LZ4)
    produce_batches(apache_kafka.address, route, batch(good(0), 1), large, batch(good(1) + good(2, 1), 2))
    partial = start_worker(
        apache_kafka, route, ready=False, max_decompressed_bytes=9_000, quarantine=f"{route}:0:2-3"
    )
    assert partial.await_exit(RECOVERY_S) == 4
    assert "does not name 1" in partial.log
    check_last_lines(partial, f"--quarantine {route}:0:1-3")
    worker = start_worker(apache_kafka, route, max_decompressed_bytes=9_000, quarantine=f"{route}:0:1-4")
    await_committed(worker, apache_kafka)
    assert ids(worker, apache_kafka) == ["good-0", "good-2"]
    dead = read_records(apache_kafka.address, worker.dead, 9)
    offsets = [dict(letter.headers)["labelstream-error-offset"] for letter in dead]
    assert offsets == [b"1", b"2", b"3", b"4"]
    assert [letter.value is None for letter in dead] == [True, True, True, False]
    assert orjson.loads(dead[-1].value)["id"] == "good-1"
    assert Counter(dict(letter.headers)["labelstream-error-reason"] for letter in dead) == {b"quarantined": 4}


@pytest.mark.slow
def test_other_partitions_are_finished_before_the_worker_ends(
    apache_kafka: ApacheKafka, start_worker: StartWorker
) -> None:
    route = make_route(apache_kafka, "others", 2)
    large = batch(zstd(record(0, bytes(50_000))), 1, compression=ZSTD)
    produce_batches(apache_kafka.address, route, *[batch(good(at), 1) for at in range(50)], large)
    produce_batches(apache_kafka.address, route, *[batch(good(at), 1) for at in range(50)], partition=1)
    worker = start_worker(apache_kafka, route, ready=False, max_decompressed_bytes=9_000)
    assert worker.await_exit(RECOVERY_S) == 4
    check_last_lines(worker, f"--quarantine {route}:0:50")
    done = apache_kafka.committed(worker.group, route)
    assert done[0] == 50
    written = apache_kafka.end_offsets(worker.labels)
    assert written == {0: 50, 1: done.get(1, 0)}
