"""Heads that give every label a score, beside the plain one: several labels, ordinal labels, abstaining."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from stream.bundle import Manifest
from stream.classify.heads.single_label import replace_non_finite, softmax
from stream.classify.inputs import ModelInput, Prediction
from stream.classify.tokenise import Tokens
from stream.codec import MILLIONTHS, SCORE_BYTES, Scores, row_bytes
from stream.errors import Poison
from stream.runtime.base import Logits

THRESHOLD = 0.5
VALUE_DIGITS = 6


def sigmoid(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The logistic function, by exponents that are never positive, so that none overflows."""
    small = np.exp(-np.abs(logits.astype(np.float64)))
    result: npt.NDArray[np.float64] = np.where(logits >= 0, 1.0, small) / (1.0 + small)
    return result


class ScoredLabels(ABC):
    """What these heads share: finite logits to millionths, and those, fresh or stored, to members."""

    def __init__(self, manifest: Manifest, top_k: int) -> None:
        """
        Args:
            manifest: the bundle's.
            top_k: labels named in `scores`, best first.
        """
        self._labels = manifest.labels
        self._temperature = manifest.temperature
        self._top_k = top_k
        self._abstain_below = round((manifest.abstain_below or 0.0) * MILLIONTHS)

    def predictions(
        self,
        logits: Logits,
        tokens: Sequence[Tokens] = (),  # noqa: ARG002
    ) -> list[Prediction | Poison]:
        """A prediction, or poison where a logit is not finite, for each row of float32 [rows, labels]."""
        finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(logits).all(axis=1))
        scores = self._activated(np.where(finite[:, None], logits, 0.0) / self._temperature)
        return replace_non_finite(self._encoded(np.rint(scores * MILLIONTHS).astype("<u4"), False), finite)

    def fits(self, stored: bytes) -> bool:
        """Whether a stored form has a score for each label."""
        return len(stored) == SCORE_BYTES * len(self._labels)

    def restored(
        self,
        stored: Sequence[bytes],
        rows: Sequence[ModelInput] = (),  # noqa: ARG002
    ) -> list[Prediction]:
        """Predictions from `Prediction.scores`, all of which fit."""
        scores = np.frombuffer(b"".join(stored), dtype="<u4").reshape(len(stored), len(self._labels))
        return self._encoded(scores, True)

    def _encoded(self, scores: Scores, cached: bool) -> list[Prediction]:
        order = np.argsort(-scores.astype(np.int64), axis=1, kind="stable").tolist()
        return [
            Prediction(orjson.dumps(self._members(row, best))[1:-1], stored, cached)
            for row, best, stored in zip(scores.tolist(), order, row_bytes(scores), strict=True)
        ]

    def _shown(self, row: list[int], places: Sequence[int]) -> dict[str, float]:
        return {self._labels[at]: row[at] / MILLIONTHS for at in places}

    @abstractmethod
    def _activated(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Probabilities of logits that are divided by the temperature, both [rows, labels]."""

    @abstractmethod
    def _members(self, row: list[int], best: list[int]) -> dict[str, Any]:
        """What is said of a row: its millionths by label, and the labels' places, best first."""


class AbstainingHead(ScoredLabels):
    """One label of several, of a bundle that abstains, or whose labels stand for numbers.

    An ordinal label adds the expected value, the numbers' mean weighted with the labels' probabilities.
    Below the abstain threshold there is neither label nor score, but everything else.
    """

    def __init__(self, manifest: Manifest, top_k: int) -> None:
        super().__init__(manifest, top_k)
        self._values = manifest.values

    def _activated(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return softmax(logits)

    def _members(self, row: list[int], best: list[int]) -> dict[str, Any]:
        score = row[best[0]]
        said: dict[str, Any]
        if score < self._abstain_below:
            said = {"label": None, "abstained": True}
        else:
            said = {"label": self._labels[best[0]], "score": score / MILLIONTHS}
        said["scores"] = self._shown(row, best[: self._top_k])
        if self._values is not None:
            # Rounded scores need not sum to one; their weighted mean stays among the values all the same.
            weighted = sum(part * value for part, value in zip(row, self._values, strict=True))
            said["value"] = round(weighted / max(1, sum(row)), VALUE_DIGITS) + 0.0
        return said


class MultiLabelHead(ScoredLabels):
    """As many labels as reach their own thresholds, best first.

    `scores` names every label that is given, also beyond `top_k`. Where the best score is below the abstain
    threshold no label is given.
    """

    def __init__(self, manifest: Manifest, top_k: int) -> None:
        super().__init__(manifest, top_k)
        self._thresholds = [threshold * MILLIONTHS for threshold in label_thresholds(manifest)]

    def _activated(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return sigmoid(logits)

    def _members(self, row: list[int], best: list[int]) -> dict[str, Any]:
        if row[best[0]] < self._abstain_below:
            return {"labels": [], "abstained": True, "scores": self._shown(row, best[: self._top_k])}
        given = [at for at in best if row[at] >= self._thresholds[at]]
        wanted = set(best[: self._top_k]).union(given)
        shown = self._shown(row, [at for at in best if at in wanted])
        return {"labels": [self._labels[at] for at in given], "scores": shown}


def label_thresholds(manifest: Manifest) -> list[float]:
    """The probability from which on each label is given, in the labels' order."""
    thresholds = manifest.thresholds or {}
    return [thresholds.get(label, THRESHOLD) for label in manifest.labels]
