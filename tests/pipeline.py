"""What the delivery tests share: topics of their own, events with ids, a worker over the tiny bundle."""

from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from stream.bundle import Bundle
from stream.classify.heads import make_head
from stream.classify.inputs import Prediction, TextInput
from stream.classify.tokenise import Tokeniser
from stream.runtime import OnnxRuntime
from stream.verify.parity import infer_all
from tests.real.client import BrokerClient
from tests.real.parts import unique
from tests.real.worker import WorkerProcess

WORDS = (
    "charged",
    "refund",
    "parcel",
    "login",
    "crash",
    "cancel",
    "order",
    "again",
    "where",
    "is",
    "my",
    "card",
)

StartWorker = Callable[..., WorkerProcess]


def event(number: int, stem: str = "e") -> tuple[str, bytes]:
    """An id and the JSON value of an event; texts differ in words and length."""
    words = [WORDS[(number * step) % len(WORDS)] for step in range(1, 3 + number % 9)]
    event_id = f"{stem}-{number}"
    return event_id, orjson.dumps({"id": event_id, "text": f"{' '.join(words)} {number}"})


def make_route(broker: BrokerClient, stem: str, partitions: int = 4) -> str:
    """Topics for one route; returns the input topic's name."""
    route = unique(stem)
    for topic in (route, f"{route}.labels", f"{route}.dead"):
        broker.create_topic(topic, partitions)
    return route


def offline_labels(bundle: Bundle, texts: list[str]) -> list[dict[str, object]]:
    """What the bundle says without Kafka."""
    rows = [TextInput(text) for text in texts]
    logits = infer_all(OnnxRuntime(bundle, "fp32"), Tokeniser(bundle), rows)
    found = make_head(bundle.manifest).predictions(logits, ())
    return [result.fields() for result in found if isinstance(result, Prediction)]


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A real bundle of random weights."""
    from tests.real.tiny_bundle import make_tiny_bundle

    return make_tiny_bundle(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def start_worker(tiny_bundle: Bundle) -> Iterator[StartWorker]:
    """Starts workers that end with the test; the end of their logs is shown when it fails."""
    workers: list[WorkerProcess] = []

    def start(
        broker: BrokerClient,
        route: str,
        *,
        ready: bool = True,
        bundle: Path | None = None,
        **settings: object,
    ) -> WorkerProcess:
        worker = WorkerProcess(broker.address, bundle or tiny_bundle.path, route, **settings)
        workers.append(worker)
        return worker.start(ready)

    yield start
    for worker in workers:
        print(f"--- log of a worker on {worker.route}\n" + "\n".join(worker.log.splitlines()[-40:]))
        worker.close()
