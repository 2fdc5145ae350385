"""Where predictions of rows go: JSON lines or CSV, into a file or onto standard output."""

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
MOST_NAMED = 5


class RowSink(Protocol):
    """Takes what is said of each row."""

    def write(self, fields: Mapping[str, Any]) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_sink(path: Path | None, manifest: Manifest) -> RowSink:
    """A sink for a file, CSV by its ending, or for standard output.

    Raises:
        UsageError: the file cannot be written.
    """
    if path is None:
        return JsonSink(sys.stdout.buffer, keep=True)
    try:
        file = path.open("wb")
    except OSError as exc:
        raise UsageError(
            f"cannot write {path}", cause=exc.strerror or str(exc), fix="name another file in --output"
        ) from None
    return CsvSink(file, columns(manifest)) if path.suffix.lower() == ".csv" else JsonSink(file, keep=False)


def columns(manifest: Manifest) -> list[str]:
    """The CSV columns of a bundle's predictions."""
    pair = ["text_pair"] if manifest.takes_pair else []
    value = ["value"] if manifest.values is not None else []
    abstained = ["abstained"] if manifest.abstain_below is not None and manifest.head != "token" else []
    return ["row", "id", "text", *pair, *MEMBERS[manifest.head], *value, *abstained, "error"]


class _Closing:
    def __init__(self, file: BinaryIO, *, keep: bool) -> None:
        self._file = file
        self._keep = keep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keep:
            self._file.flush()
        else:
            self._file.close()


class JsonSink(_Closing):
    """A JSON object a line."""

    def write(self, fields: Mapping[str, Any]) -> None:
        """Write a row."""
        self._file.write(orjson.dumps(fields) + b"\n")


class CsvSink(_Closing):
    """A CSV row a line; lists and objects stand as JSON in their cell."""

    def __init__(self, file: BinaryIO, names: list[str]) -> None:
        super().__init__(file, keep=False)
        self._names = names
        self._line(names)

    def write(self, fields: Mapping[str, Any]) -> None:
        """Write a row."""
        self._line([_cell(fields.get(name)) for name in self._names])

    def _line(self, cells: list[str]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        self._file.write(line.getvalue().encode("utf-8", "replace"))


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


class Tally:
    """Counts rows, and remembers why some could not be predicted."""

    def __init__(self) -> None:
        self.predicted = 0
        self.reasons: Counter[Reason] = Counter()
        self._named: dict[Reason, list[int]] = {}

    def refuse(self, row: int, reason: Reason) -> None:
        """Count a row that has no prediction."""
        self.reasons[reason] += 1
        named = self._named.setdefault(reason, [])
        if len(named) < MOST_NAMED:
            named.append(row)

    def line(self) -> str:
        """How many were predicted, and how many not and why."""
        told = f"{self.predicted} row{'' if self.predicted == 1 else 's'} predicted"
        if not self.reasons:
            return told
        reasons = "; ".join(
            f"{reason.value} {count} (row {', '.join(map(str, self._named[reason]))}"
            f"{', …' if count > len(self._named[reason]) else ''})"
            for reason, count in self.reasons.most_common()
        )
        return f"{told}, {self.reasons.total()} not: {reasons}"
