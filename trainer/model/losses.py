"""What training minimises: one function of logits and targets for each head, weighted or focal on request."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from stream.bundle.manifest import Head
from trainer.config import LossName

Loss = Callable[[Any, Any], Any]
"""Logits and targets to the *sum* of the losses of all items; the mean is the caller's to take."""

IGNORED = -100
"""Target of a token that has no say: PyTorch's own number for it."""

# The slope of x**gamma at 0 is infinite for a gamma under 1.
LEAST = 1e-6


def make_loss(
    head: Head,
    name: LossName = "default",
    weights: Sequence[float] | None = None,
    gamma: float = 2.0,
    smoothing: float = 0.0,
) -> Loss:
    """The loss of a head.

    | head | default | logits | targets |
    |---|---|---|---|
    | single-label | cross-entropy | float [rows, labels] | int64 [rows] |
    | token | cross-entropy | float [rows, tokens, labels] | int64 [rows, tokens], -100 without a say |
    | multi-label | binary cross-entropy | float [rows, labels] | float [rows, labels], 0 or 1 |
    | regression | squared error | float [rows, 1] | float [rows], standardised |

    Args:
        head: which one.
        name: `focal` (Lin et al. 2017, "Focal Loss for Dense Object Detection") multiplies each item's loss
            by (1 - probability of the truth) ** gamma, so that what is known already weighs little.
        weights: for single-label and token one for each label, which multiplies the loss of its rows; for
            multi-label one for each label, which multiplies the loss of its positive rows alone.
        gamma: of the focal loss; 0 makes it the plain one.
        smoothing: share of a row's target that is spread evenly over all labels (Szegedy et al. 2016), for
            the cross-entropy alone.

    Raises:
        ValueError: a regression has neither classes to weigh nor probabilities to focus on; only the plain
            cross-entropy is smoothed.
    """
    if head == "regression" and (name == "focal" or weights is not None):
        raise ValueError("a regression takes the squared error alone")
    if smoothing and (name == "focal" or head not in ("single-label", "token")):
        raise ValueError("only the plain cross-entropy takes label smoothing")
    if head == "regression":
        return squared_error
    # Fixed here, moved to the logits' device when they are known.
    given = None if weights is None else torch.tensor(list(weights), dtype=torch.float32)
    power = gamma if name == "focal" else 0.0
    if head == "multi-label":
        return lambda logits, targets: binary_cross_entropy(logits, targets, given, power)
    return lambda logits, targets: cross_entropy(logits, targets, given, power, smoothing)


def cross_entropy(
    logits: Any, targets: Any, weights: Any = None, gamma: float = 0.0, smoothing: float = 0.0
) -> Any:
    """Sum over items of weight[truth] x (1 - p)**gamma x -log p, p the softmax probability of the truth."""
    rows, truth = logits.flatten(0, -2).float(), targets.flatten()
    moved = None if weights is None else weights.to(rows.device)
    if not gamma:
        return functional.cross_entropy(
            rows, truth, weight=moved, ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing
        )
    plain = functional.cross_entropy(rows, truth, ignore_index=IGNORED, reduction="none")
    focused = (1 - torch.exp(-plain)).clamp(min=LEAST) ** gamma * plain
    if moved is not None:
        focused = focused * moved[truth.clamp(min=0)]
    # What is ignored has a plain loss of 0.
    return focused.sum()


def binary_cross_entropy(logits: Any, targets: Any, weights: Any = None, gamma: float = 0.0) -> Any:
    """Sum over rows and labels of the binary cross-entropy; positives x weight, items x (1 - p)**gamma."""
    scores, truth = logits.float(), targets.float()
    moved = None if weights is None else weights.to(scores.device)
    plain = functional.binary_cross_entropy_with_logits(scores, truth, pos_weight=moved, reduction="none")
    if not gamma:
        return plain.sum()
    chance = torch.sigmoid(scores)
    missed = torch.where(truth > 0.5, 1 - chance, chance)
    return (missed.clamp(min=LEAST) ** gamma * plain).sum()


def squared_error(logits: Any, targets: Any) -> Any:
    """Sum over rows of the squared difference, in standardised units."""
    return functional.mse_loss(logits.squeeze(-1).float(), targets.float(), reduction="sum")
