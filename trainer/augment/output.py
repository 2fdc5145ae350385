"""The file of generated rows: the columns of the data, and the provenance of each row."""

import contextlib
import csv
import io
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.errors import UsageError
from stream.output_files import STANDARD_STREAM, OutputFile, write_file
from trainer.augment.answers import NewRow
from trainer.config import DataConfig
from trainer.data.columns import Columns
from trainer.data.examples import Example, Target
from trainer.data.files import ParseOptions, read_table

LABEL, MODEL, PROMPT = "augment_label", "augment_model", "augment_prompt_sha256"
REQUEST, SOURCE_ROWS, TIME = "augment_request", "augment_source_rows", "augment_time"
PROVENANCE = (LABEL, MODEL, PROMPT, REQUEST, SOURCE_ROWS, TIME)
"""The columns that say how a row was made, which `labelstream train` ignores."""

SAVE_EVERY_S = 2.0
SUFFIXES = (".csv", ".jsonl")
OTHER_FILE = "name another file in --output"


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of the data, which the generated rows have too.

    Attributes:
        columns: the column names by role.
        label_columns: for multi-label, one column of 0 and 1 for each label, in place of the label column.
    """

    columns: Columns
    label_columns: tuple[str, ...] = ()

    def cells(self, row: NewRow, source: Example) -> dict[str, Any]:
        """Return the cells of a row that has the labels and the metadata of a training row."""
        cells: dict[str, Any] = dict(source.metadata or {})
        cells[self.columns.text] = row.text
        if self.columns.text_pair is not None:
            cells[self.columns.text_pair] = row.text_pair
        if self.label_columns:
            return cells | {name: int(name in source.labels) for name in self.label_columns}
        return cells | {self.columns.label: _target(source.target)}

    def text_of(self, cells: Mapping[str, Any]) -> NewRow:
        """Return the texts of a row that an earlier run wrote."""
        pair = cells.get(self.columns.text_pair) if self.columns.text_pair is not None else None
        return NewRow(str(cells.get(self.columns.text) or ""), None if pair is None else str(pair))


class AugmentedFile:
    """The rows of a CSV or JSON lines file, of earlier runs and of this one.

    The file is complete at any time: it is written beside its destination, which it then replaces.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        """Read the rows of an earlier run, if there is one.

        Raises:
            UsageError: the file exists, and is not the output of `labelstream augment` for these data.
        """
        self._path = path
        self._saved_at = time.monotonic()
        self.rows: list[dict[str, Any]] = []
        if path.exists() and path.stat().st_size > 0:
            table = read_table(path, ParseOptions())
            needed = (layout.columns.text, *PROVENANCE)
            missing = [name for name in needed if name not in table.columns]
            if missing:
                raise UsageError(
                    f"{path} exists, and is not the output of this command for these data",
                    cause=f"it has no column {missing[0]!r}",
                    fix=OTHER_FILE,
                )
            self.rows = table.rows

    @property
    def counts(self) -> Counter[str]:
        """The number of rows of each label."""
        return Counter(str(row[LABEL]) for row in self.rows)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row, and save the file if the last save is two seconds old."""
        self.rows.append(row)
        if time.monotonic() - self._saved_at >= SAVE_EVERY_S:
            self.save()

    def check_writable(self) -> None:
        """Check that the file can be written, without a change to it.

        Raises:
            UsageError: the file cannot be written.
        """
        with contextlib.suppress(_DiscardedError), OutputFile(self._path, fix=OTHER_FILE):
            raise _DiscardedError

    def save(self) -> None:
        """Write the file, if it has rows.

        Raises:
            UsageError: the file cannot be written.
        """
        self._saved_at = time.monotonic()
        if self.rows:
            content = _csv(self.rows) if self._path.suffix.lower() == ".csv" else _json_lines(self.rows)
            write_file(self._path, content.encode(), fix=OTHER_FILE)


class _DiscardedError(Exception):
    """Ends the block of an output file that is not to be written."""


def check_output(path: Path, config: DataConfig) -> None:
    """Check that `labelstream train` with the flags of the data can read the output.

    The flags of `train` that describe files apply to the file of `--extra-train` too.

    Raises:
        UsageError: the file has another format, or the flags do not describe it.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES or path == STANDARD_STREAM:
        raise UsageError(
            f"--output {path} is neither CSV nor JSON lines",
            cause="`labelstream train --extra-train` reads it, and a later run of this command continues it",
            fix="name a .csv or a .jsonl file",
        )
    lines = suffix == ".jsonl"
    # JSON lines have only ASCII characters, which most encodings share; UTF-16 does not.
    shared = config.encoding is None or (lines and "az".encode(config.encoding) == b"az")
    flags = [
        (f"--format {config.format}", config.format in (None, suffix[1:]), False),
        ("--no-header", lines or not config.no_header, True),
        ("--quoting none", lines or config.quoting != "none", True),
        (f"--encoding {config.encoding}", shared, not lines),
    ]
    for flag, fits, lines_fit in flags:
        if not fits:
            raise UsageError(
                f"`labelstream train` would not read {path} with {flag}",
                cause="the flags that describe the data apply to the file of --extra-train too",
                fix="name a .jsonl file in --output"
                if lines_fit
                else f"convert the data to UTF-8 CSV or JSON lines, and leave {flag.split()[0]} out",
            )


def _target(target: Target) -> Any:
    return list(target) if isinstance(target, tuple) else target


def _json_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, default=str) + "\n" for row in rows)


def _csv(rows: list[dict[str, Any]]) -> str:
    file = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(list(_csv_cells(row, names)) for row in rows)
    return file.getvalue()


def _csv_cells(row: Mapping[str, Any], names: list[str]) -> Iterator[str]:
    for name in names:
        value = row.get(name)
        plain = value is None or isinstance(value, str)
        yield (value or "") if plain else json.dumps(value, ensure_ascii=False, default=str)
