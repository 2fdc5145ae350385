"""The targets and the answers of rows as texts, and the rows that can be analysed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.bundle import HeadKind, SpanRules
from stream.classify import Span
from trainer.data.examples import Example
from trainer.evaluation.answers import NO_LABEL, NO_SPAN, gold_spans
from trainer.evaluation.evaluated_rows import EvaluatedRows

MAX_SPANS = 20


def usable_rows(rows: EvaluatedRows) -> list[int]:
    """Return the indices of the rows that have an answer and finite probabilities."""
    probabilities = rows.probabilities
    return [
        at
        for at, prediction in enumerate(rows.predictions)
        if "error" not in prediction and (probabilities is None or bool(np.isfinite(probabilities[at]).all()))
    ]


def predicted_flags(predictions: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return whether each answer of a multi-label model has each label, bool [rows, labels]."""
    number = {label: at for at, label in enumerate(labels)}
    flags = np.zeros((len(predictions), len(labels)), dtype=np.bool_)
    for row, prediction in enumerate(predictions):
        flags[row, [number[label] for label in prediction["labels"]]] = True
    return flags


def show_span(text: str, span: Span) -> str:
    """Return a span as `TYPE "text"`."""
    return f'{span.type} "{text[span.start : span.end]}"'


def show_spans(text: str, spans: Sequence[Span]) -> str:
    """Return the first spans as text."""
    shown = [show_span(text, span) for span in spans[:MAX_SPANS]]
    more = len(spans) - len(shown)
    return "; ".join([*shown, *([f"{more} more"] if more else [])]) or NO_SPAN


def show_labels(labels: Sequence[str]) -> str:
    """Return labels joined by commas."""
    return ", ".join(labels) or NO_LABEL


def show_number(number: float) -> str:
    """Return a number without trailing zeros."""
    return f"{number:.10g}"


def show_target(example: Example, head: HeadKind, rules: SpanRules) -> str:
    """Return the target of a row as text; `rules` matters for token classification only."""
    if head == "token":
        return show_spans(example.text, gold_spans(example, rules))
    if isinstance(example.target, int | float):
        return show_number(example.target)
    return show_labels(example.labels)


def show_text(example: Example) -> str:
    """Return the text of a row; the texts of a pair are joined by " / "."""
    return example.text if example.text_pair is None else f"{example.text} / {example.text_pair}"
