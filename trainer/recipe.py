"""The hyper-parameters of a training."""

import math
from dataclasses import dataclass

PATIENCE = 2
"""Epochs without a better validation macro-F1 after which training stops."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained; `max_length` in tokens, `epochs` at most."""

    epochs: int
    batch_size: int
    learning_rate: float
    max_length: int
    seed: int

    def steps_per_epoch(self, rows: int) -> int:
        """Optimiser steps that go once over so many rows."""
        return math.ceil(rows / self.batch_size)
