"""The regression head: a logit becomes a value on the scale of the training target."""

import math
import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import orjson

from stream.bundle import Manifest, TargetScale
from stream.classify.heads.base import VALUE_DIGITS, check_labels, replace_non_finite
from stream.classify.inputs import ModelInput, Prediction, RowResult
from stream.classify.tokenise import Tokens
from stream.runtime import Logits

STORED = struct.Struct("<d")
MAX_LOGIT = float(np.finfo(np.float32).max)
ROUNDING = 10.0**-VALUE_DIGITS


class RegressionHead:
    """Predicts `value` = logit × std + mean, rounded to six decimal places."""

    def __init__(self, manifest: Manifest) -> None:
        self._scale = manifest.target or TargetScale()

    def predict(
        self,
        logits: Logits,
        tokens: Sequence[Tokens] = (),  # noqa: ARG002
    ) -> list[RowResult]:
        """Return a prediction for each row of float32 [rows, 1], `Poison` if the value is not finite.

        Raises:
            ValueError: the logits have another shape.
        """
        check_labels(logits, 1)
        # A large logit or scale can overflow.
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = logits[:, 0].astype(np.float64) * self._scale.std + self._scale.mean
        finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(scaled))
        values = np.where(finite, scaled, 0.0)
        return replace_non_finite([_encode(value, cached=False) for value in values.tolist()], finite)

    def accepts(self, stored: bytes) -> bool:
        """Return True if a stored form is a finite number."""
        return len(stored) == STORED.size and math.isfinite(STORED.unpack(stored)[0])

    def possible(
        self,
        stored: Sequence[bytes],
        inputs: Sequence[ModelInput] = (),  # noqa: ARG002
    ) -> list[bool]:
        """Return for each stored form whether it is rounded, and within what a float32 logit can reach."""
        return [self._is_possible(STORED.unpack(value)[0]) for value in stored]

    def _is_possible(self, value: float) -> bool:
        distance = abs(value - self._scale.mean)
        return _rounded(value) == value and distance <= MAX_LOGIT * abs(self._scale.std) + ROUNDING

    def restore(
        self,
        stored: Sequence[bytes],
        inputs: Sequence[ModelInput] = (),  # noqa: ARG002
    ) -> list[Prediction]:
        """Restore predictions from stored forms, values as little-endian float64."""
        return [_encode(STORED.unpack(value)[0], cached=True) for value in stored]


def _encode(value: float, *, cached: bool) -> Prediction:
    rounded = _rounded(value)
    return Prediction(orjson.dumps({"value": rounded})[1:-1], STORED.pack(rounded), cached)


def _rounded(value: float) -> float:
    # Adding 0.0 turns negative zero into zero.
    return round(value, VALUE_DIGITS) + 0.0
