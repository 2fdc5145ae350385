"""The results of the Python API."""

from dataclasses import dataclass

from stream.classify import Prediction, RowResult
from stream.results import Classification, RowError, TextSpan, classification
from stream.worker.route_model import OpenModel

__all__ = ["Classification", "ModelInfo", "RowError", "TextSpan", "as_result", "model_info"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model behind a classifier.

    Attributes:
        name: the name of the bundle.
        version: the version of the bundle.
        digest: the digest of the bundle, `sha256:…`.
        variant: the precision of the weights.
        device: the device of the inference.
        task: the task of the bundle, such as `single-label`.
        labels: the labels in the bundle's order.
    """

    name: str
    version: str
    digest: str
    variant: str
    device: str
    task: str
    labels: tuple[str, ...]


def as_result(result: RowResult) -> Classification | RowError:
    """Return the result of a row in the form of the API."""
    if not isinstance(result, Prediction):
        return RowError(result.reason, str(result))
    return classification(result.fields())


def model_info(opened: OpenModel) -> ModelInfo:
    """Return the facts of an open model."""
    manifest, choice = opened.bundle.manifest, opened.choice
    return ModelInfo(
        name=manifest.name,
        version=manifest.version,
        digest=opened.bundle.digest,
        variant=choice.variant,
        device=choice.device,
        task=manifest.task,
        labels=tuple(manifest.labels),
    )
