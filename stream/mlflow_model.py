"""The MLflow model of a bundle: `mlflow models serve` labels rows with the code of the worker.

MLflow calls `_load_pyfunc` by name (the flavour `python_function` with a loader module), so a logged model
contains the files of the bundle and no code.
"""

from typing import Any

from stream.api import Classification, Classifier, RowError
from stream.bundle import read_bundle


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
        self._metadata = [column.name for column in read_bundle(folder).manifest.metadata or ()]
        self._classifier = Classifier.open(folder)

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:  # noqa: ARG002
        """Return the members of the label event of each row; a row that cannot be labelled has an `error`.

        Args:
            model_input: a DataFrame with the column text, text_pair for a model of two texts, and the
                metadata columns of the bundle.
            params: ignored; the bundle holds every parameter.
        """
        # pandas marks a missing value with NaN, NaT or NA, depending on the type of the column.
        present = model_input.astype(object).where(model_input.notna(), None)
        return [*map(_members, self._classifier.classify(map(self._event, present.to_dict("records"))))]

    def _event(self, row: dict[str, Any]) -> dict[str, Any]:
        metadata = {name: row[name] for name in self._metadata if row.get(name) is not None}
        return {"text": row.get("text"), "text_pair": row.get("text_pair"), "metadata": metadata}


def _load_pyfunc(data_path: str, model_config: dict[str, Any] | None = None) -> BundleModel:  # noqa: ARG001
    """Return the model of the bundle in a folder, as MLflow's loader of models expects it."""
    return BundleModel(data_path)


def _members(result: Classification | RowError) -> dict[str, Any]:
    return {"error": str(result)} if isinstance(result, RowError) else dict(result.members)
