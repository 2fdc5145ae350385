"""Every kind of classifier through a worker on a broker: what arrives is what `predict` says."""

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

BACK_S = 90.0
EXACT = ("label", "labels", "abstained")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """A bundle of each kind."""
    store = tmp_path_factory.mktemp("kinds")
    return {kind.name: make_bundle_of(kind, store) for kind in KINDS}


def events_of(kind: Kind) -> list[dict[str, Any]]:
    """The kind's rows as events, and longer and shorter texts made of them."""
    rows = [{"text": r.text, "text_pair": r.text_pair, "metadata": r.metadata} for r in kind.rows]
    rows += [{**row, "text": f"{row['text']} {number} refund"} for number, row in enumerate(rows * 3)]
    given = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return [{"id": f"{kind.name}-{at}", **row} for at, row in enumerate(given)]


def predicted(bundle: Bundle, events: list[dict[str, Any]], folder: Path) -> dict[str, dict[str, Any]]:
    """What `labelstream predict` says of events, by id."""
    file = folder / f"{bundle.manifest.name}.jsonl"
    file.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events))
    app = typer.Typer()
    app.command()(predict)
    given = [str(bundle.path), "--input", str(file), "--device", "cpu", "--variant", "fp32"]
    found = CliRunner().invoke(app, given, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    lines = [orjson.loads(line) for line in found.stdout.splitlines()]
    return {line.pop("id"): line for line in lines}


def same(said: dict[str, Any], wanted: dict[str, Any]) -> None:
    """A label event says what `predict` says: decisions and places equal, numbers within rounding."""
    assert set(wanted) - {"row", "text", "text_pair"} <= set(said)
    for name in EXACT:
        assert said.get(name, "none") == wanted.get(name, "none")
    for name in ("score", "scores", "value"):
        if name in wanted:
            assert said[name] == pytest.approx(wanted[name], abs=2e-5)
    spans = [
        [(s["type"], s["start"], s["end"], s["text"]) for s in x.get("spans", ())] for x in (said, wanted)
    ]
    assert spans[0] == spans[1]
    scores = [[span["score"] for span in x.get("spans", ())] for x in (said, wanted)]
    assert scores[0] == pytest.approx(scores[1], abs=2e-5)


def test_every_kind_through_one_worker_says_what_predict_says(
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
        until(
            lambda name=name, topic=topic: (
                sum(broker.end_offsets(f"{topic}.labels").values()) >= len(sent[name])
            ),
            BACK_S,
            f"{len(sent[name])} labels of {name}",
        )
    schema = jsonschema.Draft202012Validator(load_schema("label.v1"))
    for name, topic in routes.items():
        records = broker.records(f"{topic}.labels")
        assert label_ids(records) == dict.fromkeys((event["id"] for event in sent[name]), 1)
        wanted = predicted(bundles[name], sent[name], tmp_path)
        for label in map(_value, records):
            schema.validate(label)
            same(label, wanted[label["id"]])
        assert worker.metric("labelstream_events_total", route=name, outcome="labelled") == len(sent[name])
    assert worker.metric("labelstream_dead_letters_total") == 0
    assert worker.stop() == 0


def test_a_pair_route_buries_what_is_no_pair_and_a_text_route_ignores_the_second_text(
    broker: BrokerClient, start_worker: StartWorker, bundles: dict[str, Bundle]
) -> None:
    pair, plain = make_route(broker, "pair"), make_route(broker, "plain")
    of_pairs = start_worker(broker, pair, bundle=bundles["pair"].path)
    of_texts = start_worker(broker, plain, bundle=bundles["single"].path)
    whole = {"id": "a", "text": "my card", "text_pair": "refund"}
    broker.produce(pair, orjson.dumps(whole), orjson.dumps({"id": "b", "text": "my card"}))
    broker.produce(plain, orjson.dumps(whole), orjson.dumps({"id": "b", "text": "my card"}))
    until(lambda: sum(broker.end_offsets(of_texts.labels).values()) == 2, BACK_S, "2 labels")
    until(lambda: sum(broker.end_offsets(of_pairs.labels).values()) == 1, BACK_S, "a label")
    until(lambda: sum(broker.end_offsets(of_pairs.dead).values()) == 1, BACK_S, "a dead letter")
    one, other = map(_value, broker.records(of_texts.labels))
    assert one["scores"] == other["scores"]
    (dead,) = broker.records(of_pairs.dead)
    headers = dict(dead.headers)
    assert headers["labelstream-error-reason"] == b"schema"
    assert headers["labelstream-error-message"] == b"text_pair is missing; the model compares two texts"


def _place(span: dict[str, Any]) -> list[Any]:
    return [span[name] for name in ("type", "start", "end", "text")]


def _value(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(record.value or b"")
    return found
