"""Heads for several labels per text, for ordinal labels and for bundles that abstain."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from stream.bundle import Manifest
from stream.classify.heads.base import VALUE_DIGITS, sigmoid, softmax
from stream.classify.heads.scores import ScoresHead, is_distribution
from stream.classify.inputs import Prediction
from stream.codec import MILLIONTHS, Scores, row_bytes

DEFAULT_THRESHOLD = 0.5


class MembersHead(ScoresHead):
    """Base class of heads that build the members of each label event in Python."""

    def __init__(self, manifest: Manifest, top_k: int) -> None:
        """
        Args:
            manifest: the bundle's manifest.
            top_k: the number of labels in `scores`, best first.
        """
        super().__init__(manifest)
        self._top_k = top_k
        self._abstain_below = round((manifest.abstain_below or 0.0) * MILLIONTHS)

    def _encode(self, scores: Scores, *, cached: bool) -> list[Prediction]:
        order = np.argsort(-scores.astype(np.int64), axis=1, kind="stable").tolist()
        return [
            Prediction(orjson.dumps(self._members(row, best))[1:-1], stored, cached)
            for row, best, stored in zip(scores.tolist(), order, row_bytes(scores), strict=True)
        ]

    def _scores(self, row: list[int], indexes: Sequence[int]) -> dict[str, float]:
        return {self._labels[index]: row[index] / MILLIONTHS for index in indexes}

    @abstractmethod
    def _members(self, row: list[int], best: list[int]) -> dict[str, Any]:
        """Return the event members of a row.

        Args:
            row: the score of each label in millionths.
            best: the indexes of the labels, best first.
        """


class AbstainingHead(MembersHead):
    """Predicts one label, for bundles that abstain or have ordinal labels.

    Ordinal labels add the expected value, the mean of the labels' numbers weighted by their probabilities. If
    the best probability is below the abstain threshold, the prediction has neither label nor score.
    """

    def __init__(self, manifest: Manifest, top_k: int) -> None:
        super().__init__(manifest, top_k)
        self._values = manifest.values

    def _activate(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return softmax(logits)

    def _consistent(self, scores: Scores) -> npt.NDArray[np.bool_]:
        return is_distribution(scores)

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


class MultiLabelHead(MembersHead):
    """Predicts every label that reaches its own threshold, best first.

    `scores` names every predicted label, also beyond `top_k`. If the best score is below the abstain
    threshold, no label is predicted.
    """

    def __init__(self, manifest: Manifest, top_k: int) -> None:
        super().__init__(manifest, top_k)
        self._thresholds = [threshold * MILLIONTHS for threshold in label_thresholds(manifest)]

    def _activate(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return sigmoid(logits)

    def _consistent(self, scores: Scores) -> npt.NDArray[np.bool_]:
        # The scores of several labels are independent of each other.
        return np.ones(len(scores), dtype=np.bool_)

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
