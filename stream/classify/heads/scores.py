"""The base class of heads with a score for each label, which converts logits to scores in millionths."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stream.bundle import Manifest
from stream.classify.heads.base import check_labels, replace_non_finite
from stream.classify.inputs import ModelInput, Prediction, RowResult
from stream.classify.tokenise import Tokens
from stream.codec import MILLIONTHS, SCORE_BYTES, Scores
from stream.runtime import Logits


def is_distribution(scores: Scores) -> npt.NDArray[np.bool_]:
    """Return for each row whether its scores, in millionths, can be the rounded scores of a distribution.

    Rounding changes each of n scores by at most half a millionth, and their sum by at most n / 2.
    """
    rounding = scores.shape[1] // 2
    result: npt.NDArray[np.bool_] = np.abs(scores.sum(axis=1, dtype=np.int64) - MILLIONTHS) <= rounding
    return result


class ScoresHead(ABC):
    """Base class of heads whose stored form is the score of each label, in millionths."""

    def __init__(self, manifest: Manifest) -> None:
        self._labels = manifest.labels
        self._temperature = manifest.temperature

    def predict(
        self,
        logits: Logits,
        tokens: Sequence[Tokens] = (),  # noqa: ARG002
    ) -> list[RowResult]:
        """Return a prediction for each row of float32 [rows, labels], `Poison` if a logit is not finite.

        Raises:
            ValueError: the logits have another shape.
        """
        check_labels(logits, len(self._labels))
        # Large logits can overflow in the division.
        with np.errstate(over="ignore"):
            scaled = logits / self._temperature
        finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(scaled).all(axis=1))
        usable = scaled if finite.all() else np.where(finite[:, None], scaled, 0.0)
        scores = np.rint(self._activate(usable) * MILLIONTHS).astype("<u4")
        return replace_non_finite(self._encode(scores, cached=False), finite)

    def accepts(self, stored: bytes) -> bool:
        """Return True if a stored form has a score for each label."""
        return len(stored) == SCORE_BYTES * len(self._labels)

    def possible(
        self,
        stored: Sequence[bytes],
        inputs: Sequence[ModelInput] = (),  # noqa: ARG002
    ) -> list[bool]:
        """Return for each stored form whether its scores are probabilities that the head can predict."""
        if not stored:
            return []
        scores = self._read(stored)
        probabilities = (scores <= MILLIONTHS).all(axis=1)
        result: list[bool] = (probabilities & self._consistent(scores)).tolist()
        return result

    def restore(
        self,
        stored: Sequence[bytes],
        inputs: Sequence[ModelInput] = (),  # noqa: ARG002
    ) -> list[Prediction]:
        """Restore predictions from stored forms, the scores of all labels."""
        if not stored:
            return []
        return self._encode(self._read(stored), cached=True)

    def _read(self, stored: Sequence[bytes]) -> Scores:
        return np.frombuffer(b"".join(stored), dtype="<u4").reshape(len(stored), len(self._labels))

    @abstractmethod
    def _activate(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return the probabilities of logits that are divided by the temperature, both [rows, labels]."""

    @abstractmethod
    def _consistent(self, scores: Scores) -> npt.NDArray[np.bool_]:
        """Return for each row of scores whether they can occur together, bool [rows]."""

    @abstractmethod
    def _encode(self, scores: Scores, *, cached: bool) -> list[Prediction]:
        """Return a prediction for each row of scores, uint32 millionths [rows, labels]."""
