"""What a training will take, from a few steps that are timed and forgotten."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from stream.runtime import usable_cores
from trainer.config import Recipe
from trainer.model.batches import Rows
from trainer.model.losses import Loss
from trainer.model.precision import Chosen, autocast, device_name

TIMED_BATCHES = 3
FORWARD_SHARE = 1 / 3
"""What a row costs that is only looked at, against one that is learnt from: one pass of three."""


def estimate_seconds(
    model: Any, collate: Any, train: Rows, validation_rows: int, loss: Loss, recipe: Recipe, precision: Chosen
) -> float:
    """Seconds that all epochs will take at most; a fifth more or less is to be expected.

    A batch of short, one of middling and one of long rows is computed forwards and backwards. No weight
    changes, and the seed is set anew before training.

    Args:
        model: the classifier; it is moved to the device that trains.
        collate: makes a batch of rows.
        train: the rows to learn from.
        validation_rows: how many are looked at after each epoch.
        loss: what is minimised.
        recipe: batch size and epochs.
        precision: of the arithmetic.
    """
    torch.set_num_threads(usable_cores())
    device = device_name()
    model.to(device).train()
    batches = [
        {name: tensor.to(device) for name, tensor in collate([train[at] for at in places]).items()}
        for places in _batches(train.lengths, recipe.batch_size)
    ]
    # The first computation allocates and chooses kernels.
    _step(model, batches[0], loss, precision)
    started = time.perf_counter()
    for batch in batches:
        _step(model, batch, loss, precision)
    spent = (time.perf_counter() - started) / len(batches)
    model.zero_grad(set_to_none=True)
    return spent * recipe.epochs * (len(train) + FORWARD_SHARE * validation_rows) / recipe.batch_size


def _batches(lengths: Sequence[int], size: int) -> list[list[int]]:
    order = np.argsort(lengths, kind="stable")
    places = [(2 * at + 1) * len(order) // (2 * TIMED_BATCHES) for at in range(TIMED_BATCHES)]
    return [order[max(0, place - size // 2) :][:size].tolist() for place in places]


def _step(model: Any, batch: dict[str, Any], loss: Loss, precision: Chosen) -> None:
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    with autocast(precision):
        found = loss(model(**inputs).logits, batch["labels"])
    found.backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
