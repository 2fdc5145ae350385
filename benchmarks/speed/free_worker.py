"""`labelstream worker` with a model that costs nothing: what the way through Kafka costs by itself.

    python -m benchmarks.speed.free_worker --bundle support --broker HOST:PORT ...

Everything but tokenizer and session is the worker's own: decoding and validation, caches, single flight,
planning, the hops between threads, softmax and encoding of real logits, headers, publishing, committing.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import typer

from stream.bundle import open_bundle
from stream.classify.cache import SharedCache
from stream.classify.inputs import ModelInput
from stream.classify.queue import Limits
from stream.classify.tokenise import Tokens
from stream.commands.options import EVERY, with_settings
from stream.commands.worker import serve
from stream.observe.logs import configure_logs
from stream.observe.metrics import Metrics
from stream.runtime import Padded
from stream.runtime.base import Logits
from stream.settings import Route, Settings
from stream.worker.route_model import Model, make_classifier
from stream.worker.run import run_worker

LABELS = ("ham", "spam")
LIMITS = Limits(max_rows=4_096, max_tokens=1 << 20)


class OneToken:
    """Stands in for the tokens of any text."""

    ids = (0,)
    type_ids = (0,)

    def __len__(self) -> int:
        return 1


class FreeTokeniser:
    """Gives every text one token, and lays out nothing but the number of rows."""

    def __init__(self) -> None:
        self._token = OneToken()

    def encode_inputs(self, inputs: Sequence[ModelInput]) -> Sequence[Tokens]:
        """One token a text."""
        return [self._token] * len(inputs)

    def pad(self, rows: Sequence[Tokens], width_multiple: int = 1) -> Padded:
        """int64 [rows, 1]."""
        return {"input_ids": np.zeros((len(rows), 1), dtype=np.int64)}


class FreeRuntime:
    """The same logits for every row."""

    device = "cpu"
    provider = "free"
    pad_multiple = 1
    kept_shapes = ()
    padded_cost = np.multiply
    max_same_shape_batches = 1

    def __init__(self, labels: int) -> None:
        self._row = np.linspace(-1, 1, labels, dtype=np.float32)

    def infer(self, inputs: Padded) -> Logits:
        """float32 [rows, labels]."""
        return np.broadcast_to(self._row, (len(inputs["input_ids"]), len(self._row)))


async def load_free_model(
    route: Route, settings: Settings, shared: SharedCache | None, metrics: Metrics
) -> Model:
    """A model of two labels that costs no arithmetic; the bundle lends its name and digest."""
    lent = open_bundle(route.bundle, settings.bundle_store)
    bundle = replace(lent, manifest=lent.manifest.model_copy(update={"labels": list(LABELS)}))
    runtime = FreeRuntime(len(bundle.manifest.labels))
    classifier = make_classifier(
        bundle, "fp32", [runtime], FreeTokeniser(), LIMITS, settings, shared, metrics
    )
    return Model(bundle, "fp32", "cpu", runtime.provider, classifier)


@with_settings(*EVERY)
def worker(settings: Settings) -> None:
    """Like `labelstream worker`, with a free model."""
    configure_logs(settings.log_level, settings.log_format)
    serve(run_worker(settings, load_free_model))


if __name__ == "__main__":
    app = typer.Typer()
    app.command()(worker)
    app()
