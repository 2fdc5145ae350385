"""Logits to one label of several: softmax, the score in millionths, the label's members of an event."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import repeat

import numpy as np
import numpy.typing as npt
import orjson

from stream.bundle import Manifest
from stream.classify.inputs import ModelInput, Prediction
from stream.classify.tokenise import Tokens
from stream.codec import codec
from stream.errors import Poison, Reason
from stream.runtime.base import Logits

MILLIONTHS = 1_000_000
SCORE_BYTES = 4
# Templates of this many orders of labels: many labels have more, and few of these come again.
ORDERS_KEPT = 1_024
Millionths = npt.NDArray[np.uint32]


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
        self._top_k = top_k
        self._names = tuple(orjson.dumps(label) for label in manifest.labels)
        self._template = lru_cache(ORDERS_KEPT)(self._asking)

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
        found = self._encoded(np.rint(scores * MILLIONTHS).astype("<u4"), cached=False)
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

    def _asking(self, order: tuple[int, ...]) -> bytes:
        """The members of a prediction with these labels, asking for the score and for each label's."""
        names = [self._names[at].replace(b"%", b"%%") for at in order]
        return b'"label":%b,"score":%%b,"scores":{%b}' % (
            names[0],
            b",".join(name + b":%b" for name in names),
        )


def row_bytes(scores: Millionths) -> list[bytes]:
    """Each row's bytes."""
    return np.ascontiguousarray(scores).view(f"V{SCORE_BYTES * scores.shape[1]}").ravel().tolist()
