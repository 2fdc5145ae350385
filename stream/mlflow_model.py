"""The MLflow model of a bundle: `mlflow models serve` labels rows with the code of the worker.

MLflow calls `_load_pyfunc` by name (the flavour `python_function` with a loader module), so a logged model
contains the files of the bundle and no code.
"""

import asyncio
import json
from collections.abc import Coroutine
from threading import Thread
from typing import Any

from stream.classify import InputReader, Prediction
from stream.commands.row_reader import InputRow
from stream.errors import Poison
from stream.observe.metrics import Metrics
from stream.records import Decoder, Event, Source
from stream.routes import RouteOptions
from stream.settings import load_settings
from stream.worker.route_model import open_model

ROWS_AT_ONCE = 512
SOURCE = Source("row", 0)


class BundleModel:
    """A bundle as MLflow's interface of a model.

    Settings come from the environment, such as LABELSTREAM_DEVICE and LABELSTREAM_VARIANT.
    """

    def __init__(self, folder: str) -> None:
        """Open a bundle, with its digests verified.

        Args:
            folder: the folder of the bundle.

        Raises:
            BundleError: the bundle was changed, or cannot be served.
            DeviceError: the device does not exist.
        """
        settings = load_settings({}, None)
        # The servers that call `predict` have event loops of their own.
        self._loop = asyncio.new_event_loop()
        Thread(target=self._loop.run_forever, name="labelstream-mlflow", daemon=True).start()
        self._opened = self._wait(open_model(folder, settings.variant, settings, None, Metrics()))
        manifest = self._opened.bundle.manifest
        self._decoder = Decoder(
            RouteOptions(),
            max_event_bytes=settings.max_event_bytes,
            max_text_chars=settings.max_text_chars,
            takes_pair=manifest.takes_pair,
        )
        self._reader = InputReader(manifest)
        self._metadata = [column.name for column in manifest.metadata or ()]

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:  # noqa: ARG002
        """Return the members of the label event of each row; a row that cannot be labelled has an `error`.

        Args:
            model_input: a DataFrame with the column text, text_pair for a model of two texts, and the
                metadata columns of the bundle.
            params: ignored; the bundle holds every parameter.
        """
        # pandas marks a missing value with NaN, NaT or NA, depending on the type of the column.
        present = model_input.astype(object).where(model_input.notna(), None)
        values = [self._event(row) for row in present.to_dict("records")]
        found: list[dict[str, Any]] = []
        for at in range(0, len(values), ROWS_AT_ONCE):
            found += self._wait(self._classify(values[at : at + ROWS_AT_ONCE]))
        return found

    def _event(self, row: dict[str, Any]) -> bytes:
        present = {name: value for name, value in row.items() if value is not None}
        metadata = {name: present[name] for name in self._metadata if name in present}
        fields = {name: present[name] for name in ("text", "text_pair") if name in present}
        # ASCII also carries half a surrogate pair, for which the decoder has an error.
        return json.dumps({**fields, "metadata": metadata}, default=str).encode()

    async def _classify(self, values: list[bytes]) -> list[dict[str, Any]]:
        rows = [InputRow(at, value) for at, value in enumerate(values, 1)]
        decoded = self._decoder.decode_all(SOURCE, rows)
        inputs = self._reader.read([item for item in decoded if isinstance(item, Event)])
        results = iter((await self._opened.classifier.classify(inputs)).results)
        found = []
        for item in decoded:
            if isinstance(item, Event):
                found.append(_members(next(results)))
            else:
                # Every row has a value, so the decoder returns no tombstone.
                found.append({"error": f"{item.reason.value}: {item.message}"})  # type: ignore[union-attr]
        return found

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _load_pyfunc(data_path: str, model_config: dict[str, Any] | None = None) -> BundleModel:  # noqa: ARG001
    """Return the model of the bundle in a folder, as MLflow's loader of models expects it."""
    return BundleModel(data_path)


def _members(result: Prediction | Poison) -> dict[str, Any]:
    if isinstance(result, Prediction):
        return result.fields()
    return {"error": f"{result.reason.value}: {result}"}
