"""Logits to one label of several: softmax, the score in millionths, the label's members of an event."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stream.bundle import Manifest
from stream.classify.inputs import ModelInput, Prediction
from stream.classify.tokenise import Tokens
from stream.codec import MILLIONTHS, SCORE_BYTES, load_codec
from stream.errors import Poison, Reason
from stream.runtime.base import Logits


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Softmax over the last axis, shifted by the row's maximum so that no exponent overflows."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    exponents = np.exp(shifted)
    result: npt.NDArray[np.float64] = exponents / exponents.sum(axis=-1, keepdims=True)
    return result


def replace_non_finite(
    found: Sequence[Prediction], finite: npt.NDArray[np.bool_]
) -> list[Prediction | Poison]:
    """The predictions, with poison in place of those whose logits were not finite, bool [rows]."""
    if finite.all():
        return [*found]
    return [
        prediction if good else Poison(Reason.MODEL, "the model's logits for this text are not finite")
        for prediction, good in zip(found, finite.tolist(), strict=True)
    ]


class SingleLabelHead:
    """The head of plain single-label bundles, whole batches at a time."""

    def __init__(self, manifest: Manifest, top_k: int) -> None:
        """
        Args:
            manifest: the bundle's.
            top_k: labels named in `scores`, best first.
        """
        self._labels = manifest.labels
        self._temperature = manifest.temperature
        self._encode = load_codec().score_encoder(manifest.labels, top_k, Prediction)

    def predictions(
        self,
        logits: Logits,
        tokens: Sequence[Tokens] = (),  # noqa: ARG002
    ) -> list[Prediction | Poison]:
        """A prediction for each row of logits, float32 [rows, labels].

        A row with a logit that is not finite has no honest score; it becomes poison instead.
        """
        finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(logits).all(axis=1))
        sensible = logits if finite.all() else np.where(finite[:, None], logits, 0.0)
        scores = softmax(sensible / self._temperature)
        found = self._encode(np.rint(scores * MILLIONTHS).astype("<u4"), cached=False)
        return replace_non_finite(found, finite)

    def fits(self, stored: bytes) -> bool:
        """Whether a stored form has a score for each label."""
        return len(stored) == SCORE_BYTES * len(self._labels)

    def restored(
        self,
        stored: Sequence[bytes],
        rows: Sequence[ModelInput] = (),  # noqa: ARG002
    ) -> list[Prediction]:
        """Predictions from `Prediction.scores`, as they come out of a cache tier; all of them fit."""
        if not stored:
            return []
        scores = np.frombuffer(b"".join(stored), dtype="<u4").reshape(len(stored), len(self._labels))
        return self._encode(scores, cached=True)
