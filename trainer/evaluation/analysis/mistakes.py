"""The rows whose answer is wrong, the most confident first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stream.classify import Span
from trainer.evaluation.analysis.answers import (
    predicted_flags,
    show_labels,
    show_number,
    show_span,
    show_spans,
    show_target,
)
from trainer.evaluation.analysis.options import Probabilities, Word
from trainer.evaluation.answers import NO_SPAN, answer_spans, gold_spans, label_flags, overlap
from trainer.evaluation.evaluated_rows import EvaluatedRows

REGRESSION_SHARE = 0.1
REGRESSION_ROWS = 20


@dataclass(frozen=True, slots=True)
class WrongDecision:
    """A wrong decision about a row, as `findings.Mistake` shows it.

    Attributes:
        index: the index of the evaluated row.
        gold: the target.
        predicted: the answer.
        confidence: the score of the wrong answer, or the error of a regression.
        scored: the label or the span that the confidence describes.
        column: the column of its probability; None for token classification.
        words: for token classification the words that the span covers, as indices into `word_spans`.
    """

    index: int
    gold: str
    predicted: str
    confidence: float
    scored: str
    column: int | None = None
    words: tuple[int, ...] = ()


def find_mistakes(
    rows: EvaluatedRows, usable: Sequence[int], words: Sequence[Probabilities] | None = None
) -> list[WrongDecision]:
    """Return the wrong decisions, the most confident first.

    A row without a label, because the model abstains, is no mistake. For token classification each wrong span
    and each missed span is a mistake. Of a regression, the tenth of the rows with the largest errors is
    returned, and at least 20 rows.

    Args:
        rows: the evaluated rows.
        usable: the indices of the rows that have an answer.
        words: for token classification the tag probabilities of the words of each usable row, which the
            confidence of a missed span comes from; None for a confidence of 0.
    """
    match rows.head:
        case "regression":
            found = _largest_errors(rows, usable)
        case "multi-label":
            found = _wrong_label_sets(rows, usable)
        case "token":
            found = _wrong_spans(rows, usable, words)
        case _:
            found = _wrong_labels(rows, usable)
    return sorted(found, key=lambda wrong: (-wrong.confidence, wrong.index))


def _wrong_labels(rows: EvaluatedRows, usable: Sequence[int]) -> list[WrongDecision]:
    number = {label: at for at, label in enumerate(rows.labels)}
    found = []
    for index in usable:
        prediction, gold = rows.predictions[index], rows.examples[index].labels[0]
        label = prediction["label"]
        if label is not None and label != gold:
            found.append(WrongDecision(index, gold, label, prediction["score"], label, number[label]))
    return found


def _wrong_label_sets(rows: EvaluatedRows, usable: Sequence[int]) -> list[WrongDecision]:
    assert rows.probabilities is not None
    examples = [rows.examples[index] for index in usable]
    predictions = [rows.predictions[index] for index in usable]
    actual = label_flags(examples, rows.labels)
    given = predicted_flags(predictions, rows.labels)
    probabilities = rows.probabilities[list(usable)]
    confidence = np.where(actual != given, np.where(given, probabilities, 1 - probabilities), -1.0)
    found = []
    for at, index in enumerate(usable):
        gold = show_labels(examples[at].labels)
        if not (actual[at] != given[at]).any() or predictions[at].get("abstained"):
            continue
        column = int(confidence[at].argmax())
        predicted = show_labels([label for label, has in zip(rows.labels, given[at], strict=True) if has])
        found.append(
            WrongDecision(index, gold, predicted, float(confidence[at, column]), rows.labels[column], column)
        )
    return found


def _largest_errors(rows: EvaluatedRows, usable: Sequence[int]) -> list[WrongDecision]:
    found = []
    for index in usable:
        example, value = rows.examples[index], float(rows.predictions[index]["value"])
        assert isinstance(example.target, int | float)
        error = abs(value - float(example.target))
        if error > 0:
            gold = show_target(example, rows.head, rows.spans)
            found.append(WrongDecision(index, gold, show_number(value), error, rows.labels[0], 0))
    shown = max(REGRESSION_ROWS, round(len(usable) * REGRESSION_SHARE))
    return sorted(found, key=lambda wrong: -wrong.confidence)[:shown]


def _wrong_spans(
    rows: EvaluatedRows, usable: Sequence[int], words: Sequence[Probabilities] | None
) -> list[WrongDecision]:
    found = []
    for at, index in enumerate(usable):
        example = rows.examples[index]
        actual = gold_spans(example, rows.spans)
        given = answer_spans(rows.predictions[index])
        wrong = [span for span in given if span[:3] not in {other[:3] for other in actual}]
        missed = [span for span in actual if span[:3] not in {other[:3] for other in given}]
        for span in wrong:
            gold = show_spans(example.text, [other for other in missed if overlap(span, other)])
            predicted = show_span(example.text, span)
            covered = _covered(span, example.word_spans)
            found.append(WrongDecision(index, gold, predicted, span.score, predicted, None, covered))
        for span in missed:
            if any(overlap(span, other) for other in wrong):
                continue
            covered = _covered(span, example.word_spans)
            confidence = 0.0 if words is None else _best_score(words[at], covered)
            gold = show_span(example.text, span)
            found.append(WrongDecision(index, gold, NO_SPAN, confidence, gold, None, covered))
    return found


def _covered(span: Span, words: Sequence[Word]) -> tuple[int, ...]:
    return tuple(at for at, (start, end) in enumerate(words) if start < span.end and span.start < end)


def _best_score(probabilities: Probabilities, words: Sequence[int]) -> float:
    """Return the mean probability of the best tags of words; 0 if the model reads none of them."""
    best = probabilities[list(words)].max(axis=1)
    read = best[~np.isnan(best)]
    return float(read.mean()) if len(read) else 0.0
