"""Checks that a model can learn the labels of a data set, and notes on what its figures do not cover."""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from stream.errors import UsageError
from trainer.data.cells import may_be_missing
from trainer.data.examples import Data, Example, Target
from trainer.data.labels import MAX_LABELS_IN_MESSAGE, quoted

MIN_ROWS_PER_LABEL = 3
MAX_UNKNOWN_SHARE = 0.05
"""The share of the labels in a multi-label or tagged split that may be unknown to the training rows."""

Locate = Callable[[int], str]
"""Returns the file and the row of a row number."""


def check_labels(data: Data, locate: Locate) -> None:
    """Refuse data that a model cannot learn from, or whose figures would be meaningless.

    Raises:
        UsageError: there are too few labels or distinct numbers, a label has too few rows, or a label occurs
            only in extra rows or only in validation or test rows.
    """
    own = [example for example in data.examples if not example.extra]
    _check_variety(data, own)
    known = {label for example in own for label in example.labels}
    unknown = sorted({label for example in data.examples for label in example.labels} - known)
    if unknown:
        raise UsageError(
            f"labels that occur only in --extra-train: {quoted(unknown)}",
            cause="extra rows are used for training only, so these labels could not be evaluated",
            fix="rename these labels, or add rows with them to the data",
        )
    for split in _given_splits(data):
        _check_known_labels(data, split, locate)
    if data.task in ("single-label", "pair") and not _given_splits(data):
        _check_rows_per_label(data.labels, own, locate)


def describe_labels(data: Data) -> list[str]:
    """Return notes on labels that cannot be predicted, are not evaluated, or may be empty cells."""
    notes = []
    train = _kinds(_training_rows(data))
    for split in _given_splits(data):
        held_out = [example for example in data.examples if example.split == split]
        found = _kinds(held_out)
        unknown = sorted(found.keys() - train.keys())
        if unknown:
            count = sum(found[label] for label in unknown)
            notes.append(
                f"{count} labels of {split} cannot be predicted, no training row has: {quoted(unknown)}"
            )
        unseen = sorted(train.keys() - found.keys())
        if unseen:
            notes.append(f"labels without rows in {split}, which are not evaluated there: {quoted(unseen)}")
        if data.task in ("single-label", "pair") and len(found) == 1:
            notes.append(f"all rows of {split} have one label, {next(iter(found))!r}: its figures say little")
    if data.task == "multi-label":
        everywhere = sorted(set.intersection(*(set(example.labels) for example in _training_rows(data))))
        notes += [f"all training rows have: {quoted(everywhere)}"] if everywhere else []
    for label, count in data.class_counts.items():
        if may_be_missing(label) and data.task != "token":
            notes.append(
                f"{label!r} is learnt as a label ({count} rows); leave the cell empty if the label is unknown"
            )
    return notes


def _check_variety(data: Data, own: Sequence[Example]) -> None:
    train = [example for example in _training_rows(data) if not example.extra]
    minimum = 1 if data.task == "multi-label" else 2
    for examples, part in ((own, "usable rows"), (train, "usable training rows")):
        distinct = _distinct(data, examples)
        rows = f"{len(examples)} {part}"
        if not examples or len(distinct) < minimum:
            unit = "distinct number(s)" if data.task == "regression" else "label(s)"
            raise UsageError(
                f"column {data.columns.label!r} has {len(distinct)} {unit} in {rows}",
                cause=f"the minimum is {minimum}; {len(data.no_text)} rows have no text and "
                f"{len(data.no_label)} no label",
                fix="check --label-column, or add rows with another label",
            )
        if data.task == "multi-label" and len(_targets(examples)) < 2:
            raise UsageError(
                f"all {rows} have the same labels: {quoted(sorted(map(str, distinct)))}",
                cause="a model learns labels from rows that have them and rows that do not",
                fix="check --label-column, or add rows without these labels",
            )


def _distinct(data: Data, examples: Sequence[Example]) -> set[Target]:
    if data.task == "regression":
        return {example.target for example in examples}
    return {label for example in examples for label in example.labels}


def _targets(examples: Sequence[Example]) -> set[frozenset[str]]:
    return {frozenset(example.labels) for example in examples}


def _given_splits(data: Data) -> list[str]:
    splits = {example.split for example in data.examples if not example.extra}
    return [split for split in ("validation", "test") if split in splits]


def _training_rows(data: Data) -> list[Example]:
    return [example for example in data.examples if example.split in (None, "train")]


def _kinds(examples: Sequence[Example]) -> Counter[str]:
    """Count labels; span tags count by their type, since B-X and I-X are one type."""
    tagged = any(example.word_spans for example in examples)
    counts = Counter(label for example in examples for label in example.labels)
    if not tagged:
        return counts
    kinds = Counter[str]()
    for tag, count in counts.items():
        kinds[re.sub(r"^[BIESUL]-", "", tag)] += count
    return kinds


def _check_known_labels(data: Data, split: str, locate: Locate) -> None:
    held_out = [example for example in data.examples if example.split == split]
    found, train = _kinds(held_out), _kinds(_training_rows(data))
    unknown = sorted(found.keys() - train.keys())
    share = sum(found[label] for label in unknown) / max(1, sum(found.values()))
    if not unknown or (data.task in ("multi-label", "token") and share <= MAX_UNKNOWN_SHARE):
        return
    row = next(example.row for example in held_out if _kinds([example]).keys() & set(unknown))
    numbers = all(re.fullmatch(r"[+-]?\d+", label) for label in unknown)
    raise UsageError(
        f"labels that occur in {split} but in no training row: {quoted(unknown)} (first in {locate(row)})",
        cause=f"the model cannot predict them; the training labels are: {quoted(sorted(train))}",
        fix="write the labels of all files in the same way"
        + (", or name the numbers with --label-names FILE (line 1 is the name of 0)" if numbers else "")
        + "; or remove these rows, or add training rows with these labels",
    )


def _check_rows_per_label(labels: Sequence[str], examples: Sequence[Example], locate: Locate) -> None:
    counts = Counter(label for example in examples for label in example.labels)
    rare = [label for label in labels if counts[label] < MIN_ROWS_PER_LABEL]
    if rare:
        surplus = len(rare) - MAX_LABELS_IN_MESSAGE
        more = f" and {surplus} more" if surplus > 0 else ""
        listed = ", ".join(f"{label!r} ({counts[label]})" for label in rare[:MAX_LABELS_IN_MESSAGE])
        # A label that only extra rows have is refused before, so each rare label has a row.
        row = next(example.row for example in examples if rare[0] in example.labels)
        raise UsageError(
            f"too few rows for: {listed}{more}",
            cause=f"each label needs {MIN_ROWS_PER_LABEL} rows, one in each of train, validation and test; "
            f"{rare[0]!r} is in {locate(row)}",
            fix="add rows, merge these labels into others, or check --label-column",
        )
