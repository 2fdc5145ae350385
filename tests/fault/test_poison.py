"""No record stops its partition: each has one outcome, and the records around it are labelled."""

import hashlib
import json
import shutil
from collections import Counter
from functools import partial
from pathlib import Path

import orjson
import pytest

from stream.bundle import Bundle
from stream.codec import PYTHON_ONLY
from tests.fault.poison import ANY, LABEL, Poison, poison_records
from tests.pipeline import StartWorker, event, start_worker, tiny_bundle
from tests.property.odd_records import encode_body
from tests.real.components import unique
from tests.real.kafka import ApacheKafka
from tests.real.raw_batches import batch, odd_record, offer_batches, produce_batches
from tests.real.raw_records import RawRecord, read_raw
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]

INPUT_BYTES, LABEL_BYTES, DEAD_BYTES = 3_000_000, 600_000, 400_000
RECOVERY_S = 120.0
MANIFEST = "labelstream.json"
PANICS = {"type": "Split", "pattern": {"Regex": "(a|a|aa)+$"}, "behavior": "Isolated", "invert": False}


def panicking_bundle(bundle: Bundle, folder: Path) -> Path:
    """Copy a bundle; its tokenizer panics on a long run of `a` before another letter."""
    shutil.copytree(bundle.path, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [PANICS, tokenizer["pre_tokenizer"]]}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    manifest = json.loads((folder / MANIFEST).read_text())
    digest = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    manifest["files"]["tokenizer.json"] = f"sha256:{digest}"
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def one_record(body: bytes) -> bytes:
    """Return a batch with one record."""
    return batch(odd_record(0, body), 1)


def good_batch(number: int) -> bytes:
    """Return a batch with one valid event."""
    return one_record(encode_body(b"good", event(number)[1], []))


def all_committed(kafka: ApacheKafka, worker: WorkerProcess, route: str) -> bool:
    """Return True if the group has committed the end of the input topic; raise if the worker has ended."""
    worker.check()
    return kafka.committed(worker.group, route) == kafka.end_offsets(route)


def source_offset(record: RawRecord) -> int:
    """Return the input offset of a label, tombstone or dead letter."""
    if found := record.header(b"labelstream-error-offset"):
        return int(found)
    if record.value is not None:
        value = orjson.loads(record.value)
        # The label event of a structured CloudEvent is the data of one.
        return int(value.get("data", value)["source"]["offset"])
    name = record.header(b"labelstream-id") or b""
    return int(name.rsplit(b"-", 1)[1])


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["compiled", "python"])
def test_every_record_has_one_outcome_and_none_stops_its_partition(
    apache_kafka: ApacheKafka,
    start_worker: StartWorker,
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    codec: str,
) -> None:
    if codec == "python":
        monkeypatch.setenv(PYTHON_ONLY, "1")
    route = unique("poison")
    limits = {"": INPUT_BYTES, ".labels": LABEL_BYTES, ".dead": DEAD_BYTES}
    for suffix, limit in limits.items():
        apache_kafka.create_topic(f"{route}{suffix}", 1, max_message_bytes=limit)
    kinds = poison_records()
    batches = [
        data for number, kind in enumerate(kinds) for data in (good_batch(number), one_record(kind.body))
    ]
    offsets = offer_batches(apache_kafka.address, route, *batches)
    assert all(isinstance(offset, int) for offset in offsets[::2])
    accepted = {
        offset: kind for kind, offset in zip(kinds, offsets[1::2], strict=True) if isinstance(offset, int)
    }
    refused = [
        kind.name for kind, offset in zip(kinds, offsets[1::2], strict=True) if not isinstance(offset, int)
    ]
    print(f"{len(accepted)} kinds accepted by the broker, refused: {refused}")
    assert len(accepted) > 100
    bundle = panicking_bundle(tiny_bundle, tmp_path / "panics")
    settings = {"bundle": bundle, "compression": "none", "cache_local_entries": 100}

    more = len(kinds)
    for _ in range(3):
        worker = start_worker(apache_kafka, route, **settings)
        assert f'"codec": "{codec}"' in worker.log
        until(
            partial(all_committed, apache_kafka, worker, route),
            RECOVERY_S,
            "every offset committed",
        )
        assert worker.health("/ready")[0] == 200
        assert worker.stop() == 0
        assert "Traceback" not in worker.log
        produce_batches(apache_kafka.address, route, good_batch(more))
        more += 1
    worker = start_worker(apache_kafka, route, **settings)
    until(
        partial(all_committed, apache_kafka, worker, route),
        RECOVERY_S,
        "every offset committed",
    )
    check_outcomes(apache_kafka, route, accepted)


def check_outcomes(kafka: ApacheKafka, route: str, accepted: dict[int, Poison]) -> None:
    """Check that each offset has one outcome, the expected one, and that good records have labels."""
    labels = {source_offset(record): record for record in read_raw(kafka.address, f"{route}.labels")}
    dead = {source_offset(record): record for record in read_raw(kafka.address, f"{route}.dead")}
    (end,) = kafka.end_offsets(route).values()
    counts = Counter(
        source_offset(record)
        for topic in (f"{route}.labels", f"{route}.dead")
        for record in read_raw(kafka.address, topic)
    )
    assert counts == Counter(range(end))
    wrong = {}
    for offset in range(end):
        kind = accepted.get(offset)
        found = (
            LABEL if offset in labels else (dead[offset].header(b"labelstream-error-reason") or b"").decode()
        )
        expected = LABEL if kind is None else kind.outcome
        if expected not in (found, ANY):
            wrong[kind.name if kind else f"good record {offset}"] = (expected, found)
    assert not wrong
    originals = {record.offset: record for record in read_raw(kafka.address, route)}
    for offset, kind in accepted.items():
        if "header name that is not UTF-8" in kind.name:
            written = labels.get(offset) or dead[offset]
            assert written.headers[0] == originals[offset].headers[0], kind.name
        if "dead letter with a value beyond" in kind.name:
            check_cut(dead[offset], originals[offset])


def check_cut(dead: RawRecord, original: RawRecord) -> None:
    """Check a dead letter whose value was cut."""
    value, whole = dead.value or b"", original.value or b""
    assert 0 < len(value) < len(whole)
    assert whole.startswith(value)
    assert dead.header(b"labelstream-error-truncated") == b"true"
    assert dead.header(b"labelstream-error-original-size") == b"%d" % len(whole)
    assert dead.header(b"labelstream-error-original-sha256") == hashlib.sha256(whole).hexdigest().encode()
