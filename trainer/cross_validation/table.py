"""oof.csv: the out-of-fold prediction of each row, or of each word."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from stream.output_files import OutputFile
from trainer.cross_validation.out_of_fold import Fold, OutOfFold
from trainer.data.examples import Example
from trainer.data.tag_spelling import OUTSIDE
from trainer.model.inference import probabilities

DIGITS = 6
PREFIX = "p:"

Line = tuple[int, list[Any]]
"""The row number, and the cells of a line."""


class _Encoded:
    """The text file that `csv` writes to."""

    def __init__(self, file: OutputFile) -> None:
        self._file = file

    def write(self, text: str) -> None:
        self._file.write(text.encode())


def write_out_of_fold(found: OutOfFold, file: Path) -> None:
    """Write the predictions in the order of the data, one line per row; for token classification, per word.

    Raises:
        UsageError: the file cannot be written.
    """
    named = found.head != "regression"
    header = ["row", "id", "fold", *(["word", "text"] if found.head == "token" else []), "label", "predicted"]
    lines = [line for fold in found.folds for line in _lines(fold)]
    lines.sort(key=lambda line: line[0])
    with OutputFile(file) as output:
        writer = csv.writer(_Encoded(output))
        writer.writerow([*header, *(PREFIX + label for label in found.labels if named)])
        writer.writerows(cells for _, cells in lines)


def _lines(fold: Fold) -> Iterator[Line]:
    head = fold.prepared.task.head
    if head == "token":
        yield from _word_lines(fold)
        return
    scores = np.zeros((len(fold.examples), 0))
    if head != "regression":
        scores = probabilities(np.asarray(fold.scaled()), head)
    for example, answer, row in zip(fold.examples, fold.answers(), scores, strict=True):
        predicted = answer.get("label", answer.get("labels", answer.get("value")))
        cells = [_cell(example.target), _cell(predicted), *(round(float(score), DIGITS) for score in row)]
        yield example.row, [*_start(example, fold), *cells]


def _word_lines(fold: Fold) -> Iterator[Line]:
    """Yield a line per word; a word that was truncated is predicted as O, without probabilities."""
    labels = fold.prepared.task.labels
    for example, words in zip(fold.examples, fold.word_scores(), strict=True):
        known = dict(words)
        for word, (start, end) in enumerate(example.word_spans):
            scores = known.get(word)
            predicted = OUTSIDE if scores is None else labels[scores.index(max(scores))]
            cells = [word + 1, example.text[start:end], example.labels[word], predicted]
            rounded = [""] * len(labels) if scores is None else [round(score, DIGITS) for score in scores]
            yield example.row, [*_start(example, fold), *cells, *rounded]


def _start(example: Example, fold: Fold) -> list[Any]:
    return [example.row, example.id or "", fold.number]


def _cell(target: Any) -> Any:
    """Return a label or number as it is, and the labels of multi-label rows as a JSON list."""
    return orjson.dumps(target).decode() if isinstance(target, list | tuple) else target
