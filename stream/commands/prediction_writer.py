"""Writes the predictions of rows as JSON lines or CSV, to a file or to standard output."""

import csv
import io
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

import orjson

from stream.bundle import Manifest
from stream.errors import Reason, UsageError

MEMBERS = {
    "single-label": ("label", "score", "scores"),
    "multi-label": ("labels", "scores"),
    "regression": ("value",),
    "token": ("spans",),
}
ROWS_LISTED = 5


class PredictionWriter(Protocol):
    """Writes the fields of one row after the other."""

    def write(self, fields: Mapping[str, Any]) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_writer(path: Path | None, manifest: Manifest) -> PredictionWriter:
    """Open a writer: CSV for a file with that suffix, JSON lines for any other.

    Args:
        path: the file; None for standard output.
        manifest: the manifest of the bundle, which determines the CSV columns.

    Raises:
        UsageError: the file cannot be written.
    """
    if path is None:
        return JsonLinesWriter(sys.stdout.buffer, keep_open=True)
    try:
        file = path.open("wb")
    except OSError as exc:
        raise UsageError(
            f"cannot write {path}", cause=exc.strerror or str(exc), fix="name another file in --output"
        ) from None
    if path.suffix.lower() == ".csv":
        return CsvWriter(file, columns(manifest))
    return JsonLinesWriter(file, keep_open=False)


def columns(manifest: Manifest) -> list[str]:
    """Return the CSV columns of a bundle's predictions."""
    pair = ["text_pair"] if manifest.takes_pair else []
    value = ["value"] if manifest.values is not None else []
    abstained = ["abstained"] if manifest.abstain_below is not None and manifest.head != "token" else []
    return ["row", "id", "text", *pair, *MEMBERS[manifest.head], *value, *abstained, "error"]


class _FileWriter:
    def __init__(self, file: BinaryIO, *, keep_open: bool) -> None:
        self._file = file
        self._keep_open = keep_open

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keep_open:
            self._file.flush()
        else:
            self._file.close()


class JsonLinesWriter(_FileWriter):
    """Writes one JSON object per line."""

    def write(self, fields: Mapping[str, Any]) -> None:
        """Write a row."""
        self._file.write(orjson.dumps(fields) + b"\n")


class CsvWriter(_FileWriter):
    """Writes one CSV row per line, with lists and objects as JSON in their cell."""

    def __init__(self, file: BinaryIO, names: list[str]) -> None:
        super().__init__(file, keep_open=False)
        self._names = names
        self._write_line(names)

    def write(self, fields: Mapping[str, Any]) -> None:
        """Write a row."""
        self._write_line([_cell(fields.get(name)) for name in self._names])

    def _write_line(self, cells: list[str]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        self._file.write(line.getvalue().encode("utf-8", "replace"))


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


class PredictionCounts:
    """The number of rows predicted and, by reason, of rows that failed."""

    def __init__(self) -> None:
        self.predicted = 0
        self.failed: Counter[Reason] = Counter()
        self._rows: dict[Reason, list[int]] = {}

    def add_failure(self, row: int, reason: Reason) -> None:
        """Count a row without a prediction."""
        self.failed[reason] += 1
        rows = self._rows.setdefault(reason, [])
        if len(rows) < ROWS_LISTED:
            rows.append(row)

    def summary(self) -> str:
        """Return the numbers as a line, with the first failed rows of each reason."""
        predicted = f"{self.predicted} row{'' if self.predicted == 1 else 's'} predicted"
        if not self.failed:
            return predicted
        reasons = "; ".join(
            f"{reason.value} {count} (row {', '.join(map(str, self._rows[reason]))}"
            f"{', …' if count > len(self._rows[reason]) else ''})"
            for reason, count in self.failed.most_common()
        )
        return f"{predicted}, {self.failed.total()} failed: {reasons}"
