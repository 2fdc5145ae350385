"""Label topics, review topics and drops on every broker: ids in equal ids out over all topics."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.bundle import Bundle
from tests.contract.test_client_commands import run
from tests.pipeline import StartWorker, event, offline_labels, start_worker, tiny_bundle
from tests.real.client import BrokerClient, Record
from tests.real.components import unique
from tests.real.kinds import BY_NAME, make_bundle_of
from tests.real.reconcile import dead_ids, label_ids, out_of_order
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]

RECOVERY_S = 60.0
EVENTS = 200
REVIEW_BELOW = 0.75
OPTIONS = {
    "keep": "",
    "review": f'review_topic = "{{stem}}.review"\nreview_below = {REVIEW_BELOW}\n',
    "drop": 'unlabelled = "drop"\n',
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """The bundle of each route: one abstains, the other predicts any number of labels."""
    store = tmp_path_factory.mktemp("kinds")
    abstaining, several = (make_bundle_of(BY_NAME[name], store) for name in ("abstain", "many"))
    return {"keep": abstaining, "review": abstaining, "drop": several}


def write_settings(folder: Path, stem: str, bundles: dict[str, Bundle]) -> Path:
    """Write the settings file of a worker with a route for each of the options."""
    file = folder / "labelstream.toml"
    file.write_text(
        "".join(
            f'[[routes]]\nname = "{name}"\ninput_topic = "{stem}.{name}"\n'
            f'output_topic = "{stem}.{name}.labels.{{label}}"\nbundle = "{bundles[name].path}"\n'
            + OPTIONS[name].format(stem=f"{stem}.{name}")
            for name in OPTIONS
        )
    )
    return file


def produce(broker: BrokerClient, topic: str) -> dict[str, str]:
    """Produce events, a tombstone and an invalid record, and return the texts of the events by id."""
    texts = {}
    for number in range(EVENTS):
        event_id, value = event(number)
        broker.produce(topic, value, key=event_id.encode(), partition=number % 4)
        texts[event_id] = orjson.loads(value)["text"]
    broker.produce(topic, None, key=b"e-7", partition=3)
    broker.produce(topic, b"{broken", headers=[("labelstream-id", b"bad")], partition=1)
    return texts


def topics_by_id(broker: BrokerClient, topics: Iterable[str]) -> dict[str, str]:
    """Return the topic of each id, and check order and tombstones; no id has two label events."""
    found: dict[str, str] = {}
    counts = Counter[str]()
    for topic in topics:
        records = broker.records(topic)
        assert [(r.key, r.partition) for r in records if r.value is None] == [(b"e-7", 3)]
        labels = [record for record in records if record.value is not None]
        check_labels(labels)
        counts += label_ids(labels)
        found |= dict.fromkeys(label_ids(labels), topic)
    assert set(counts.values()) <= {1}, "an id has two label events"
    return found


def check_labels(labels: list[Record]) -> None:
    """Check the keys, the partitions and the order of label events."""
    assert out_of_order(labels) == []
    for record in labels:
        value = orjson.loads(record.value or b"")
        assert record.key == value["id"].encode()
        assert record.partition == value["source"]["partition"]


def expected_topics(stem: str, fields: dict[str, Any], review_below: float | None) -> set[str]:
    """Return the topic of an offline prediction, or both topics for a score that is close to the limit."""
    review = f"{stem}.review" if review_below else f"{stem}.labels.unlabelled"
    label_topic = f"{stem}.labels.{fields['label']}"
    if fields["label"] is None:
        return {review}
    if review_below and abs(fields["score"] - review_below) < 1e-4:
        return {review, label_topic}
    return {review} if review_below and fields["score"] < review_below else {label_topic}


def check_counts(worker: WorkerProcess, route: str, labelled: int) -> None:
    """Check that the outcomes of a route add up to its records."""
    counted = {
        outcome: worker.metric("labelstream_events_total", route=route, outcome=outcome)
        for outcome in ("labelled", "dead", "tombstone", "dropped")
    }
    assert counted == {"labelled": labelled, "dead": 1, "tombstone": 1, "dropped": EVENTS - labelled}


def test_every_event_is_in_the_one_topic_of_its_label(
    broker: BrokerClient, start_worker: StartWorker, bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    stem = unique("routing")
    file = write_settings(tmp_path, stem, bundles)
    code, _, err = run("topics", "create", "--partitions", 4, "--config", file, address=broker.address)
    assert code == 0, err
    worker = start_worker(broker, f"{stem}.keep", config=file)
    topics = {
        name: [f"{stem}.{name}.labels.{label}" for label in bundle.manifest.labels]
        for name, bundle in bundles.items()
    }
    topics["keep"].append(f"{stem}.keep.labels.unlabelled")
    topics["review"].append(f"{stem}.review.review")
    for name, bundle in bundles.items():
        source = f"{stem}.{name}"
        texts = produce(broker, source)
        until(
            lambda source=source: sum(broker.committed(worker.group, source).values()) == EVENTS + 2,  # type: ignore[misc]
            RECOVERY_S,
            "committed offsets",
        )
        offline: list[dict[str, Any]] = offline_labels(bundle, [*texts.values()])
        predicted = dict(zip(texts, offline, strict=True))
        found = topics_by_id(broker, topics[name])
        if name == "drop":
            kept = {
                event_id: f"{source}.labels.{fields['labels'][0]}"
                for event_id, fields in predicted.items()
                if fields["labels"]
            }
            assert found == kept
            assert 0 < len(found) < EVENTS
        else:
            limit = REVIEW_BELOW if name == "review" else None
            for event_id, fields in predicted.items():
                assert found.pop(event_id) in expected_topics(source, fields, limit)
            assert not found
        labelled = len(kept) if name == "drop" else EVENTS
        check_counts(worker, name, labelled)
        assert dead_ids(broker.records(f"{source}.dead")) == {"bad": 1}
    assert worker.stop() == 0
    intervals = [line for line in worker.log_lines() if line["event"] == "interval"]
    assert sum(line["events"].get("dropped", 0) for line in intervals) == EVENTS - labelled
