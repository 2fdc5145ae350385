"""The single-label head: softmax, scores in millionths, and the JSON members of the label event."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stream.bundle import Manifest
from stream.classify.heads.base import replace_non_finite, softmax
from stream.classify.inputs import ModelInput, Prediction, RowResult
from stream.classify.tokenise import Tokens
from stream.codec import MILLIONTHS, SCORE_BYTES, load_codec
from stream.runtime.base import Logits


class SingleLabelHead:
    """Predicts one label, for bundles that neither abstain nor have ordinal labels."""

    def __init__(self, manifest: Manifest, top_k: int) -> None:
        """
        Args:
            manifest: the bundle's manifest.
            top_k: the number of labels in `scores`, best first.
        """
        self._labels = manifest.labels
        self._temperature = manifest.temperature
        self._encode = load_codec().score_encoder(manifest.labels, top_k, Prediction)

    def predict(
        self,
        logits: Logits,
        tokens: Sequence[Tokens] = (),  # noqa: ARG002
    ) -> list[RowResult]:
        """Return a prediction for each row of float32 [rows, labels], `Poison` if a logit is not finite."""
        finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(logits).all(axis=1))
        usable = logits if finite.all() else np.where(finite[:, None], logits, 0.0)
        scores = softmax(usable / self._temperature)
        found = self._encode(np.rint(scores * MILLIONTHS).astype("<u4"), cached=False)
        return replace_non_finite(found, finite)

    def accepts(self, stored: bytes) -> bool:
        """Return True if a stored form has a score for each label."""
        return len(stored) == SCORE_BYTES * len(self._labels)

    def restore(
        self,
        stored: Sequence[bytes],
        rows: Sequence[ModelInput] = (),  # noqa: ARG002
    ) -> list[Prediction]:
        """Restore predictions from stored forms, the scores of all labels."""
        if not stored:
            return []
        scores = np.frombuffer(b"".join(stored), dtype="<u4").reshape(len(stored), len(self._labels))
        return self._encode(scores, cached=True)
