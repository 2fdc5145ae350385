"""The complete path from a CSV file to labelled events on Apache Kafka, with the real commands."""

import csv
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from stream.bundle import Bundle, open_bundle
from tests.pipeline import StartWorker, event, make_route, offline_labels, start_worker, tiny_bundle
from tests.real.kafka import ApacheKafka
from tests.real.reconcile import label_ids
from tests.real.tiny_bundle import LABELS, TEXTS, save_tiny_base
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

EVENTS = 2_000


@pytest.fixture(scope="module")
def trained_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle trained from a CSV file with `labelstream train`."""
    workspace = tmp_path_factory.mktemp("whole-way")
    save_tiny_base(workspace / "base")
    with (workspace / "tickets.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows((f"{TEXTS[n % len(TEXTS)]} {n}", LABELS[n % len(LABELS)]) for n in range(120))
    command = [sys.executable, "-m", "stream", "train", str(workspace / "tickets.csv"), "--epochs", "1"]
    command += [
        "--base-model",
        str(workspace / "base"),
        "--bundle-store",
        str(workspace / "bundles"),
        "--no-results",
    ]
    subprocess.run(command, check=True, timeout=200, stdout=subprocess.DEVNULL)
    return open_bundle("tickets", workspace / "bundles")


@pytest.mark.slow
def test_two_thousand_events_get_one_label_each_equal_to_offline_inference(
    apache_kafka: ApacheKafka, start_worker: StartWorker, trained_bundle: Bundle
) -> None:
    route = make_route(apache_kafka, "whole")
    worker = start_worker(apache_kafka, route, bundle=Path(trained_bundle.path))
    sent = dict(event(number) for number in range(EVENTS))
    headers = [("tenant", b"a"), ("hop", b"1"), ("hop", b"2")]
    for number, (event_id, value) in enumerate(sent.items()):
        apache_kafka.produce(route, value, key=event_id.encode(), headers=headers, partition=number % 4)
    until(lambda: sum(apache_kafka.end_offsets(worker.labels).values()) >= EVENTS, 120, "2,000 labels")
    assert worker.stop() == 0
    records = apache_kafka.records(worker.labels)
    assert label_ids(records) == dict.fromkeys(sent, 1)
    assert apache_kafka.committed(worker.group, route) == apache_kafka.end_offsets(route)
    texts = [orjson.loads(value)["text"] for value in sent.values()]
    offline = dict(zip(sent, offline_labels(trained_bundle, texts), strict=True))
    for record in records:
        label = orjson.loads(record.value or b"")
        assert label["scores"] == pytest.approx(offline[label["id"]]["scores"], abs=1e-5)
        scores = sorted(label["scores"].values(), reverse=True)
        if scores[0] - scores[1] > 1e-5:
            assert label["label"] == offline[label["id"]]["label"]
        assert record.key == label["id"].encode()
        assert list(record.headers[:3]) == headers
