"""Heads with scores for all labels: several labels per text, ordinal labels, abstaining."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from stream.bundle import Manifest
from stream.classify.heads.base import (
    VALUE_DIGITS,
    replace_non_finite,
    sigmoid,
    softmax,
)
from stream.classify.inputs import ModelInput, Prediction, RowResult
from stream.classify.tokenise import Tokens
from stream.codec import MILLIONTHS, SCORE_BYTES, Scores, row_bytes
from stream.runtime.base import Logits

DEFAULT_THRESHOLD = 0.5


class ScoredLabelsHead(ABC):
    """Base class: converts logits to scores in millionths, and new or stored scores to predictions."""

    def __init__(self, manifest: Manifest, top_k: int) -> None:
        """
        Args:
            manifest: the bundle's manifest.
            top_k: the number of labels in `scores`, best first.
        """
        self._labels = manifest.labels
        self._temperature = manifest.temperature
        self._top_k = top_k
        self._abstain_below = round((manifest.abstain_below or 0.0) * MILLIONTHS)

    def predict(
        self,
        logits: Logits,
        tokens: Sequence[Tokens] = (),  # noqa: ARG002
    ) -> list[RowResult]:
        """Return a prediction for each row of float32 [rows, labels], `Poison` if a logit is not finite."""
        finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(logits).all(axis=1))
        scores = self._activate(np.where(finite[:, None], logits, 0.0) / self._temperature)
        return replace_non_finite(self._encode(np.rint(scores * MILLIONTHS).astype("<u4"), False), finite)

    def accepts(self, stored: bytes) -> bool:
        """Return True if a stored form has a score for each label."""
        return len(stored) == SCORE_BYTES * len(self._labels)

    def restore(
        self,
        stored: Sequence[bytes],
        rows: Sequence[ModelInput] = (),  # noqa: ARG002
    ) -> list[Prediction]:
        """Restore predictions from stored forms, the scores of all labels."""
        scores = np.frombuffer(b"".join(stored), dtype="<u4").reshape(len(stored), len(self._labels))
        return self._encode(scores, True)

    def _encode(self, scores: Scores, cached: bool) -> list[Prediction]:
        order = np.argsort(-scores.astype(np.int64), axis=1, kind="stable").tolist()
        return [
            Prediction(orjson.dumps(self._members(row, best))[1:-1], stored, cached)
            for row, best, stored in zip(scores.tolist(), order, row_bytes(scores), strict=True)
        ]

    def _scores(self, row: list[int], indexes: Sequence[int]) -> dict[str, float]:
        return {self._labels[index]: row[index] / MILLIONTHS for index in indexes}

    @abstractmethod
    def _activate(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return the probabilities of logits that are divided by the temperature, both [rows, labels]."""

    @abstractmethod
    def _members(self, row: list[int], best: list[int]) -> dict[str, Any]:
        """Return the event members of a row.

        Args:
            row: the score of each label in millionths.
            best: the indexes of the labels, best first.
        """


class AbstainingHead(ScoredLabelsHead):
    """Predicts one label, for bundles that abstain or have ordinal labels.

    Ordinal labels add the expected value, the mean of the labels' numbers weighted by their probabilities. If
    the best probability is below the abstain threshold, the prediction has neither label nor score.
    """

    def __init__(self, manifest: Manifest, top_k: int) -> None:
        super().__init__(manifest, top_k)
        self._values = manifest.values

    def _activate(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return softmax(logits)

    def _members(self, row: list[int], best: list[int]) -> dict[str, Any]:
        score = row[best[0]]
        members: dict[str, Any]
        if score < self._abstain_below:
            members = {"label": None, "abstained": True}
        else:
            members = {"label": self._labels[best[0]], "score": score / MILLIONTHS}
        members["scores"] = self._scores(row, best[: self._top_k])
        if self._values is not None:
            # Rounded scores need not add up to one; dividing by their sum keeps the mean among the values.
            weighted = sum(part * value for part, value in zip(row, self._values, strict=True))
            members["value"] = round(weighted / max(1, sum(row)), VALUE_DIGITS) + 0.0
        return members


class MultiLabelHead(ScoredLabelsHead):
    """Predicts every label that reaches its own threshold, best first.

    `scores` names every predicted label, also beyond `top_k`. If the best score is below the abstain
    threshold, no label is predicted.
    """

    def __init__(self, manifest: Manifest, top_k: int) -> None:
        super().__init__(manifest, top_k)
        self._thresholds = [threshold * MILLIONTHS for threshold in label_thresholds(manifest)]

    def _activate(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return sigmoid(logits)

    def _members(self, row: list[int], best: list[int]) -> dict[str, Any]:
        if row[best[0]] < self._abstain_below:
            return {"labels": [], "abstained": True, "scores": self._scores(row, best[: self._top_k])}
        predicted = [index for index in best if row[index] >= self._thresholds[index]]
        shown = set(best[: self._top_k]).union(predicted)
        scores = self._scores(row, [index for index in best if index in shown])
        return {"labels": [self._labels[index] for index in predicted], "scores": scores}


def label_thresholds(manifest: Manifest) -> list[float]:
    """Return the probability at which each label is predicted, in the labels' order."""
    thresholds = manifest.thresholds or {}
    return [thresholds.get(label, DEFAULT_THRESHOLD) for label in manifest.labels]
