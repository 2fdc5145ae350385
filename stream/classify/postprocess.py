"""Logits to predictions: the one place where a task's activation is decided."""

import numpy as np
import numpy.typing as npt

from stream.bundle import Manifest
from stream.classify.inputs import Prediction
from stream.errors import BundleError, Poison, Reason
from stream.runtime.base import Logits

DIGITS = 6
SUPPORTED_TASKS = ("single-label",)


def check_task(manifest: Manifest) -> None:
    """Refuse a bundle whose task this version cannot post-process.

    Raises:
        BundleError: with the tasks that it can.
    """
    if manifest.task not in SUPPORTED_TASKS:
        raise BundleError(
            f"{manifest.name}@{manifest.version} is a {manifest.task} model",
            why=f"this version serves: {', '.join(SUPPORTED_TASKS)}",
            mend="use a newer labelstream, or another bundle",
        )


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Softmax over the last axis, shifted by the row's maximum so that no exponent overflows."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    exponents = np.exp(shifted)
    result: npt.NDArray[np.float64] = exponents / exponents.sum(axis=-1, keepdims=True)
    return result


def predictions(logits: Logits, temperature: float = 1.0) -> list[Prediction | Poison]:
    """Turn logits, float32 [rows, labels], into a prediction a row.

    A row with a logit that is not finite has no honest score; it becomes poison instead.
    """
    finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(logits).all(axis=1))
    scores = softmax(np.where(finite[:, None], logits, 0.0) / temperature).round(DIGITS).tolist()
    return [
        Prediction(tuple(row))
        if good
        else Poison(Reason.MODEL, "the model's logits for this text are not finite")
        for row, good in zip(scores, finite.tolist(), strict=True)
    ]


def label_fields(prediction: Prediction, labels: list[str], top_k: int) -> dict[str, object]:
    """The fields of a label event that come from the model: label, score, scores (best first)."""
    best = sorted(range(len(labels)), key=lambda at: (-prediction.scores[at], at))[:top_k]
    return {
        "label": labels[best[0]],
        "score": prediction.scores[best[0]],
        "scores": {labels[at]: prediction.scores[at] for at in best},
    }
