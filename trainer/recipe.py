"""The hyper-parameters of a training; nothing heavy is imported here."""

import math
from dataclasses import dataclass
from typing import Literal

HeadName = Literal["linear", "mlp"]
LossName = Literal["default", "focal"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Scheduler = Literal["linear", "cosine", "constant", "constant_with_warmup"]
Subwords = Literal["first", "all"]


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adaptation (Hu et al. 2021): `rank` of the updates, `alpha` / rank scales them."""

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained.

    Attributes:
        epochs: at most.
        batch_size: rows that the device holds at once.
        learning_rate: at its peak.
        max_length: tokens.
        seed: of head, order, dropout and splits.
        gradient_accumulation: batches to an optimiser step.
        weight_decay: of everything but biases and norms (AdamW).
        warmup: share of the steps in which the learning rate rises.
        scheduler: how it falls afterwards, in the words of transformers.
        patience: epochs without a better validation metric after which training stops.
        precision: of the arithmetic; weights stay float32.
        head: one linear layer, or an MLP.
        loss: the task's own, or focal.
        gamma: of the focal loss.
        label_smoothing: of the cross-entropy.
        freeze_layers: lowest encoder layers that are not trained, embeddings included; 0 trains all.
        layer_decay: a layer learns by this factor slower than the one above it; 1 for all alike.
        lora: train adapters in place of the encoder.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    max_length: int
    seed: int
    gradient_accumulation: int = 1
    weight_decay: float = 0.01
    warmup: float = 0.1
    scheduler: Scheduler = "linear"
    patience: int = 2
    precision: Precision = "auto"
    head: HeadName = "linear"
    loss: LossName = "default"
    gamma: float = 2.0
    label_smoothing: float = 0.0
    freeze_layers: int = 0
    layer_decay: float = 1.0
    lora: Lora | None = None

    def steps_per_epoch(self, rows: int) -> int:
        """Optimiser steps that go once over so many rows."""
        return math.ceil(math.ceil(rows / self.batch_size) / self.gradient_accumulation)
