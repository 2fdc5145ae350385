"""What the rows of a part should come to, as numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.bundle.manifest import Head, TargetScale
from trainer.data.examples import Example


def targets(examples: Sequence[Example], labels: Sequence[str], head: Head) -> npt.NDArray[Any]:
    """What the rows should come to.

    Returns:
        Label numbers int64 [rows]; for multi-label 0 and 1, int64 [rows, labels]; for a regression float64
        [rows].

    Raises:
        ValueError: the targets of token classification depend on the tokens, see `trainer.model.tagged`.
    """
    number = {label: at for at, label in enumerate(labels)}
    if head == "token":
        raise ValueError("the targets of token classification depend on the tokens")
    if head == "regression":
        return np.array([example.target for example in examples], dtype=np.float64)
    if head == "single-label":
        return np.array([number[example.labels[0]] for example in examples], dtype=np.int64)
    found = np.zeros((len(examples), len(labels)), dtype=np.int64)
    for row, example in enumerate(examples):
        found[row, [number[name] for name in example.labels]] = 1
    return found


def fit_target(examples: Sequence[Example]) -> TargetScale:
    """Mean and standard deviation of a regression's numbers, so that the model learns standardised ones."""
    numbers = targets(examples, [], "regression")
    spread = float(numbers.std())
    return TargetScale(mean=float(numbers.mean()), std=spread if spread > 0 else 1.0)
