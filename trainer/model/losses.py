"""Training losses: one function of logits and targets per head, optionally weighted or focal."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from stream.bundle import HeadKind
from trainer.config import LossName

Loss = Callable[[Any, Any], Any]
"""A function of logits and targets that returns the *sum* of the losses of all items, not their mean."""

IGNORED = -100
"""The target of tokens that do not count in the loss: the default `ignore_index` of PyTorch."""

# For gamma < 1 the slope of x**gamma is infinite at 0.
MIN_FOCAL_BASE = 1e-6


def make_loss(
    head: HeadKind,
    name: LossName = "default",
    weights: Sequence[float] | None = None,
    gamma: float = 2.0,
    smoothing: float = 0.0,
) -> Loss:
    """Return the loss of a head.

    | head | default | logits | targets |
    |---|---|---|---|
    | single-label | cross-entropy | float [rows, labels] | int64 [rows] |
    | token | cross-entropy | float [rows, tokens, labels] | int64 [rows, tokens], -100 for ignored tokens |
    | multi-label | binary cross-entropy | float [rows, labels] | float [rows, labels], 0 or 1 |
    | regression | squared error | float [rows, 1] | float [rows], standardised |

    Args:
        head: the head of the model.
        name: the loss of the head, or `focal` (Lin et al. 2017, "Focal Loss for Dense Object Detection"),
            which scales the loss of an item by (1 - probability of the target) ** gamma.
        weights: one weight per label. For single-label and token, the weight scales the loss of all items
            with that label; for multi-label, only the loss of the positive items.
        gamma: the exponent of the focal loss; 0 gives the plain loss.
        smoothing: the share of a target that is spread evenly over all labels (label smoothing, Szegedy et
            al. 2016); for the plain cross-entropy only.

    Raises:
        ValueError: a regression gets weights or the focal loss, or another loss than the plain cross-entropy
            gets label smoothing.
    """
    if head == "regression" and (name == "focal" or weights is not None):
        raise ValueError("a regression supports only the plain squared error")
    if smoothing and (name == "focal" or head not in ("single-label", "token")):
        raise ValueError("label smoothing needs the plain cross-entropy")
    if head == "regression":
        return squared_error
    # The tensor is created once here; the losses move it to the device of the logits.
    given = None if weights is None else torch.tensor(list(weights), dtype=torch.float32)
    power = gamma if name == "focal" else 0.0
    if head == "multi-label":
        return lambda logits, targets: binary_cross_entropy(logits, targets, given, power)
    return lambda logits, targets: cross_entropy(logits, targets, given, power, smoothing)


def cross_entropy(
    logits: Any, targets: Any, weights: Any = None, gamma: float = 0.0, smoothing: float = 0.0
) -> Any:
    """Sum weight[target] x (1 - p)**gamma x -log p over all items, with p the probability of the target."""
    rows, truth = logits.flatten(0, -2).float(), targets.flatten()
    moved = None if weights is None else weights.to(rows.device)
    if not gamma:
        return functional.cross_entropy(
            rows, truth, weight=moved, ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing
        )
    plain = functional.cross_entropy(rows, truth, ignore_index=IGNORED, reduction="none")
    focal = (1 - torch.exp(-plain)).clamp(min=MIN_FOCAL_BASE) ** gamma * plain
    if moved is not None:
        # The clamp avoids an invalid index; the plain loss of ignored items is 0.
        focal = focal * moved[truth.clamp(min=0)]
    return focal.sum()


def binary_cross_entropy(logits: Any, targets: Any, weights: Any = None, gamma: float = 0.0) -> Any:
    """Sum (1 - p)**gamma x binary cross-entropy over rows and labels; `weights` scale the positive items."""
    scores, truth = logits.float(), targets.float()
    moved = None if weights is None else weights.to(scores.device)
    plain = functional.binary_cross_entropy_with_logits(scores, truth, pos_weight=moved, reduction="none")
    if not gamma:
        return plain.sum()
    probability = torch.sigmoid(scores)
    missed = torch.where(truth > 0.5, 1 - probability, probability)
    return (missed.clamp(min=MIN_FOCAL_BASE) ** gamma * plain).sum()


def squared_error(logits: Any, targets: Any) -> Any:
    """Sum the squared differences of all rows, in standardised units."""
    return functional.mse_loss(logits.squeeze(-1).float(), targets.float(), reduction="sum")
