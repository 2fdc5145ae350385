"""`labelstream worker` with a model of negligible cost, to measure the cost of streaming alone.

    python -m benchmarks.speed.free_worker --bundle support --broker HOST:PORT ...

Only the tokenizer and the inference session are replaced. Decoding, validation, caches, request coalescing,
batching, threads, softmax, encoding, headers, publishing and committing are those of the worker.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import typer

from stream.bundle import open_bundle
from stream.classify import BatchLimits, ModelInput, SharedCache, Tokens
from stream.commands.options import EVERY, with_settings
from stream.commands.worker import serve
from stream.observe.logs import configure_logs
from stream.observe.metrics import Metrics
from stream.routes import Route
from stream.runtime import Logits, PaddedBatch
from stream.settings import Settings
from stream.worker.route_model import Model, make_classifier
from stream.worker.run import run_worker

LABELS = ("ham", "spam")
LIMITS = BatchLimits(max_rows=4_096, max_tokens=1 << 20)


class OneToken:
    """Tokens of a text: a single one."""

    ids: ClassVar = [0]
    type_ids: ClassVar = [0]

    def __len__(self) -> int:
        return 1


class FreeTokeniser:
    """A tokenizer that encodes every text as one token."""

    def __init__(self) -> None:
        self._token = OneToken()

    def encode_inputs(self, inputs: Sequence[ModelInput]) -> Sequence[Tokens]:
        """Return one token per text."""
        return [self._token] * len(inputs)

    def reload(self) -> None:
        """Do nothing: there is no file."""

    def pad(self, rows: Sequence[Tokens], width_multiple: int = 1) -> PaddedBatch:
        """Return zeros, int64 [rows, 1]."""
        return {"input_ids": np.zeros((len(rows), 1), dtype=np.int64)}


class FreeRuntime:
    """A runtime that returns the same logits for every row."""

    device = "cpu"
    provider = "free"
    pad_multiple = 1
    bucket_shapes: Sequence[tuple[int, int]] = ()
    padded_cost: Callable[[Any, Any], Any] = np.multiply
    max_same_shape_batches = 1

    def __init__(self, labels: int) -> None:
        self._row = np.linspace(-1, 1, labels, dtype=np.float32)

    def infer(self, inputs: PaddedBatch) -> Logits:
        """Return float32 [rows, labels]."""
        return np.broadcast_to(self._row, (len(inputs["input_ids"]), len(self._row)))


async def load_free_model(
    route: Route, settings: Settings, shared: SharedCache | None, metrics: Metrics
) -> Model:
    """Load a model with two labels and constant logits, under the name and digest of the route's bundle."""
    opened = open_bundle(route.bundle, settings.bundle_store)
    bundle = replace(opened, manifest=opened.manifest.model_copy(update={"labels": list(LABELS)}))
    runtime = FreeRuntime(len(bundle.manifest.labels))
    classifier = make_classifier(
        bundle, "fp32", [runtime], FreeTokeniser(), LIMITS, settings, shared, metrics
    )
    return Model(bundle, "fp32", "cpu", runtime.provider, classifier)


@with_settings(*EVERY)
def worker(settings: Settings) -> None:
    """Run `labelstream worker` with the free model."""
    configure_logs(settings.log_level, settings.log_format)
    serve(run_worker(settings, load_free_model))


if __name__ == "__main__":
    app = typer.Typer()
    app.command()(worker)
    app()
