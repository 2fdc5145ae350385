"""The metrics and the statistics of evaluated rows, by the answers that a worker publishes for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.classify import Span
from trainer.data.tag_spelling import OUTSIDE
from trainer.evaluation.answers import actual_spans, answer_labels, predicted_spans
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.metrics import (
    DEFAULT_THRESHOLD,
    evaluate_multi,
    evaluate_regression,
    evaluate_single,
    evaluate_spans,
)
from trainer.evaluation.multi_label import decide_multi
from trainer.evaluation.regression import regression_statistics
from trainer.evaluation.single_label import decide_single
from trainer.evaluation.spans import WordHits, decide_spans
from trainer.evaluation.statistics import RESAMPLES, Floats, Statistic

Spans = list[list[Span]]
"""The spans of each row."""


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Evaluated rows beside their targets in the form that the statistics read.

    Attributes:
        rows: the evaluated rows, each of which has an answer.
    """

    rows: EvaluatedRows

    def metrics(self, seed: int = 0, resamples: int = RESAMPLES) -> dict[str, Any]:
        """Return the metrics of the task with their intervals, as `trainer.evaluation.metrics` names them."""
        rows = self.rows
        options: dict[str, Any] = {"seed": seed, "resamples": resamples}
        if rows.head == "token":
            predicted, actual = self._spans()
            return evaluate_spans(predicted, actual, words=self._word_hits(predicted), **options)
        if rows.head == "regression":
            return evaluate_regression(predicted_numbers(rows), self._targets(), **options)
        options["abstain_below"] = rows.abstain_below
        if rows.head == "multi-label":
            thresholds = dict(zip(rows.labels, _thresholds(rows), strict=True))
            return evaluate_multi(_probabilities(rows), self._targets(), rows.labels, thresholds, **options)
        return evaluate_single(
            _probabilities(rows), self._targets(), rows.labels, values=rows.values, **options
        )

    def statistics(self) -> dict[str, Statistic]:
        """Return the statistics of the task by name, for differences between two models."""
        rows = self.rows
        if rows.head == "token":
            predicted, actual = self._spans()
            return decide_spans(predicted, actual, self._word_hits(predicted)).statistics
        if rows.head == "regression":
            return regression_statistics(predicted_numbers(rows), self._targets())
        probabilities, targets = _probabilities(rows), self._targets()
        if rows.head == "multi-label":
            return decide_multi(probabilities, targets, _thresholds(rows), rows.abstain_below).statistics
        return decide_single(
            probabilities, targets, len(rows.labels), rows.values, rows.abstain_below
        ).statistics

    def correct(self) -> npt.NDArray[np.bool_] | None:
        """Return whether the published answer of each row is right as a whole; None for a regression.

        An abstained row is not right.
        """
        rows = self.rows
        if rows.head == "regression":
            return None
        if rows.head == "token":
            pairs = zip(*self._spans(), strict=True)
            same = [{span[:3] for span in a} == {span[:3] for span in b} for a, b in pairs]
        else:
            same = [
                not members.get("abstained") and set(answer_labels(members)) == set(example.labels)
                for members, example in zip(rows.predictions, rows.examples, strict=True)
            ]
        return np.array(same, dtype=np.bool_)

    def _targets(self) -> npt.NDArray[Any]:
        rows = self.rows
        if rows.head == "regression":
            return np.array([example.target for example in rows.examples], dtype=np.float64)
        number = {label: at for at, label in enumerate(rows.labels)}
        if rows.head == "single-label":
            return np.array([number[example.labels[0]] for example in rows.examples], dtype=np.int64)
        found = np.zeros((len(rows.examples), len(rows.labels)), dtype=np.int64)
        for at, example in enumerate(rows.examples):
            found[at, [number[label] for label in example.labels]] = 1
        return found

    def _spans(self) -> tuple[Spans, Spans]:
        return predicted_spans(self.rows), actual_spans(self.rows)

    def _word_hits(self, predicted: Spans) -> WordHits:
        words_are_spans = self.rows.spans.scheme == "word"
        hits = []
        for example, spans in zip(self.rows.examples, predicted, strict=True):
            tags = _word_tags(example.word_spans, spans, words_are_spans=words_are_spans)
            hits.append((sum(map(str.__eq__, tags, example.labels)), len(tags)))
        return np.array(hits, dtype=np.int64).reshape(len(hits), 2)


def predicted_numbers(rows: EvaluatedRows) -> Floats:
    """Return the published numbers of a regression, float64 [rows]."""
    return np.array([members["value"] for members in rows.predictions], dtype=np.float64)


def _probabilities(rows: EvaluatedRows) -> Floats:
    if rows.probabilities is None:
        raise ValueError(f"the head {rows.head} has no probabilities")
    return rows.probabilities


def _thresholds(rows: EvaluatedRows) -> list[float]:
    thresholds = rows.thresholds or {}
    return [thresholds.get(label, DEFAULT_THRESHOLD) for label in rows.labels]


def _word_tags(
    words: Sequence[tuple[int, int]], spans: Sequence[Span], *, words_are_spans: bool
) -> list[str]:
    """Return the tag of each word that the predicted spans mean; a word outside of all spans has O."""
    tags = []
    at, previous = 0, -1
    for start, _ in words:
        while at < len(spans) and spans[at].end <= start:
            at += 1
        if at == len(spans) or spans[at].start > start:
            tags.append(OUTSIDE)
        elif words_are_spans:
            tags.append(spans[at].type)
        else:
            tags.append(f"{'I' if at == previous else 'B'}-{spans[at].type}")
            previous = at
    return tags
