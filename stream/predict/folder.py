"""`labelstream predict` for a folder: an output file for each input file; finished files are skipped."""

from pathlib import Path

from stream.errors import UsageError
from stream.output_files import named_errors
from stream.predict.input_files import check_folders, list_files, output_names
from stream.predict.job import PredictionJob, open_source
from stream.predict.parts import predict_in_parts, remove_parts, write_predictions
from stream.predict.run import RowPredictor, RunProgress
from stream.predict.run_record import RECORD_NAME, RunRecord, file_stamp
from stream.predict.writer import open_writer
from stream.tables import EmptyTableError

OVERWRITE = "name another folder in --output, or add --overwrite"


class FolderRun:
    """A run over the files of a folder.

    Attributes:
        size: the size of the input files in bytes.
        finished: the number of files that an earlier run has finished.
        empty: the input files without rows, whose outputs have no rows either.
    """

    def __init__(
        self, job: PredictionJob, folder: Path, output: Path, output_format: str, pattern: str | None = None
    ) -> None:
        """
        Args:
            job: what the run does with each file.
            folder: the folder of the input files.
            output: the folder of the outputs; it is made if it does not exist.
            output_format: the suffix of the outputs, without its dot.
            pattern: a pattern of the input files, such as `*.csv`.

        Raises:
            UsageError: a folder cannot be read, or two files have the same output.
        """
        check_folders(folder, output)
        self._job = job
        self._folder = folder
        self._output = output
        self._format = output_format
        self._names = output_names(list_files(folder, job.table, pattern), f".{output_format}")
        self.count = len(self._names)
        self.stamps = {file: file_stamp(folder / file) for file in self._names}
        self.size = sum(stamp["size"] for stamp in self.stamps.values())
        self.finished = 0
        self.empty: list[Path] = []

    def predict(self, run: RunProgress, *, resume: bool, overwrite: bool) -> None:
        """Label all files that are not finished.

        Args:
            run: counts the rows.
            resume: True to continue within a file.
            overwrite: True to label all files again.

        Raises:
            UsageError: a file cannot be read or written, or the outputs are those of another run.
        """
        self._prepare(overwrite=overwrite)
        facts = {**self._job.facts(), "output-format": self._format}
        with RunRecord(self._output, facts) as record:
            pending = [file for file in self._names if not self._is_finished(record, file)]
            self.finished = len(self._names) - len(pending)
            if not pending:
                return
            with RowPredictor(self._job.bundle.path, self._job.settings) as predictor, run.bar:
                for file in pending:
                    self._predict_file(predictor, file, run, resume=resume)
                    record.add_finished(file.as_posix(), self.stamps[file])

    def _prepare(self, *, overwrite: bool) -> None:
        with named_errors(self._output):
            self._output.mkdir(parents=True, exist_ok=True)
        record = self._output / RECORD_NAME
        outputs = [self._output / name for name in self._names.values()]
        if overwrite:
            with named_errors(record):
                record.unlink(missing_ok=True)
            for path in outputs:
                remove_parts(path)
        elif not record.exists() and (existing := [path for path in outputs if path.exists()]):
            raise UsageError(
                f"{existing[0]} exists",
                cause=f"{self._output} has no {RECORD_NAME}, so another command has written it",
                fix=OVERWRITE,
            )

    def _is_finished(self, record: RunRecord, file: Path) -> bool:
        known = record.is_finished(file.as_posix(), self.stamps[file])
        return known and (self._output / self._names[file]).exists()

    def _predict_file(self, predictor: RowPredictor, file: Path, run: RunProgress, *, resume: bool) -> None:
        path, output = self._folder / file, self._output / self._names[file]
        with named_errors(output):
            output.parent.mkdir(parents=True, exist_ok=True)
        try:
            if resume:
                predict_in_parts(predictor, self._job, path, output, run)
                return
            source, rows = open_source(self._job, path)
            assert source.reader is not None
            run.start_file(source.reader)
            with open_writer(output, source.header) as writer:
                write_predictions(predictor, source, rows, writer, run)
        except EmptyTableError:
            # Engines such as Spark write empty files beside full ones.
            self._write_empty(path, output)
            self.empty.append(file)

    def _write_empty(self, path: Path, output: Path) -> None:
        source, _ = open_source(self._job, path)
        with open_writer(output, source.header):
            pass
