"""The findings of an error analysis as CSV, written as `trainer.evaluation.csv_tables` writes its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from trainer.evaluation.csv_tables import DIGITS, write_csv
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.findings import (
    DUPLICATES_FILE,
    LABEL_ERRORS_FILE,
    SLICES_FILE,
    THRESHOLDS_FILE,
    DuplicatePair,
    Findings,
    LabelSuspicion,
    Mistake,
)

SHOWN_WORDS = 5
MIN_NEIGHBOURS = 3


def write_errors(file: Path, rows: EvaluatedRows, mistakes: Sequence[Mistake]) -> None:
    """Write the mistakes, the most confident first, each with its nearest training rows.

    Raises:
        UsageError: the file cannot be written.
    """
    pair = any(example.text_pair is not None for example in rows.examples)
    near = max(MIN_NEIGHBOURS, max((len(mistake.neighbours) for mistake in mistakes), default=0))
    names = ["row", "text", *(["text_pair"] if pair else []), "gold", "predicted", "confidence", "words"]
    for number in range(1, near + 1):
        names += [f"neighbour_{number}_{part}" for part in ("row", "text", "label", "similarity")]
    write_csv(file, names, (_error_line(rows, mistake, near, pair=pair) for mistake in mistakes))


def write_findings(folder: Path, findings: Findings) -> None:
    """Write slices, probable label errors, duplicates and the best thresholds, each kind if there are any.

    Raises:
        UsageError: a file cannot be written.
    """
    columns = ("column", "value", "rows", findings.headline, "low", "high", "difference")
    thresholds = [
        (curve.label, curve.best, min(curve.costs), "" if curve.current is None else curve.current)
        for curve in findings.cost_curves
    ]
    tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]] = {
        SLICES_FILE: (columns, [astuple(part) for part in findings.slices]),
        LABEL_ERRORS_FILE: (_names(LabelSuspicion), [astuple(found) for found in findings.suspicions]),
        DUPLICATES_FILE: (_names(DuplicatePair), [astuple(pair) for pair in findings.duplicates]),
        THRESHOLDS_FILE: (("label", "threshold", "cost", "current_threshold"), thresholds),
    }
    for name, (names, lines) in tables.items():
        if lines:
            write_csv(folder / name, names, lines)


def _names(kind: type[LabelSuspicion] | type[DuplicatePair]) -> list[str]:
    return [attribute.name for attribute in fields(kind)]


def _error_line(rows: EvaluatedRows, mistake: Mistake, near: int, *, pair: bool) -> list[Any]:
    example = rows.examples[mistake.index]
    line: list[Any] = [example.row, example.text, *([example.text_pair or ""] if pair else [])]
    strongest = sorted(mistake.words, key=lambda word: -abs(word.effect))[:SHOWN_WORDS]
    words = ", ".join(f"{example.text[word.start : word.end]} {word.effect:+.3f}" for word in strongest)
    line += [mistake.gold, mistake.predicted, round(mistake.confidence, DIGITS), words]
    for number in range(near):
        if number < len(mistake.neighbours):
            neighbour = mistake.neighbours[number]
            similarity = round(neighbour.similarity, DIGITS)
            line += [neighbour.row, neighbour.text, neighbour.target, similarity]
        else:
            line += [""] * 4
    return line
