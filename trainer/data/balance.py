"""What a request does about classes of unequal size, to the training part and to its loss."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from stream.bundle.manifest import Head
from trainer.config import Imbalance
from trainer.data.augment import augmented
from trainer.data.imbalance import class_weights, positive_weights, resampled
from trainer.data.read import Example


def balanced(examples: Sequence[Example], imbalance: Imbalance, seed: int) -> list[Example]:
    """The training rows, repeated, left out and altered as was asked for."""
    rows = list(examples)
    if imbalance.sampling is not None:
        rows = [rows[at] for at in resampled(rows, imbalance.sampling, seed)]
    if imbalance.augment:
        rows = augmented(rows, seed, methods=imbalance.augment)
    return rows


def loss_weights(
    examples: Sequence[Example], labels: Sequence[str], head: Head, imbalance: Imbalance
) -> list[float] | None:
    """Weights for `make_loss`, by the rows that are trained on; None where none are wanted."""
    if imbalance.class_weights is None:
        return None
    seen = Counter(name for example in examples for name in example.names)
    counts = {label: seen[label] for label in labels}
    found = (
        positive_weights(counts, len(examples), imbalance.class_weights)
        if head == "multi-label"
        else class_weights(counts, imbalance.class_weights)
    )
    return [found[label] for label in labels]


def balance_metrics(
    before: int, after: int, labels: Sequence[str], weights: Sequence[float] | None, imbalance: Imbalance
) -> dict[str, Any]:
    """What was chosen, JSON-ready."""
    return {
        "class_weights": imbalance.class_weights,
        "weights": None if weights is None else dict(zip(labels, weights, strict=True)),
        "sampling": imbalance.sampling,
        "augment": list(imbalance.augment),
        "rows_before": before,
        "rows_after": after,
    }
