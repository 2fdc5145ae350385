"""Logits to probabilities with the worker's own functions."""

import numpy as np
import numpy.typing as npt

from stream.bundle.manifest import Head
from stream.classify.heads.labels import sigmoid
from stream.classify.heads.single_label import softmax
from stream.runtime.base import Logits


def probabilities(logits: Logits, head: Head, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Softmax over the last axis, or for multi-label the sigmoid, of logits / temperature.

    Raises:
        ValueError: a regression has none.
    """
    if head == "regression":
        raise ValueError("a regression has no probabilities")
    scaled = logits / temperature
    return sigmoid(scaled) if head == "multi-label" else softmax(scaled)
