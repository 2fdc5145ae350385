"""A run of `labelstream predict --engine ray`: what is left to do, and what the cluster reports."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from stream.errors import UsageError
from stream.output_files import named_errors, write_file
from stream.predict.checks import ScaleOptions
from stream.predict.input_files import check_folders, list_files, output_names
from stream.predict.job import PredictionJob
from stream.predict.ray_engine import connect, disconnect, label_segments, plan_actors
from stream.predict.ray_tasks import (
    END,
    PREDICTED,
    OutputFolder,
    SegmentLabeller,
    SegmentReader,
    SentJob,
    from_text,
)
from stream.predict.run import CHUNK_ROWS, ProgressBar
from stream.predict.run_record import RECORD_NAME, RunRecord, file_stamp

SUCCESS = "_SUCCESS"
SEGMENT_ROWS = 32 * CHUNK_ROWS


class RayRun:
    """A run over the files of a folder, or over one file.

    Attributes:
        counts: the number of rows predicted, and of rows that failed by reason.
        resumed_parts: the number of parts that an earlier run has written.
        finished: the number of files that an earlier run has finished.
        count: the number of all files.
    """

    def __init__(self, job: PredictionJob, source: Path, output: Path, options: ScaleOptions) -> None:
        """
        Args:
            job: what the run does with each file.
            source: the file, or the folder of the input files.
            output: the folder of the outputs; it is made if it does not exist.
            options: the options of the run.

        Raises:
            UsageError: a file or a folder cannot be read, or two files have the same output.
        """
        self._job = job
        self._options = options
        self._outputs = OutputFolder(output.resolve(), options.suffix)
        if source.is_dir():
            check_folders(source, output)
            self._inputs = source.resolve()
            names = output_names(list_files(source, job.table, options.glob), "")
        else:
            check_folders(source, output)
            self._inputs = source.resolve().parent
            names = {Path(source.resolve().name): Path()}
        self._names = {file.as_posix(): name.as_posix() for file, name in names.items()}
        self._stamps = {file: file_stamp(self._inputs / file) for file in self._names}
        self.count = len(self._names)
        self.counts: Counter[str] = Counter()
        self.resumed_parts = self.finished = 0
        self._positions: dict[str, int] = {}
        self._open_segments: Counter[str] = Counter()
        self._ended: set[str] = set()

    def predict(self, console: Console) -> None:
        """Label all files that are not finished.

        Raises:
            UsageError: a file cannot be read or written, or the outputs are those of another run.
        """
        self._prepare()
        facts = {
            **self._job.facts(),
            "engine": "ray",
            "output-format": self._outputs.format,
            "rows of a part": SEGMENT_ROWS,
        }
        with RunRecord(self._outputs.folder, facts) as record:
            pending = [name for name in self._names if not record.is_finished(name, self._stamps[name])]
            self.finished = self.count - len(pending)
            if pending:
                record.add_begun({name: self._stamps[name] for name in pending})
                self._label(pending, record, console)
        write_file(self._outputs.folder / SUCCESS, b"")

    def _prepare(self) -> None:
        folder = self._outputs.folder
        with named_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / SUCCESS).unlink(missing_ok=True)
        parts = [part for name in self._names.values() for part in (folder / name).glob("part-*")]
        if self._options.overwrite:
            with named_errors(folder):
                (folder / RECORD_NAME).unlink(missing_ok=True)
                for part in parts:
                    part.unlink()
        elif parts and not (folder / RECORD_NAME).exists():
            raise UsageError(
                f"{parts[0]} exists",
                cause=f"{folder} has no {RECORD_NAME}, so another command has written it",
                fix="name another folder in --output, or add --overwrite",
            )

    def _label(self, pending: list[str], record: RunRecord, console: Console) -> None:
        connect(self._options.ray_address)
        try:
            plan = plan_actors(self._options.actors, self._job.settings.device)
            console.print(
                f"{plan.count} actors of {plan.cpus} cores" + (f" and {plan.gpus} GPUs" if plan.gpus else ""),
                markup=False,
            )
            sent = SentJob.of(self._job)
            files = [{"file": file, "name": self._names[file]} for file in pending]
            reader = SegmentReader(sent, self._inputs, self._outputs, SEGMENT_ROWS)
            labeller = SegmentLabeller(sent, self._outputs, plan.cpus)
            size = sum(self._stamps[file]["size"] for file in pending)
            progress = ProgressBar(console, size, lambda: sum(self._positions.values()))
            with progress:
                for report in label_segments(files, reader, labeller, plan):
                    self._add(report, record)
                    progress.update(self.counts[PREDICTED])
        finally:
            disconnect()

    def _add(self, report: Mapping[str, Any], record: RunRecord) -> None:
        if report["error"]:
            raise from_text(report["error"])
        file = report["file"]
        self._positions[file] = max(self._positions.get(file, 0), report["position"])
        if report["number"] == END:
            # Reports come in any order, so the end may precede the segments.
            self._ended.add(file)
            self._open_segments[file] += report["segments"]
            self.resumed_parts += report["skipped"]
        else:
            self.counts.update(json.loads(report["counts"]))
            self._open_segments[file] -= 1
        if file in self._ended and not self._open_segments[file]:
            record.add_finished(file, self._stamps[file])
