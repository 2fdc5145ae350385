"""The work of the tasks and actors of Ray: reading the segments of files, and labelling them.

This module does not import Ray, and its objects are pickled.
"""

import json
import pickle
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from stream import errors
from stream.bundle import read_bundle
from stream.errors import BundleError, Fatal, Poison, UsageError
from stream.output_files import named_errors
from stream.predict.column_types import types_of_rows
from stream.predict.job import OF_PREDICTIONS, PredictionJob, Source, open_source
from stream.predict.kept_columns import KeptColumns
from stream.predict.output_header import Header
from stream.predict.row_output import RowOutput
from stream.predict.row_reader import Columns, InputRow
from stream.predict.run import PredictedRow, RowPredictor
from stream.predict.score_shape import score_shape
from stream.predict.writer import open_writer
from stream.settings import load_settings
from stream.tables import EmptyTableError, TableOptions

END = -1
"""The number of the item that ends a file."""

SENT = (*OF_PREDICTIONS, "sessions", "require_signature")


@dataclass(frozen=True, slots=True)
class SentJob:
    """A `PredictionJob` without the objects that only its own process can use."""

    folder: Path
    digest: str
    settings: Mapping[str, Any]
    columns: Columns
    table: TableOptions
    kept: tuple[str, ...] | None
    scores: str | None

    @classmethod
    def of(cls, job: PredictionJob) -> "SentJob":
        """Return a job in this form."""
        settings = {name: getattr(job.settings, name) for name in SENT}
        return cls(
            job.bundle.path.resolve(),
            job.bundle.digest,
            settings,
            job.columns,
            job.table,
            job.kept,
            job.scores,
        )

    def restore(self) -> PredictionJob:
        """Return the job.

        Raises:
            BundleError: this machine has another bundle in the folder.
        """
        settings = load_settings(self.settings)
        bundle = read_bundle(str(self.folder), settings.bundle_store)
        if bundle.digest != self.digest:
            raise BundleError(
                f"the bundle in {self.folder} is another one on this node",
                cause=f"its digest is {bundle.digest}, and that of the command is {self.digest}",
                fix="keep the bundle on storage that all nodes of the cluster share",
            )
        return PredictionJob(bundle, settings, self.columns, self.table, self.kept, self.scores)


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """The parts of the outputs, on storage that all nodes share.

    Attributes:
        folder: the folder.
        format: the format of the parts, jsonl or parquet.
    """

    folder: Path
    format: str

    def part(self, name: str, number: int) -> Path:
        """Return the path of a part of an output."""
        return self.folder / name / f"part-{number:06}.{self.format}"


class SegmentReader:
    """Reads a file in segments, in a task of Ray; parts that exist are skipped."""

    def __init__(self, job: SentJob, inputs: Path, outputs: OutputFolder, rows: int) -> None:
        """
        Args:
            job: what the run does.
            inputs: the folder of the input files.
            outputs: the folder of the outputs.
            rows: the rows of a segment, a multiple of `CHUNK_ROWS`.
        """
        self._rows = rows
        self._job = job
        self._inputs = inputs
        self._outputs = outputs

    def __call__(self, item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the segments of a file, and at the end their number.

        Args:
            item: the file as `file`, and the folder of its output as `name`.
        """
        file, name = item["file"], item["name"]
        try:
            yield from self._segments(file, name)
        except Fatal as exc:
            yield _item(file, name, error=as_text(exc))

    def _segments(self, file: str, name: str) -> Iterator[dict[str, Any]]:
        job, path = self._job.restore(), self._inputs / file
        source, rows = open_source(job, path)
        assert source.reader is not None
        header = source.header
        if self._outputs.format == "parquet" and header.types is None:
            header = _complete_header(job, path, header)
        number = skipped = 0
        # A file without rows has one part without rows.
        while (segment := _next_rows(source, rows, self._rows)) or number == 0:
            if self._outputs.part(name, number).exists():
                skipped += 1
            else:
                payload = pickle.dumps((header, segment))
                position = source.reader.position
                yield _item(file, name, number=number, payload=payload, position=position)
            number += 1
        size = source.reader.size or 0
        yield _item(file, name, number=END, skipped=skipped, segments=number - skipped, position=size)


class SegmentLabeller:
    """Labels segments and writes their parts, in an actor of Ray."""

    def __init__(self, job: SentJob, outputs: OutputFolder, cores: int) -> None:
        """
        Args:
            job: what the run does.
            outputs: the folder of the outputs.
            cores: the cores of the actor.
        """
        self._job = job
        self._outputs = outputs
        self._cores = cores
        self._predictor: RowPredictor | None = None
        self._error = ""

    def open(self) -> None:
        """Open the bundle; an error is that of each segment."""
        try:
            job = self._job.restore()
            self._shape = score_shape(job.scores, job.bundle.manifest)
            self._predictor = RowPredictor(job.bundle.path, job.settings, self._cores).__enter__()
        except Fatal as exc:
            self._error = as_text(exc)

    def label(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Label a segment, write its part, and return a report in the shape of the item."""
        file, name, number = item["file"], item["name"], item["number"]
        if self._error or item["error"] or number == END:
            return {**item, "error": item["error"] or self._error}
        try:
            counts = self._write(self._outputs.part(name, number), item["payload"])
        except Fatal as exc:
            return _item(file, name, number=number, error=as_text(exc))
        return _item(file, name, number=number, counts=json.dumps(counts), position=item["position"])

    def _write(self, path: Path, payload: bytes) -> dict[str, int]:
        header, rows = pickle.loads(payload)
        # The reader has chosen and renamed the columns.
        output = RowOutput(self._shape, KeptColumns(None, (), ()))
        counts: Counter[str] = Counter()
        assert self._predictor is not None
        with named_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with open_writer(path, header) as writer:
            for chunk in self._predictor.predict(iter(rows)):
                for predicted in chunk:
                    output.write(writer, predicted)
                counts.update(map(_outcome, chunk))
        return dict(counts)


PREDICTED = ""
"""The outcome of a row with a prediction; that of another row is its reason."""


def as_text(error: Fatal) -> str:
    """Return an error as JSON; exceptions of Ray do not keep its class."""
    fields = {"message": error.message, "cause": error.cause, "fix": error.fix}
    return json.dumps({"class": type(error).__name__, **fields})


def from_text(text: str) -> Fatal:
    """Return the error of `as_text`."""
    found = json.loads(text)
    kind = getattr(errors, found.pop("class"), UsageError)
    error: Fatal = kind(found["message"], cause=found["cause"], fix=found["fix"])
    return error


def _outcome(predicted: PredictedRow) -> str:
    return predicted.result.reason.value if isinstance(predicted.result, Poison) else PREDICTED


def _item(file: str, name: str, **fields: Any) -> dict[str, Any]:
    """Return an item, which has the same fields in all blocks."""
    item = {
        "file": file,
        "name": name,
        "number": 0,
        "segments": 0,
        "skipped": 0,
        "position": 0,
        "counts": "",
        "error": "",
        "payload": b"",
    }
    return item | fields


def _next_rows(source: Source, rows: Iterator[InputRow], count: int) -> list[InputRow]:
    """Return the next rows, with the columns that the output keeps."""
    try:
        return [replace(row, cells=source.kept.fields(row.cells)) for row in islice(rows, count)]
    except EmptyTableError:
        return []


def _complete_header(job: PredictionJob, path: Path, header: Header) -> Header:
    """Return the header with the columns and types that all rows of a JSON file together show."""
    source, rows = open_source(job, path)
    columns: dict[str, None] = {}

    def kept() -> Iterator[dict[str, Any]]:
        for row in rows:
            fields = source.kept.fields(row.cells)
            columns.update(dict.fromkeys(fields))
            yield {"id": row.own_id, **fields}

    try:
        types = types_of_rows(kept())
    except EmptyTableError:
        types = {}
    return replace(header, kept=[*columns], types=types)
