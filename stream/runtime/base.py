"""The interface of a runtime."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

GraphInput = npt.NDArray[np.int64] | npt.NDArray[np.float32]

PaddedBatch = Mapping[str, GraphInput]
"""The graph inputs of a batch by name: int64 [rows, tokens], except `metadata`, float32 [rows, columns]."""

Integers = Any
"""An integer, or an int64 array of any shape."""

PaddedCost = Callable[[Integers, Integers], Integers]
"""Returns the tokens that are computed for numbers of rows and padded widths; arrays broadcast."""

Logits = npt.NDArray[np.float32]
"""float32 [rows, labels], or [rows, tokens, labels] from models that tag tokens."""

# A full batch of MiniLM takes 20 ms, of which the event loop takes half a millisecond for the handover and
# OpenVINO a millisecond for a change of shape. More batches in one handover would save little and delay the
# results.
CPU_SAME_SHAPE_BATCHES = 4


class Runtime(Protocol):
    """A loaded model. One thread owns it and is the only one to call `infer`.

    Attributes:
        device: cpu, cuda, tensorrt or openvino.
        provider: the library's name of the backend that computes.
        pad_multiple: the multiple to which widths should be rounded up, within the bundle's maximum length.
            Rounding adds padding and makes shapes recur; 1 means no rounding.
        bucket_shapes: the shapes (rows, tokens) to which the runtime pads small batches; the first inference
            of each takes longer.
        padded_cost: returns the tokens that are computed for a number of rows and a padded width.
        max_same_shape_batches: the number of full batches of one shape that should be handed over together.
    """

    device: str
    provider: str
    pad_multiple: int
    bucket_shapes: Sequence[tuple[int, int]]
    padded_cost: PaddedCost
    max_same_shape_batches: int

    def infer(self, inputs: PaddedBatch) -> Logits:
        """Compute logits, float32 [rows, labels] or [rows, tokens, labels].

        Raises:
            Exception: any error of the library; the caller determines whether a row or the device is faulty.
        """
