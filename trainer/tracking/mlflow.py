"""MLflow: a run at MLFLOW_TRACKING_URI, and the bundle as a model that MLflow serves and registers."""

import os
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stream import __version__
from stream.bundle import Bundle, Manifest, NumericColumn, import_mlflow
from trainer.config import TrackerName
from trainer.tracking.base import RESULTS, RunInfo, Status
from trainer.tracking.values import bundle_facts

STATUS: Mapping[Status, str] = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
MODEL_NAME = "bundle"
LOADER_MODULE = "stream.mlflow_model"
MAX_PARAMETERS_AT_ONCE = 100
EXAMPLE_TEXT = "My card was charged twice"
EXAMPLE_PAIR = "The customer paid two times"


class MlflowTracker:
    """Logs a run with its parameters, curves and artefacts, and registers the bundle if a name is given."""

    name: TrackerName = "mlflow"
    samples_system = False

    def __init__(self, register_as: str | None = None, aliases: Sequence[str] = ()) -> None:
        """Store the settings; nothing is imported.

        Args:
            register_as: the name of the model in the registry; None for a run only.
            aliases: the aliases of the registered version.
        """
        self._register_as = register_as
        self._aliases = aliases
        self._client: Any = None
        self._uri = ""
        self._run_id = ""
        self._experiment_id = ""

    def start(self, run: RunInfo) -> str:
        """Start or continue a run; MLFLOW_RUN_ID names a run to continue."""
        mlflow = import_mlflow()
        self._client, self._uri = mlflow.MlflowClient(), str(mlflow.get_tracking_uri())
        existing = run.resume_id or os.environ.get("MLFLOW_RUN_ID")
        if existing:
            self._client.update_run(existing, status="RUNNING")
            found = self._client.get_run(existing)
        else:
            found = self._client.create_run(self._experiment(run.project), run_name=run.name)
        self._run_id, self._experiment_id = found.info.run_id, found.info.experiment_id
        # A parameter of MLflow never changes, and a resumed training may use another device.
        parameters = {k: v for k, v in run.parameters.items() if k not in found.data.params}
        self._log_parameters(parameters)
        self._client.set_tag(self._run_id, "labelstream.version", __version__)
        return self._run_id

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found is not None else self._client.create_experiment(name))

    def _log_parameters(self, parameters: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        entries = [Param(_allowed(name), str(value)) for name, value in parameters.items()]
        for at in range(0, len(entries), MAX_PARAMETERS_AT_ONCE):
            self._client.log_batch(self._run_id, params=entries[at : at + MAX_PARAMETERS_AT_ONCE])

    def location(self) -> str:
        """Return the page of the run, or the URI of a store without a server."""
        if self._uri.startswith("http"):
            return f"{self._uri}/#/experiments/{self._experiment_id}/runs/{self._run_id}"
        return f"run {self._run_id} in {self._uri}"

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the values of a step in one request."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        values = [Metric(_allowed(name), value, now, step) for name, value in metrics.items()]
        self._client.log_batch(self._run_id, metrics=values)

    def log_results(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the final metrics."""
        self.log_metrics(metrics, step)

    def log_bundle(self, bundle: Bundle) -> None:
        """Log the bundle as a model that `mlflow models serve` serves, and register it.

        The model holds no code: MLflow loads it with the module `stream.mlflow_model`.
        """
        mlflow = import_mlflow()
        from mlflow.utils.logging_utils import disable_logging

        manifest = bundle.manifest
        with mlflow.start_run(run_id=self._run_id):
            logged = mlflow.pyfunc.log_model(
                name=MODEL_NAME,
                loader_module=LOADER_MODULE,
                data_path=str(bundle.path),
                signature=_signature(manifest),
                input_example=_example(manifest),
                pip_requirements=[
                    f"labelstream-kafka[cpu]=={__version__}",
                    f"onnxruntime=={version('onnxruntime')}",
                ],
                metadata={"bundle": bundle.reference, "digest": bundle.digest},
            )
        for name, value in bundle_facts(bundle).items():
            self._client.set_tag(self._run_id, f"labelstream.{name}", value)
        if self._register_as is not None:
            # MLflow prints a line for each registration, beside the progress bars.
            disable_logging()
            registered = mlflow.register_model(logged.model_uri, self._register_as)
            for alias in self._aliases:
                self._client.set_registered_model_alias(self._register_as, alias, registered.version)

    def log_files(self, paths: Sequence[Path]) -> None:
        """Log files and folders as artefacts of the run."""
        for path in paths:
            if path.is_dir():
                self._client.log_artifacts(self._run_id, str(path), RESULTS)
            else:
                self._client.log_artifact(self._run_id, str(path))

    def finish(self, status: Status) -> None:
        """Set the final status of the run."""
        self._client.set_terminated(self._run_id, STATUS[status])


def _allowed(name: str) -> str:
    """Return a name with the characters that MLflow allows in the names of metrics and parameters."""
    return "".join(char if char.isalnum() or char in "_-. :/" else "_" for char in name)


def _signature(manifest: Manifest) -> Any:
    """Return the columns of the input and the members of the output."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    columns = [ColSpec(DataType.string, "text")]
    if manifest.takes_pair:
        columns.append(ColSpec(DataType.string, "text_pair"))
    for column in manifest.metadata or ():
        kind = DataType.double if isinstance(column, NumericColumn) else DataType.string
        columns.append(ColSpec(kind, column.name, required=False))
    return ModelSignature(inputs=Schema(columns), outputs=Schema(_output_columns(manifest)))


def _output_columns(manifest: Manifest) -> list[Any]:
    from mlflow.types import ColSpec, DataType
    from mlflow.types.schema import Array, Map, Object, Property

    scores = ColSpec(Map(DataType.double), "scores", required=False)
    if manifest.head == "regression":
        return [ColSpec(DataType.double, "value", required=False)]
    if manifest.head == "multi-label":
        return [ColSpec(Array(DataType.string), "labels", required=False), scores]
    if manifest.head == "token":
        types = {"type": "string", "start": "long", "end": "long", "text": "string", "score": "double"}
        span = Object([Property(name, DataType[kind]) for name, kind in types.items()])
        return [ColSpec(Array(span), "spans", required=False)]
    return [
        ColSpec(DataType.string, "label", required=False),
        ColSpec(DataType.double, "score", required=False),
        scores,
    ]


def _example(manifest: Manifest) -> Any:
    """Return one row as a DataFrame; its text is no text of the training data."""
    import pandas as pd

    row: dict[str, Any] = {"text": EXAMPLE_TEXT}
    if manifest.takes_pair:
        row["text_pair"] = EXAMPLE_PAIR
    for column in manifest.metadata or ():
        row[column.name] = column.mean if isinstance(column, NumericColumn) else (*column.values, "")[0]
    return pd.DataFrame([row])
