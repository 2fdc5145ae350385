"""The labels of a column of the input, against which `labelstream predict --evaluate-with` evaluates."""

import ast
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stream.bundle import Manifest
from stream.classify import as_category, as_number
from stream.errors import UsageError
from stream.tables import NULL_TEXTS, read_label_names

WITHHELD = -1
"""The id that data sets write where the label is withheld."""

SEPARATORS = ("|", ";", ",")
LABELS_SHOWN = 5


class GoldLabels:
    """Reads the labels of cells as labels of a bundle.

    A number matches the label that is the same number, such as 1.0 and "1". Another spelling and an id in
    place of a name are refused, since either could be a mistake that would count as a wrong prediction.
    """

    def __init__(self, manifest: Manifest, column: str, names: Sequence[str] | None = None) -> None:
        """
        Args:
            manifest: the bundle's manifest.
            column: the column, for messages.
            names: the names of the ids 0, 1, …; None if the column has the names themselves.
        """
        self._labels = frozenset(manifest.labels)
        self._listed = manifest.labels
        self._column = column
        self._names = names
        self._folded = {label.casefold(): label for label in manifest.labels}
        self._numbers: dict[float, list[str]] = {}
        for label in manifest.labels:
            if (number := as_number(label)) is not None:
                self._numbers.setdefault(number, []).append(label)

    def one(self, cell: Any, row: int) -> str | None:
        """Return the label of a cell, which the bundle need not have; None if the cell is empty.

        Raises:
            UsageError: the cell holds a list, an id without a name, or another spelling of a label.
        """
        if isinstance(cell, list | dict):
            raise self._error(row, "a list", "the bundle predicts one label", "write one label in each cell")
        text = (as_category(cell) or "").strip()
        if text in self._labels:
            return text
        if not text or text.lower() in NULL_TEXTS:
            return None
        number = as_number(text)
        if self._names is not None and number is not None:
            return self._named(number, text, row)
        if number is not None:
            same = self._numbers.get(number, ())
            if len(same) == 1:
                return same[0]
            if not self._numbers:
                raise self._error(
                    row,
                    f"the number {text}",
                    f"the labels of the bundle are: {shown(self._listed)}",
                    "--label-names FILE (line 1 is the name of 0), or write the names in the column",
                )
        close = self._folded.get(text.casefold())
        if close is not None:
            raise self._error(
                row,
                f"{text!r}",
                f"the bundle has the label {close!r}",
                "write the labels as the bundle has them",
            )
        return text

    def several(self, cell: Any, row: int) -> frozenset[str] | None:
        """Return the labels of a cell: a list, or a text with separators; None if the cell is empty.

        Raises:
            UsageError: the cell is an object, or one of its labels is refused as in `one`.
        """
        items = self._items(cell, row)
        if items is None:
            return None
        if len(items) > 1 and not self._numbers and set(map(as_number, items)) <= {0.0, 1.0}:
            raise self._error(
                row, "a list of 0 and 1", "it names no labels", "write the labels as a list of names"
            )
        labels = [self.one(item, row) for item in items]
        return frozenset(label for label in labels if label is not None)

    def _items(self, cell: Any, row: int) -> list[Any] | None:
        if isinstance(cell, dict):
            raise self._error(row, "an object", "it is no list of labels", "write the labels as a list")
        if isinstance(cell, list):
            return cell
        text = (as_category(cell) or "").strip()
        if text.startswith("[") and text.endswith("]"):
            parsed = _parse_list(text)
            if parsed is None:
                raise self._error(row, text[:40], "it is no list of texts", 'write it as ["a", "b"]')
            return parsed
        if text in self._labels:
            return [text]
        if not text or text.lower() in NULL_TEXTS:
            return None
        # The separator is the one that gives the most labels of the bundle.
        splits = [[part.strip() for part in text.split(separator)] for separator in SEPARATORS]
        return max(splits, key=lambda parts: (sum(part in self._labels for part in parts), -len(parts)))

    def _named(self, number: float, text: str, row: int) -> str | None:
        names = self._names or ()
        if number == WITHHELD:
            return None
        if number.is_integer() and 0 <= number < len(names):
            return names[int(number)]
        raise self._error(
            row,
            f"the number {text}",
            f"--label-names has names for 0 to {len(names) - 1}",
            "check the column and the file of names (line 1 is the name of 0)",
        )

    def _error(self, row: int, found: str, cause: str, fix: str) -> UsageError:
        return UsageError(f"row {row}: column {self._column!r} holds {found}", cause=cause, fix=fix)


def read_names(file: Path, manifest: Manifest) -> list[str]:
    """Return the names of the ids 0, 1, … in the file of `--label-names`.

    Raises:
        UsageError: the file is not valid, or its names are not the bundle's.
    """
    names = read_label_names(file)
    if not set(names) & set(manifest.labels):
        raise UsageError(
            f"{file} has no label of the bundle",
            cause=f"its names are {shown(names)}, and the bundle's are {shown(manifest.labels)}",
            fix="write one name of the bundle on each line, and nothing else",
        )
    if any(as_number(label) is not None for label in manifest.labels):
        raise UsageError(
            "--label-names cannot be used with this bundle",
            cause=f"its labels are numbers themselves: {shown(manifest.labels)}",
            fix="leave --label-names out",
        )
    return names


def shown(labels: Sequence[str]) -> str:
    """Return the first labels, and the number of the others, for a message."""
    more = len(labels) - LABELS_SHOWN
    return ", ".join(map(repr, labels[:LABELS_SHOWN])) + (f" and {more:,} more" if more > 0 else "")


def _parse_list(text: str) -> list[Any] | None:
    for parse in (json.loads, ast.literal_eval):
        try:
            parsed = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return parsed if isinstance(parsed, list) else None
    return None
