"""The single-label head: softmax, scores in millionths, and the JSON members of the label event."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import repeat

import numpy as np
import numpy.typing as npt
import orjson

from stream.bundle import Manifest
from stream.classify.heads.base import (
    MILLIONTHS,
    SCORE_BYTES,
    Millionths,
    replace_non_finite,
    row_bytes,
    softmax,
)
from stream.classify.inputs import ModelInput, Prediction, RowResult
from stream.classify.tokenise import Tokens
from stream.codec import codec
from stream.runtime.base import Logits

# The number of label orders whose templates are cached: with many labels there are more orders, and few of
# them recur.
CACHED_ORDERS = 1_024


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
        self._top_k = top_k
        self._names = tuple(orjson.dumps(label) for label in manifest.labels)
        self._template = lru_cache(CACHED_ORDERS)(self._make_template)

    def predict(
        self,
        logits: Logits,
        tokens: Sequence[Tokens] = (),  # noqa: ARG002
    ) -> list[RowResult]:
        """Return a prediction for each row of float32 [rows, labels], `Poison` if a logit is not finite."""
        finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(logits).all(axis=1))
        usable = logits if finite.all() else np.where(finite[:, None], logits, 0.0)
        scores = softmax(usable / self._temperature)
        found = self._encoded(np.rint(scores * MILLIONTHS).astype("<u4"), cached=False)
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
        return self._encoded(scores, cached=True)

    def _encoded(self, scores: Millionths, *, cached: bool) -> list[Prediction]:
        """Label, score and scores (best first, ties in the labels' order) of scores [rows, labels].

        Without the codec orjson writes the numbers of all rows in one call; they are filled into a template
        for each order of labels. Most events of a stream have one of few.
        """
        if not len(scores):
            return []
        if codec is not None:
            laid_out = np.ascontiguousarray(scores).data
            return codec.encode_scores(laid_out, self._names, self._top_k, Prediction, cached)
        order = np.argsort(-scores.astype(np.int64), axis=1, kind="stable")[:, : self._top_k]
        best = np.take_along_axis(scores, order, axis=1) / MILLIONTHS
        rows = orjson.dumps(best, option=orjson.OPT_SERIALIZE_NUMPY)[2:-2].split(b"],[")
        templates = map(self._template, map(tuple, order.tolist()))
        members = [
            template % (numbers[0], *numbers)
            for template, numbers in zip(templates, [row.split(b",") for row in rows], strict=True)
        ]
        return [*map(Prediction._make, zip(members, row_bytes(scores), repeat(cached), strict=False))]

    def _make_template(self, order: tuple[int, ...]) -> bytes:
        """Return the members for this order of labels, with placeholders for the score and all scores."""
        names = [self._names[at].replace(b"%", b"%%") for at in order]
        return b'"label":%b,"score":%%b,"scores":{%b}' % (
            names[0],
            b",".join(name + b":%b" for name in names),
        )
