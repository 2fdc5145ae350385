"""Predictions of one file in parts, so that an interrupted run can be continued.

A part holds the lines of `PART_ROWS` rows of the input. It is written under another name and renamed when it
is on disk, so a part that exists is complete, also after SIGKILL and a power failure. At the end the parts
are copied into the output, which appears at once, and are removed.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson

from stream.output_files import named_errors
from stream.predict.job import PredictionJob, Source, open_source
from stream.predict.output_header import Header, PredictionWriter
from stream.predict.row_reader import InputRow
from stream.predict.run import RowPredictor, RunProgress
from stream.predict.run_record import RunRecord, file_stamp
from stream.predict.writer import is_parquet_output, open_writer

PART_ROWS = 4_096


def parts_folder(output: Path) -> Path:
    """Return the folder of the parts of an output."""
    return output.with_name(f".{output.name}.parts")


class Parts:
    """The complete parts of one output.

    Attributes:
        count: the number of the parts.
    """

    def __init__(self, folder: Path, header: Header, *, typed: bool) -> None:
        """
        Args:
            folder: the folder of the parts.
            header: the columns of the output.
            typed: True if the parts are Parquet, which keeps the types of the columns; else JSON lines.
        """
        self._folder = folder
        self._header = header
        self._suffix = ".parquet" if typed else ".jsonl"
        self.count = 0
        while self._path(self.count).exists():
            self.count += 1

    @contextmanager
    def next_writer(self) -> Iterator[PredictionWriter]:
        """Open the writer of the next part, which appears at the end of the block."""
        with open_writer(self._path(self.count), self._header) as writer:
            yield writer
        self.count += 1

    def copy_to(self, writer: PredictionWriter) -> None:
        """Write the lines of all parts."""
        for number in range(self.count):
            for fields in _lines(self._path(number)):
                writer.write(fields)

    def _path(self, number: int) -> Path:
        return self._folder / f"part-{number:08}{self._suffix}"


def predict_in_parts(
    predictor: RowPredictor, job: PredictionJob, path: Path, output: Path, run: RunProgress
) -> Source:
    """Label a file in parts, and copy them into the output; continue after the parts of an earlier run.

    Args:
        predictor: labels the rows.
        job: what the run does.
        path: the input file.
        output: the output file.
        run: counts the rows.

    Raises:
        UsageError: a file cannot be read or written, or the parts are those of another run.
    """
    source, rows = open_source(job, path)
    folder = parts_folder(output)
    with named_errors(output):
        folder.mkdir(exist_ok=True)
    facts = {**job.facts(), "input": file_stamp(path)}
    with RunRecord(folder, facts):
        typed = is_parquet_output(output) and source.header.types is not None
        parts = Parts(folder, source.header, typed=typed)
        try:
            _label(predictor, source, rows, parts, run)
            with open_writer(output, source.header) as writer:
                parts.copy_to(writer)
        except BaseException:
            if not parts.count:
                remove_parts(output)
            raise
        remove_parts(output)
    return source


def remove_parts(output: Path) -> None:
    """Remove the parts of an output, if there are any."""
    shutil.rmtree(parts_folder(output), ignore_errors=True)


def _label(
    predictor: RowPredictor, source: Source, rows: Iterator[InputRow], parts: Parts, run: RunProgress
) -> None:
    assert source.reader is not None
    run.start_file(source.reader)
    for row in islice(rows, parts.count * PART_ROWS):
        source.output.skip(row)
        run.resumed_rows += 1
    while (first := next(rows, None)) is not None:
        of_part = chain([first], islice(rows, PART_ROWS - 1))
        with parts.next_writer() as writer:
            write_predictions(predictor, source, of_part, writer, run)


def write_predictions(
    predictor: RowPredictor,
    source: Source,
    rows: Iterator[InputRow],
    writer: PredictionWriter,
    run: RunProgress,
) -> None:
    """Label rows, and write and count them."""
    for chunk in predictor.predict(rows):
        for predicted in chunk:
            source.output.write(writer, predicted)
        run.add(chunk)


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
        return
    with path.open("rb") as file:
        yield from map(orjson.loads, file)
