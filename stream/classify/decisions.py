"""The label of each prediction and its score, read from the stored form, without parsing JSON members."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from stream.bundle import Manifest
from stream.classify.heads import label_thresholds
from stream.classify.inputs import Prediction
from stream.codec import MILLIONTHS, Scores

NO_LABEL = -1


class Decisions(NamedTuple):
    """The decision of each prediction.

    Attributes:
        labels: int64 [rows], the index of the best predicted label, `NO_LABEL` without one.
        scores: int64 [rows], the score of that label in millionths; of spans the lowest score, with 0 as the
            label. Undefined without a label.
    """

    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.int64]


Decide = Callable[[Sequence[Prediction]], Decisions]


def make_decide(manifest: Manifest) -> Decide:
    """Return the function that reads the decisions of a bundle's predictions.

    Raises:
        ValueError: the bundle predicts no labels.
    """
    match manifest.head:
        case "single-label" | "multi-label":
            return LabelDecisions(manifest)
        case "token":
            return span_decisions
        case "regression":
            raise ValueError("a regression predicts no labels")


class LabelDecisions:
    """Reads decisions of predictions that store the score of each label."""

    def __init__(self, manifest: Manifest) -> None:
        self._labels = len(manifest.labels)
        self._abstain_below = round((manifest.abstain_below or 0.0) * MILLIONTHS)
        self._thresholds: npt.NDArray[np.float64] | None = None
        if manifest.head == "multi-label":
            self._thresholds = np.array(label_thresholds(manifest)) * MILLIONTHS

    def __call__(self, predictions: Sequence[Prediction]) -> Decisions:
        """Return the decision of each prediction."""
        stored = b"".join([prediction.stored for prediction in predictions])
        scores: Scores = np.frombuffer(stored, dtype="<u4").reshape(len(predictions), self._labels)
        rows = np.arange(len(predictions))
        best = scores.argmax(axis=1)
        highest = scores[rows, best].astype(np.int64)
        abstained = highest < self._abstain_below
        if self._thresholds is not None:
            # A label can be predicted although another one has a higher score, and a higher threshold.
            predicted = np.where(scores >= self._thresholds, scores.astype(np.int64), NO_LABEL)
            best = predicted.argmax(axis=1)
            highest = predicted[rows, best]
            abstained |= highest == NO_LABEL
        return Decisions(np.where(abstained, NO_LABEL, best), highest)


def span_decisions(predictions: Sequence[Prediction]) -> Decisions:
    """Return the decision of each prediction of spans."""
    lowest = [
        min((score for _, _, _, score in orjson.loads(prediction.stored)), default=NO_LABEL)
        for prediction in predictions
    ]
    scores = np.array(lowest, dtype=np.int64)
    return Decisions(np.where(scores == NO_LABEL, NO_LABEL, 0), scores)
