"""The tables of an evaluation as CSV: predictions.csv and flips.csv.

Texts are quoted and unmodified, numbers are not quoted, and the encoding is UTF-8, so that pandas,
spreadsheets and the csv module of Python read the same cells back.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from stream.bundle import HeadKind
from stream.output_files import OutputFile
from trainer.data.examples import Example
from trainer.evaluation.answers import actual_spans
from trainer.evaluation.comparison import Comparison
from trainer.evaluation.evaluated_rows import EvaluatedRows

LINES_PER_WRITE = 200
DIGITS = 6
PREFIX = "labelstream_"
"""The prefix of a column of ours whose name a column of the input has."""

ANSWER: dict[HeadKind, tuple[str, ...]] = {
    "single-label": ("label", "score"),
    "multi-label": ("labels",),
    "regression": ("value",),
    "token": ("spans",),
}
"""The members of a label event that predictions.csv has as columns."""


@dataclass(frozen=True, slots=True)
class FailedRows:
    """Rows that the bundle cannot label, with their errors and the cells of their columns."""

    examples: Sequence[Example] = ()
    errors: Sequence[str] = ()
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)


def write_predictions(file: Path, rows: EvaluatedRows, failed: FailedRows) -> dict[str, str]:
    """Write all columns of the input, the target, the answer and the probability of each label of each row.

    Args:
        file: the destination.
        rows: the evaluated rows.
        failed: the rows without an answer, which get the column `error`.

    Returns:
        The name of each column of ours that had to be renamed, because the input has a column of this name.

    Raises:
        UsageError: the file cannot be written.
    """
    inputs = _input_columns(rows.examples, rows.columns)
    answer = [
        *ANSWER[rows.head],
        *(["value"] if rows.values is not None else []),
        *(["abstained"] if rows.abstain_below is not None and rows.head != "token" else []),
    ]
    classes = [f"p:{label}" for label in rows.labels] if rows.probabilities is not None else []
    own = ["gold", *answer, *classes, *(["error"] if failed.examples else [])]
    names = free_names(own, list(inputs))
    gold = _gold(rows)
    failed_inputs = _input_columns(failed.examples, failed.columns)
    empty = [""] * (len(answer) + len(classes))

    def answered_line(at: int) -> list[Any]:
        cells = [of_column[at] for of_column in inputs.values()]
        answers = [_cell(rows.predictions[at].get(name)) for name in answer]
        return [*cells, gold[at], *answers, *_probabilities(rows, at), *([""] if failed.examples else [])]

    def failed_line(at: int) -> list[Any]:
        cells = [of_column[at] for of_column in failed_inputs.values()]
        return [*cells, _target(failed.examples[at]), *empty, failed.errors[at]]

    # Lines are made one after the other, because those of 1,500 labels need gigabytes together.
    order = sorted(
        [(example.row, at, answered_line) for at, example in enumerate(rows.examples)]
        + [(example.row, at, failed_line) for at, example in enumerate(failed.examples)],
        key=lambda row_and_line: row_and_line[0],
    )
    write_csv(file, [*inputs, *names.values()], (line(at) for _, at, line in order))
    return {name: used for name, used in names.items() if name != used}


def write_flips(file: Path, comparison: Comparison) -> None:
    """Write the rows whose answers differ between two bundles.

    The column `change` is fixed if only the evaluated bundle is right, broken if only the other one is, and
    changed if neither is right.

    Raises:
        UsageError: the file cannot be written.
    """
    rows = comparison.own
    pair = any(example.text_pair is not None for example in rows.examples)
    names = ["row", "text", *(["text_pair"] if pair else []), "gold"]
    names += ["label", "other_label", "score", "other_score", "change"]
    lines = []
    for flip in comparison.flips:
        example = rows.examples[flip.index]
        ours, theirs = rows.predictions[flip.index], comparison.rows.predictions[flip.index]
        answers = [_cell(_answer(members, rows.head)) for members in (ours, theirs)]
        scores = [_cell(members.get("score")) for members in (ours, theirs)]
        texts = [example.text, *([example.text_pair or ""] if pair else [])]
        lines.append([example.row, *texts, _target(example), *answers, *scores, flip.change])
    write_csv(file, names, lines)


def write_csv(file: Path, names: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file.

    Raises:
        UsageError: the file cannot be written.
    """
    with OutputFile(file) as output:
        buffer = io.StringIO()
        # Quotes around every text keep carriage returns and leading white space within their cell.
        writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(names)
        for number, line in enumerate(lines, 1):
            writer.writerow(line)
            if number % LINES_PER_WRITE == 0:
                output.write(buffer.getvalue().encode("utf-8", "replace"))
                buffer.seek(0)
                buffer.truncate()
        output.write(buffer.getvalue().encode("utf-8", "replace"))


def free_names(own: Sequence[str], taken: Sequence[str]) -> dict[str, str]:
    """Return a name for each column of ours that no column of the input has."""
    used = set(taken)
    names: dict[str, str] = {}
    for name in own:
        free, number = name, 2
        if free in used:
            free = f"{PREFIX}{name}"
        while free in used:
            free = f"{PREFIX}{name}_{number}"
            number += 1
        used.add(free)
        names[name] = free
    return names


def _input_columns(
    examples: Sequence[Example], columns: Mapping[str, Sequence[str]]
) -> Mapping[str, Sequence[Any]]:
    """Return the columns of the input; row number and texts if the input has no columns."""
    if columns:
        return columns
    found: dict[str, Sequence[Any]] = {
        "row": [example.row for example in examples],
        "text": [example.text for example in examples],
    }
    if any(example.text_pair is not None for example in examples):
        found["text_pair"] = [example.text_pair or "" for example in examples]
    return found


def _gold(rows: EvaluatedRows) -> list[Any]:
    if rows.head != "token":
        return [_target(example) for example in rows.examples]
    return [
        _cell(
            [
                {"type": kind, "start": start, "end": end, "text": example.text[start:end]}
                for kind, start, end, _ in spans
            ]
        )
        for example, spans in zip(rows.examples, actual_spans(rows), strict=True)
    ]


def _target(example: Example) -> Any:
    """Return the target as a cell; several labels or tags become a JSON list."""
    return _cell(list(example.target) if isinstance(example.target, tuple) else example.target)


def _probabilities(rows: EvaluatedRows, at: int) -> list[float]:
    if rows.probabilities is None:
        return []
    rounded: list[float] = np.round(rows.probabilities[at], DIGITS).tolist()
    return rounded


def _answer(members: Mapping[str, Any], head: HeadKind) -> Any:
    return members.get(ANSWER[head][0])


def _cell(value: Any) -> Any:
    """Return a value as a cell: numbers stay, lists and objects become JSON, nothing an empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return value
    return orjson.dumps(value).decode()
