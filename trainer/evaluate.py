"""How good a classifier is on rows that it never saw."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from stream.runtime.base import Logits


def evaluate(logits: Logits, truth: Sequence[int], labels: Sequence[str]) -> dict[str, Any]:
    """Score logits, float32 [rows, labels], against the true label numbers.

    Returns:
        JSON-ready: rows, accuracy, macro_f1 (mean over the labels that occur in truth or answers), per_label
        (precision, recall, f1, support) and confusion ([true label][guessed label], counts).
    """
    guessed = logits.argmax(axis=1)
    numbers = np.arange(len(labels))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, guessed, labels=numbers, zero_division=0
    )
    occurring = sorted({*truth, *guessed.tolist()})
    return {
        "rows": len(truth),
        "accuracy": float(accuracy_score(truth, guessed)),
        "macro_f1": float(f1[occurring].mean()),
        "per_label": {
            label: {
                "precision": float(precision[at]),
                "recall": float(recall[at]),
                "f1": float(f1[at]),
                "support": int(support[at]),
            }
            for at, label in enumerate(labels)
        },
        "confusion": confusion_matrix(truth, guessed, labels=numbers).tolist(),
    }
