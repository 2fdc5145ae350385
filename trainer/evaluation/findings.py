"""The findings of an error analysis, which `trainer.evaluation.analysis` computes and the report shows."""

from collections.abc import Sequence
from dataclasses import dataclass

SLICES_FILE = "slices.csv"
LABEL_ERRORS_FILE = "label_errors.csv"
DUPLICATES_FILE = "duplicates.csv"
THRESHOLDS_FILE = "thresholds.csv"
"""The files of the results folder that hold the findings of a kind."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training row near an evaluated row.

    Attributes:
        row: the row number in the training data, from 1.
        text: the text; the two texts of a pair are joined by " / ".
        target: its label, labels joined by ", ", or number.
        similarity: the cosine similarity of the two encoder vectors, from -1 to 1.
    """

    row: int
    text: str
    target: str
    similarity: float


@dataclass(frozen=True, slots=True)
class WordEffect:
    """The effect of one word on the score, measured by leaving the word out (occlusion).

    Attributes:
        start: the first character of the word in the text.
        end: the character after the word.
        effect: the score of the predicted label with the word minus that without it; a positive value means
            that the word raises the score.
    """

    start: int
    end: int
    effect: float


@dataclass(frozen=True, slots=True)
class Mistake:
    """An evaluated row whose answer is wrong.

    Attributes:
        index: the index of the row in the evaluated rows, from 0.
        gold: the target: label, labels joined by ", ", spans, or number.
        predicted: the answer in the same form.
        confidence: the score of the wrong answer, from 0 to 1; for a regression the absolute error in the
            units of the data.
        neighbours: the nearest training rows, nearest first.
        words: the effect of each word, in the order of the text; empty where it was not computed.
        scored: the label or the span whose score `confidence` and `words` describe: for multi-label the label
            of the most confident wrong decision, which may be a label that is missing from the answer.
    """

    index: int
    gold: str
    predicted: str
    confidence: float
    neighbours: Sequence[Neighbour] = ()
    words: Sequence[WordEffect] = ()
    scored: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the evaluated rows.

    Attributes:
        column: the property that selects the rows: length, language, negation, digits, or the name of a
            column.
        value: its value, such as "33 to 64 tokens".
        rows: the number of rows.
        metric: the headline metric of the task on these rows.
        low: the low end of its 95% interval.
        high: the high end.
        difference: the metric minus that of all other rows.
    """

    column: str
    value: str
    rows: int
    metric: float
    low: float
    high: float
    difference: float


@dataclass(frozen=True, slots=True)
class LabelSuspicion:
    """A row whose label is probably wrong.

    Attributes:
        split: train, validation or test, or data for rows without splits.
        row: the row number, from 1.
        text: the text.
        given: the label in the data.
        suggested: the label that the model suggests.
        quality: the label quality score, from 0 (probably wrong) to 1.
    """

    split: str
    row: int
    text: str
    given: str
    suggested: str
    quality: float


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """A text that occurs, equal or nearly equal, in two splits.

    Attributes:
        kind: equal or near.
        split: the split of the first row.
        row: its row number.
        text: its text.
        other_split: the split of the second row.
        other_row: its row number.
        other_text: its text.
    """

    kind: str
    split: str
    row: int
    text: str
    other_split: str
    other_row: int
    other_text: str


@dataclass(frozen=True, slots=True)
class CostCurve:
    """The cost of wrong answers of one label as a function of its threshold.

    Attributes:
        label: the label.
        thresholds: the thresholds, ascending.
        costs: the cost per row at each threshold.
        best: the threshold with the lowest cost.
        current: the threshold of the bundle, if it has one.
    """

    label: str
    thresholds: Sequence[float]
    costs: Sequence[float]
    best: float
    current: float | None


@dataclass(frozen=True, slots=True)
class Findings:
    """All findings of an error analysis; a part that does not apply to the task is empty.

    Attributes:
        headline: the name of the metric of the slices.
        mistakes: the wrong rows, the most confident first.
        slices: the slices, the worst first.
        suspicions: the rows with probable label errors, the worst first.
        duplicates: the rows that occur in two splits.
        cost_curves: a curve for each label.
        notes: sentences on what was left out or limited, and why.
    """

    headline: str
    mistakes: Sequence[Mistake]
    slices: Sequence[Slice]
    suspicions: Sequence[LabelSuspicion]
    duplicates: Sequence[DuplicatePair]
    cost_curves: Sequence[CostCurve]
    notes: Sequence[str] = ()
