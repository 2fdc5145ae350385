"""The head that measures: a logit to a value on the scale that the model learnt."""

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import orjson

from stream.bundle import Manifest
from stream.bundle.manifest import TargetScale
from stream.classify.heads.labels import VALUE_DIGITS
from stream.classify.heads.single_label import replace_non_finite
from stream.classify.inputs import ModelInput, Prediction
from stream.classify.tokenise import Tokens
from stream.errors import Poison
from stream.runtime.base import Logits

STORED = struct.Struct("<d")


class RegressionHead:
    """`value` = logit × std + mean, rounded to six digits behind the point."""

    def __init__(self, manifest: Manifest) -> None:
        self._scale = manifest.target or TargetScale()

    def predictions(
        self,
        logits: Logits,
        tokens: Sequence[Tokens] = (),  # noqa: ARG002
    ) -> list[Prediction | Poison]:
        """A prediction, or poison where a logit is not finite, for each row of float32 [rows, 1]."""
        finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(logits).all(axis=1))
        known = np.where(finite, logits[:, 0], 0.0).astype(np.float64)
        values = known * self._scale.std + self._scale.mean
        return replace_non_finite([_encoded(value, cached=False) for value in values.tolist()], finite)

    def fits(self, stored: bytes) -> bool:
        """Whether a stored form is a finite number."""
        return len(stored) == STORED.size and bool(np.isfinite(STORED.unpack(stored)[0]))

    def restored(
        self,
        stored: Sequence[bytes],
        rows: Sequence[ModelInput] = (),  # noqa: ARG002
    ) -> list[Prediction]:
        """Predictions from `Prediction.scores`, the value as a little-endian float64."""
        return [_encoded(STORED.unpack(value)[0], cached=True) for value in stored]


def _encoded(value: float, *, cached: bool) -> Prediction:
    # Zero has no sign for those who read it.
    rounded = round(value, VALUE_DIGITS) + 0.0
    return Prediction(orjson.dumps({"value": rounded})[1:-1], STORED.pack(rounded), cached)
