"""The history of a training: loss and validation metrics of each epoch, from the Trainer's log."""

from collections.abc import Mapping, Sequence
from typing import Any

VALIDATION = "eval_"


def epoch_history(log: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Return one entry for each validation: `epoch`, the mean `loss` since the last one, and the metrics.

    Args:
        log: the entries of the Trainer's log, in order; those with `loss` hold the mean over the steps since
            the entry before.
    """
    history: list[dict[str, float]] = []
    total, steps, last = 0.0, 0, 0
    for entry in log:
        if "loss" in entry:
            count = entry["step"] - last
            total, steps, last = total + entry["loss"] * count, steps + count, entry["step"]
        metrics = {
            name.removeprefix(VALIDATION): value
            for name, value in entry.items()
            if name.startswith(VALIDATION)
        }
        if metrics:
            loss = {"loss": total / steps} if steps else {}
            history.append({"epoch": _whole(entry["epoch"]), **loss, **metrics})
            total, steps = 0.0, 0
    return history


def _whole(epoch: float) -> float:
    return round(epoch) if abs(epoch - round(epoch)) < 1e-6 else epoch
