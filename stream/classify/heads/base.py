"""The interface of a head, and the functions that several heads share."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from stream.classify.inputs import ModelInput, Prediction, RowResult
from stream.classify.tokenise import Tokens
from stream.errors import Poison, Reason
from stream.runtime import Logits

VALUE_DIGITS = 6
# [rows, labels], and [rows, tokens, labels] of models that tag tokens.
ROW_DIMENSIONS = 2
TAG_DIMENSIONS = 3


class Head(Protocol):
    """Turns logits into predictions, and restores predictions from their stored form."""

    def predict(self, logits: Logits, tokens: Sequence[Tokens]) -> Sequence[RowResult]:
        """Return a prediction for each row, `Poison` for a row with a logit that is not finite.

        Args:
            logits: float32 [rows, labels], or [rows, tokens, labels] from models that tag tokens.
            tokens: the tokens of each row.
        """

    def accepts(self, stored: bytes) -> bool:
        """Return True if these bytes can be a `Prediction.stored` of this head."""

    def possible(self, stored: Sequence[bytes], inputs: Sequence[ModelInput]) -> Sequence[bool]:
        """Return for each accepted stored form whether this head can have predicted it for the input.

        Stored forms come from a cache that others can write to, and are published as predictions.

        Args:
            stored: stored forms that the head accepts.
            inputs: the inputs of the predictions.
        """

    def restore(self, stored: Sequence[bytes], inputs: Sequence[ModelInput]) -> Sequence[Prediction]:
        """Restore predictions from stored forms that the head accepts.

        Args:
            stored: the stored forms.
            inputs: the inputs of the predictions.
        """


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Softmax over the last axis, shifted by the row's maximum so that no exponential overflows."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    result: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def sigmoid(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Logistic function; its exponents are never positive, so that none overflows."""
    small = np.exp(-np.abs(logits.astype(np.float64)))
    result: npt.NDArray[np.float64] = np.where(logits >= 0, 1.0, small) / (1.0 + small)
    return result


def replace_non_finite(predictions: Sequence[Prediction], finite: npt.NDArray[np.bool_]) -> list[RowResult]:
    """Replace the predictions of rows whose logits are not finite by `Poison`.

    Args:
        predictions: a prediction for each row.
        finite: bool [rows], True where all logits of a row are finite.
    """
    if finite.all():
        return [*predictions]
    return [
        prediction if good else non_finite_logits()
        for prediction, good in zip(predictions, finite.tolist(), strict=True)
    ]


def non_finite_logits() -> Poison:
    """Return the result of a row whose logits are not finite."""
    return Poison(Reason.MODEL, "the model's logits for this text are not finite")


def finite_rows(logits: Logits, tokens: Sequence[Tokens]) -> npt.NDArray[np.bool_]:
    """Return bool [rows], True where all logits of a row are finite; the logits of padding do not count.

    Args:
        logits: float32 [rows, labels] or [rows, tokens, labels].
        tokens: the tokens of each row.
    """
    finite = np.isfinite(logits)
    if finite.ndim == TAG_DIMENSIONS:
        rows = [bool(row[: len(of_row)].all()) for row, of_row in zip(finite, tokens, strict=True)]
        return np.array(rows, dtype=np.bool_)
    return np.asarray(finite.reshape(len(tokens), -1).all(axis=1))


def check_labels(logits: Logits, labels: int) -> None:
    """Check that logits are [rows, labels].

    Raises:
        ValueError: the model returned another shape.
    """
    if logits.ndim != ROW_DIMENSIONS or logits.shape[1] != labels:
        raise ValueError(f"the model returned logits of the shape {logits.shape} for {labels} labels")
