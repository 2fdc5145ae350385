"""What every runtime looks like from outside."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

Padded = Mapping[str, npt.NDArray[np.int64]]
"""Graph inputs by name, each int64 [rows, tokens]."""

Logits = npt.NDArray[np.float32]
"""float32 [rows, labels]."""


class Runtime(Protocol):
    """A loaded model. One thread owns it; `infer` is called from that thread only."""

    device: str
    provider: str

    def infer(self, inputs: Padded) -> Logits:
        """Compute logits, float32 [rows, labels].

        Raises:
            Exception: whatever the library raises; the caller finds out whether a row or the device failed.
        """
