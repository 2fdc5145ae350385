"""What every runtime looks like from outside."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

GraphInput = npt.NDArray[np.int64] | npt.NDArray[np.float32]

Padded = Mapping[str, GraphInput]
"""Graph inputs by name: int64 [rows, tokens], but `metadata` float32 [rows, columns]."""

Whole = Any
"""A whole number, or int64 of any shape."""

PaddedCost = Callable[[Whole, Whole], Whole]
"""Tokens that are computed for batches of so many rows and tokens a row; arrays broadcast."""

Logits = npt.NDArray[np.float32]
"""float32 [rows, labels]; [rows, tokens, labels] from models that tag tokens."""

# Of the 20 ms that a full batch of MiniLM takes, the event loop takes half a millisecond for each one that it
# hands over, and OpenVINO one for a change of shape. More at once would hardly save more, and be done later.
ALIKE_ON_CPU = 4


class Runtime(Protocol):
    """A loaded model. One thread owns it; `infer` is called from that thread only.

    Attributes:
        device: cpu, cuda, tensorrt or openvino.
        provider: the library's own name for what computes.
        pad_multiple: widths are best rounded up to a multiple of this, as far as the bundle's maximum length
            allows; 1: not at all. Rounding trades padding for shapes that come again.
        kept_shapes: (rows, tokens) that small batches are filled up to inside; each costs time when it is
            computed first.
        padded_cost: tokens that are computed for a batch of so many rows and tokens a row.
        max_same_shape_batches: how many full batches of one shape are worth handing over at once.
    """

    device: str
    provider: str
    pad_multiple: int
    kept_shapes: Sequence[tuple[int, int]]
    padded_cost: PaddedCost
    max_same_shape_batches: int

    def infer(self, inputs: Padded) -> Logits:
        """Compute logits, float32 [rows, labels] or [rows, tokens, labels].

        Raises:
            Exception: whatever the library raises; the caller finds out whether a row or the device failed.
        """
