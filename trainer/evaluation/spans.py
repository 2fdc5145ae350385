"""The statistics of spans: a correct span has the type, start and end of an actual span, as in seqeval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream.classify import Span
from trainer.evaluation.label_counts import LabelCounts
from trainer.evaluation.statistics import Statistic, ratio_statistic

WordHits = npt.NDArray[np.int64]
"""The number of words with the right tag, and of all words, of each row, int64 [rows, 2]."""


@dataclass(frozen=True, slots=True)
class SpanDecisions:
    """The types of the spans, their counts, and the statistics by name."""

    types: list[str]
    counts: LabelCounts
    statistics: dict[str, Statistic]


def decide_spans(
    predicted: Sequence[Sequence[Span]], actual: Sequence[Sequence[Span]], words: WordHits | None = None
) -> SpanDecisions:
    """Return the counts and the statistics of spans.

    Args:
        predicted: the predicted spans of each row, in characters of its text.
        actual: the actual spans of each row.
        words: the words of each row, for their accuracy; None if they are unknown.
    """
    types = sorted({span.type for row in [*predicted, *actual] for span in row})
    column = {span_type: index for index, span_type in enumerate(types)}
    correct_predicted_actual = np.zeros((3, len(actual), len(types)))
    for row, (row_predicted, row_actual) in enumerate(zip(predicted, actual, strict=True)):
        without_scores = [{span[:3] for span in spans} for spans in (row_predicted, row_actual)]
        correct = without_scores[0] & without_scores[1]
        for index, spans in enumerate((correct, *without_scores)):
            for span_type, _, _ in spans:
                correct_predicted_actual[index, row, column[span_type]] += 1
    counts = LabelCounts(*correct_predicted_actual)
    statistics: dict[str, Statistic] = {
        "entity_precision": counts.micro_precision,
        "entity_recall": counts.micro_recall,
        "entity_f1": counts.micro_f1,
        "macro_f1": counts.macro_f1,
        "weighted_f1": counts.weighted_f1,
    }
    if words is not None:
        right, number = words.astype(np.float64).T
        statistics["word_accuracy"] = ratio_statistic(right, number)
    return SpanDecisions(types, counts, statistics)
