"""The loss of the task's metric by a variant, and the loss that a sample of this size can show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.model.inference import ModelOutput

RESAMPLES = 100
STANDARD_ERRORS = 1.96
SEED = 0

Score = Callable[[ModelOutput], float]
RowScore = Callable[[Sequence[int], ModelOutput], float]
"""The metric of the output for the validation rows with these numbers, which may repeat."""


@dataclass(frozen=True, slots=True)
class MetricLoss:
    """The loss of the metric, and the allowed loss."""

    loss: float
    allowed: float | None


def measure_loss(
    trained: ModelOutput, variant: ModelOutput, limit: float | None, score: Score, row_score: RowScore | None
) -> MetricLoss:
    """Measure how much metric a variant loses on the validation rows.

    One changed decision of 40 costs up to 0.025 of a metric, more than a limit of 0.01 allows. A loss above
    the limit therefore counts only if it is larger than 1.96 standard errors of the loss; otherwise a variant
    without any loss would often fail on few rows. The error is that of a paired bootstrap.

    Args:
        trained: the output of the trained model for the validation rows.
        variant: the output of the variant for the same rows.
        limit: the largest allowed loss on many rows.
        score: the metric of the output for all validation rows.
        row_score: the metric of the output for some of them; None allows no more than the limit.
    """
    loss = score(trained) - score(variant)
    if limit is None or loss <= limit or row_score is None:
        return MetricLoss(loss, limit)
    return MetricLoss(loss, max(limit, STANDARD_ERRORS * _standard_error(trained, variant, row_score)))


def _standard_error(trained: ModelOutput, variant: ModelOutput, row_score: RowScore) -> float:
    rng = np.random.default_rng(SEED)
    losses = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(trained), len(trained)).tolist()
        losses.append(row_score(rows, _rows(trained, rows)) - row_score(rows, _rows(variant, rows)))
    return float(np.std(losses))


def _rows(output: ModelOutput, rows: Sequence[int]) -> ModelOutput:
    return output[rows] if isinstance(output, np.ndarray) else [output[row] for row in rows]
