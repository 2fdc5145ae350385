"""The targets and the answers of evaluated rows in the forms that figures and tables need."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.bundle import SpanRules
from stream.classify import Piece, Span, bio_spans, word_spans
from trainer.data.examples import Example
from trainer.evaluation.evaluated_rows import EvaluatedRows

NO_LABEL = "(no label)"
NO_SPAN = "(no span)"
UNKNOWN = -1
"""The label number of a target that is no label of the model."""

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions with their scores, over rows, over rows and labels, or over predicted spans.

    Attributes:
        unit: the plural name of one decision.
        scores: the score of each decision, from 0 to 1.
        right: for one label per row and for spans, whether the decision is correct; for multi-label, whether
            the row has the label.
    """

    unit: str
    scores: Floats
    right: Flags


@dataclass(frozen=True, slots=True)
class Confusion:
    """The number of rows of each pair of actual and predicted label.

    Attributes:
        names: the names of the rows and columns: the labels, and then names for no label.
        labels: the number of labels among them.
        cells: the number of rows by actual and predicted index.
        unit: the plural name of what is counted.
    """

    names: Sequence[str]
    labels: int
    cells: Counter[tuple[int, int]]
    unit: str

    @property
    def errors(self) -> list[tuple[int, int, int]]:
        """Actual index, predicted index and count of each wrong cell, the most frequent first."""
        wrong = [(*cell, count) for cell, count in self.cells.items() if cell[0] != cell[1]]
        return sorted(wrong, key=lambda cell: (-cell[2], cell[0], cell[1]))


def answered(rows: EvaluatedRows) -> Flags:
    """Return whether each row has an answer of the model, bool [rows]."""
    found = [
        "error" not in prediction and _known(rows, example)
        for prediction, example in zip(rows.predictions, rows.examples, strict=True)
    ]
    return np.array(found, dtype=np.bool_)


def _known(rows: EvaluatedRows, example: Example) -> bool:
    return rows.head in ("regression", "token") or set(example.labels) <= set(rows.labels)


def label_numbers(examples: Sequence[Example], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the label number of each row, int64 [rows]; `UNKNOWN` for a target that is no label."""
    number = {label: at for at, label in enumerate(labels)}
    return np.array([number.get(example.labels[0], UNKNOWN) for example in examples], dtype=np.int64)


def label_flags(examples: Sequence[Example], labels: Sequence[str]) -> Flags:
    """Return whether each row has each label, bool [rows, labels], for one or several labels per row."""
    number = {label: at for at, label in enumerate(labels)}
    flags = np.zeros((len(examples), len(labels)), dtype=np.bool_)
    for row, example in enumerate(examples):
        flags[row, [number[label] for label in example.labels if label in number]] = True
    return flags


def numbers(rows: EvaluatedRows) -> tuple[Floats, Floats]:
    """Return the actual and the predicted numbers of a regression, of the rows that have an answer."""
    pairs = [
        (float(example.target), float(prediction["value"]))
        for example, prediction in zip(rows.examples, rows.predictions, strict=True)
        if isinstance(example.target, int | float) and "value" in prediction
    ]
    both = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def answer_labels(members: Mapping[str, Any]) -> list[str]:
    """Return the labels of an answer: one, several or none."""
    if "labels" in members:
        return list(members["labels"])
    label = members.get("label")
    return [] if label is None else [label]


def answer_spans(members: Mapping[str, Any]) -> list[Span]:
    """Return the spans of an answer."""
    return [
        Span(span["type"], span["start"], span["end"], span["score"]) for span in members.get("spans", ())
    ]


def gold_spans(example: Example, rules: SpanRules) -> list[Span]:
    """Return the spans of the word tags of a row, which are BIO unless each word is a span of its own."""
    join = word_spans if rules.scheme == "word" else bio_spans
    return join(
        (Piece(at, start, end), tag, 1.0)
        for at, ((start, end), tag) in enumerate(zip(example.word_spans, example.labels, strict=True))
    )


def actual_spans(rows: EvaluatedRows) -> list[list[Span]]:
    """Return the spans of the tags of each row."""
    return [gold_spans(example, rows.spans) for example in rows.examples]


def predicted_spans(rows: EvaluatedRows) -> list[list[Span]]:
    """Return the predicted spans of each row."""
    return [answer_spans(prediction) for prediction in rows.predictions]


def decisions(rows: EvaluatedRows) -> Decisions:
    """Return the decisions of a head that has scores: any head but regression."""
    if rows.head == "token":
        return _span_decisions(rows)
    with_answer = answered(rows)
    scores = np.asarray(rows.probabilities, dtype=np.float64)[with_answer]
    if rows.head == "multi-label":
        return Decisions(
            "rows and labels", scores.ravel(), label_flags(rows.examples, rows.labels)[with_answer].ravel()
        )
    best = scores.argmax(axis=1) if len(scores) else np.zeros(0, dtype=np.int64)
    highest = scores.max(axis=1) if len(scores) else np.zeros(0)
    targets = label_numbers(rows.examples, rows.labels)
    return Decisions("rows", highest, np.asarray(best == targets[with_answer]))


def _span_decisions(rows: EvaluatedRows) -> Decisions:
    scores, right = [], []
    for actual, predicted in zip(actual_spans(rows), predicted_spans(rows), strict=True):
        correct = {span[:3] for span in actual}
        scores += [span.score for span in predicted]
        right += [span[:3] in correct for span in predicted]
    return Decisions("predicted spans", np.array(scores, dtype=np.float64), np.array(right, dtype=np.bool_))


def confusion(rows: EvaluatedRows) -> Confusion:
    """Count the pairs of actual and predicted label.

    With one label per row, a row without a predicted label counts as `NO_LABEL`. With several labels, each
    missed label of a row is paired with each label that the row wrongly got, or with `NO_LABEL`. A span is
    paired with the predicted span that it shares most characters with, or with `NO_SPAN`.

    Raises:
        ValueError: the head is a regression.
    """
    match rows.head:
        case "regression":
            raise ValueError("a regression has no confusion of labels")
        case "token":
            return _span_confusion(rows)
        case "multi-label":
            return _multi_confusion(rows)
        case "single-label":
            return _single_confusion(rows)


def _single_confusion(rows: EvaluatedRows) -> Confusion:
    number = {label: at for at, label in enumerate(rows.labels)}
    none = len(rows.labels)
    cells: Counter[tuple[int, int]] = Counter()
    targets = label_numbers(rows.examples, rows.labels)
    for actual, prediction, good in zip(targets, rows.predictions, answered(rows), strict=True):
        if good:
            cells[int(actual), number.get(str(prediction.get("label")), none)] += 1
    return Confusion([*rows.labels, NO_LABEL], none, cells, "rows")


def _multi_confusion(rows: EvaluatedRows) -> Confusion:
    number = {label: at for at, label in enumerate(rows.labels)}
    none = len(rows.labels)
    cells: Counter[tuple[int, int]] = Counter()
    for example, prediction, good in zip(rows.examples, rows.predictions, answered(rows), strict=True):
        if not good:
            continue
        actual = {number[label] for label in example.labels}
        predicted = {number[label] for label in prediction.get("labels", ()) if label in number}
        cells.update((label, label) for label in actual & predicted)
        extra, missed = predicted - actual, actual - predicted
        cells.update((one, other) for one in missed or {none} for other in extra or {none} if one != other)
    return Confusion([*rows.labels, NO_LABEL], none, cells, "labels")


def _span_confusion(rows: EvaluatedRows) -> Confusion:
    actual_rows, predicted_rows = actual_spans(rows), predicted_spans(rows)
    types = sorted({span.type for row in [*actual_rows, *predicted_rows] for span in row})
    number = {name: at for at, name in enumerate(types)}
    none = len(types)
    cells: Counter[tuple[int, int]] = Counter()
    for actual, predicted in zip(actual_rows, predicted_rows, strict=True):
        free = list(predicted)
        for span in actual:
            other = max(free, key=lambda candidate: overlap(span, candidate), default=None)
            if other is None or not overlap(span, other):
                cells[number[span.type], none] += 1
                continue
            free.remove(other)
            cells[number[span.type], number[other.type]] += 1
        cells.update((none, number[span.type]) for span in free)
    return Confusion([*types, NO_SPAN], none, cells, "spans")


def overlap(one: Span, other: Span) -> int:
    """Return the number of characters that two spans share."""
    return max(0, min(one.end, other.end) - max(one.start, other.start))
