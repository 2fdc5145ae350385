"""Every kind of classifier through a worker on a broker: labels equal the output of `labelstream predict`."""

from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
import typer
from typer.testing import CliRunner

from stream.bundle import Bundle
from stream.commands.predict import predict
from stream.schemas import load_schema
from tests.pipeline import StartWorker, make_route, start_worker, tiny_bundle
from tests.real.client import BrokerClient, Record
from tests.real.kinds import KINDS, Kind, make_bundle_of
from tests.real.reconcile import label_ids
from tests.real.wait import until

__all__ = ["start_worker", "tiny_bundle"]

RECOVERY_S = 90.0
EXACT = ("label", "labels", "abstained")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """One bundle of each kind."""
    store = tmp_path_factory.mktemp("kinds")
    return {kind.name: make_bundle_of(kind, store) for kind in KINDS}


def events_of(kind: Kind) -> list[dict[str, Any]]:
    """Return the rows of the kind as events, and variations of them with other lengths."""
    rows = [{"text": r.text, "text_pair": r.text_pair, "metadata": r.metadata} for r in kind.rows]
    rows += [{**row, "text": f"{row['text']} {number} refund"} for number, row in enumerate(rows * 3)]
    complete_rows = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return [{"id": f"{kind.name}-{at}", **row} for at, row in enumerate(complete_rows)]


def predict_offline(bundle: Bundle, events: list[dict[str, Any]], folder: Path) -> dict[str, dict[str, Any]]:
    """Return the output of `labelstream predict` for events, by id."""
    file = folder / f"{bundle.manifest.name}.jsonl"
    file.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events))
    app = typer.Typer()
    app.command()(predict)
    arguments = [str(bundle.path), "--input", str(file), "--device", "cpu", "--variant", "fp32"]
    arguments += ["--columns", "none"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = [orjson.loads(line) for line in result.stdout.splitlines()]
    return {line.pop("id"): line for line in lines}


def await_labels(broker: BrokerClient, route: str, count: int) -> None:
    """Wait until a route has written at least `count` labels."""
    until(
        lambda: sum(broker.end_offsets(f"{route}.labels").values()) >= count,
        RECOVERY_S,
        f"{count} labels of {route}",
    )


def check_label(label: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check that a label event equals the output of `labelstream predict`, numbers within rounding."""
    assert set(expected) - {"row", "text", "text_pair"} <= set(label)
    for name in EXACT:
        assert label.get(name, "none") == expected.get(name, "none")
    for name in ("score", "scores", "value"):
        if name in expected:
            assert label[name] == pytest.approx(expected[name], abs=2e-5)
    spans = [
        [(s["type"], s["start"], s["end"], s["text"]) for s in x.get("spans", ())] for x in (label, expected)
    ]
    assert spans[0] == spans[1]
    scores = [[span["score"] for span in x.get("spans", ())] for x in (label, expected)]
    assert scores[0] == pytest.approx(scores[1], abs=2e-5)


def test_labels_of_every_kind_equal_the_output_of_predict(
    broker: BrokerClient, start_worker: StartWorker, bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    routes = {kind.name: make_route(broker, kind.name) for kind in KINDS}
    file = tmp_path / "labelstream.toml"
    file.write_text(
        "".join(
            f'[[routes]]\nname = "{name}"\ninput_topic = "{topic}"\noutput_topic = "{topic}.labels"\n'
            f'dead_topic = "{topic}.dead"\nbundle = "{bundles[name].path}"\nvariant = "fp32"\n'
            for name, topic in routes.items()
        )
    )
    worker = start_worker(broker, routes["single"], config=file, device="cpu")
    sent = {kind.name: events_of(kind) for kind in KINDS}
    for name, events in sent.items():
        for at, event in enumerate(events):
            broker.produce(routes[name], orjson.dumps(event), key=event["id"].encode(), partition=at % 4)
    for name, topic in routes.items():
        await_labels(broker, topic, len(sent[name]))
    schema = jsonschema.Draft202012Validator(load_schema("label.v1"))
    for name, topic in routes.items():
        records = broker.records(f"{topic}.labels")
        assert label_ids(records) == dict.fromkeys((event["id"] for event in sent[name]), 1)
        expected = predict_offline(bundles[name], sent[name], tmp_path)
        for label in map(_value, records):
            schema.validate(label)
            check_label(label, expected[label["id"]])
        assert worker.metric("labelstream_events_total", route=name, outcome="labelled") == len(sent[name])
    assert worker.metric("labelstream_dead_letters_total") == 0
    assert worker.stop() == 0


def test_a_pair_route_rejects_single_texts_and_a_text_route_ignores_the_second_text(
    broker: BrokerClient, start_worker: StartWorker, bundles: dict[str, Bundle]
) -> None:
    pair, plain = make_route(broker, "pair"), make_route(broker, "plain")
    pair_worker = start_worker(broker, pair, bundle=bundles["pair"].path)
    text_worker = start_worker(broker, plain, bundle=bundles["single"].path)
    complete = {"id": "a", "text": "my card", "text_pair": "refund"}
    broker.produce(pair, orjson.dumps(complete), orjson.dumps({"id": "b", "text": "my card"}))
    broker.produce(plain, orjson.dumps(complete), orjson.dumps({"id": "b", "text": "my card"}))
    until(lambda: sum(broker.end_offsets(text_worker.labels).values()) == 2, RECOVERY_S, "2 labels")
    until(lambda: sum(broker.end_offsets(pair_worker.labels).values()) == 1, RECOVERY_S, "a label")
    until(lambda: sum(broker.end_offsets(pair_worker.dead).values()) == 1, RECOVERY_S, "a dead letter")
    one, other = map(_value, broker.records(text_worker.labels))
    assert one["scores"] == other["scores"]
    (dead,) = broker.records(pair_worker.dead)
    headers = dict(dead.headers)
    assert headers["labelstream-error-reason"] == b"schema"
    assert headers["labelstream-error-message"] == b"text_pair is missing; the model compares two texts"


def _value(record: Record) -> dict[str, Any]:
    result: dict[str, Any] = orjson.loads(record.value or b"")
    return result
