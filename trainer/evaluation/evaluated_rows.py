"""The rows of an evaluation with the model's answers, which all files and pages of an evaluation read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.bundle import HeadKind, SpanRules
from stream.runtime import Logits
from trainer.data.examples import Example


@dataclass(frozen=True, slots=True)
class EvaluatedRows:
    """Labelled rows, the logits of a model for them, and the answers that a worker would publish.

    Attributes:
        head: the head of the model.
        labels: the labels in the order of the logits; for a regression the name of the number.
        values: the numeric values of ordinal labels, in the order of the labels.
        examples: the rows with their targets.
        logits: float32 [rows, labels], or for token classification float32 [tokens, labels] of each row.
        probabilities: float64 [rows, labels] at the temperature of the bundle; None for token classification
            and for a regression.
        predictions: the model's members of the label event of each row, as a worker would publish them; a row
            that cannot be labelled has the member `error` instead.
        thresholds: for multi-label, the lowest probability at which each label is given.
        abstain_below: the probability of the best label below which no label is given.
        columns: all columns of the input by name, one value per row, in the order of the file; empty if the
            data have no columns, such as CoNLL.
        spans: for token classification, the rules by which the tags of the model become spans.
    """

    head: HeadKind
    labels: Sequence[str]
    values: Sequence[float] | None
    examples: Sequence[Example]
    logits: Logits | list[Logits]
    probabilities: npt.NDArray[np.float64] | None
    predictions: Sequence[Mapping[str, Any]]
    thresholds: dict[str, float] | None
    abstain_below: float | None
    columns: dict[str, list[str]]
    spans: SpanRules = field(default_factory=SpanRules)
