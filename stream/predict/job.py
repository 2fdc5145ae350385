"""What a run of `labelstream predict` does with each file."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stream import __version__
from stream.bundle import Bundle
from stream.predict.evaluation import Evaluation
from stream.predict.row_output import RowOutput, kept_columns, output_header
from stream.predict.row_reader import Columns, InputRow, RowReader
from stream.predict.score_shape import score_shape
from stream.settings import Settings
from stream.tables import TableOptions

# The settings that determine predictions.
OF_PREDICTIONS = (
    "device",
    "variant",
    "top_k",
    "max_text_chars",
    "max_event_bytes",
    "max_batch_rows",
    "max_batch_tokens",
)


@dataclass(frozen=True, slots=True)
class PredictionJob:
    """What a run does with each file.

    Attributes:
        bundle: the bundle.
        settings: the settings.
        columns: the columns that the model or the output reads.
        table: the format of the input.
        kept: the columns of the input that the output keeps; None for all.
        scores: the shape of the scores.
    """

    bundle: Bundle
    settings: Settings
    columns: Columns
    table: TableOptions
    kept: tuple[str, ...] | None
    scores: str | None

    def facts(self) -> dict[str, Any]:
        """Return what determines the output of an input file, as JSON values by the names of the flags."""
        settings = {name.replace("_", "-"): getattr(self.settings, name) for name in OF_PREDICTIONS}
        return {
            "bundle": f"{self.bundle.reference} {self.bundle.digest}",
            "labelstream": __version__,
            "text-column": self.columns.text,
            "text-pair-column": self.columns.text_pair,
            "id-column": self.columns.id,
            "columns": "all" if self.kept is None else list(self.kept),
            "scores": self.scores,
            **{name.replace("_", "-"): value for name, value in asdict(self.table).items()},
            **settings,
        }


class Source:
    """An input file, its columns in the output, and the lines of its rows.

    Attributes:
        reader: the reader of the file; None for the texts of `--text`.
        header: the columns of the output.
        output: turns rows with their results into lines.
    """

    def __init__(
        self, job: PredictionJob, reader: RowReader | None, evaluation: Evaluation | None = None
    ) -> None:
        """
        Args:
            job: what the run does.
            reader: the reader of the file.
            evaluation: the comparison with a column of the file.

        Raises:
            UsageError: the file lacks a column.
        """
        self.reader = reader
        manifest = job.bundle.manifest
        shape = score_shape(job.scores, manifest)
        own = output_header(manifest, shape)
        columns = reader.header if reader is not None else []
        types = reader.types if reader is not None else None
        self.kept, self.header = kept_columns(job.kept, own, job.columns, columns, types)
        self.output = RowOutput(shape, self.kept, evaluation)

    def notes(self) -> list[str]:
        """Return notes on columns that are missing or renamed."""
        return [] if self.reader is None else [*self.missing_columns(), *self.kept.notes()]

    def missing_columns(self) -> list[str]:
        """Return a note on the columns of the bundle that the file lacks."""
        missing = ", ".join(self.reader.missing) if self.reader is not None else ""
        return [f"no column {missing}: treated as missing values"] if missing else []


def open_source(job: PredictionJob, path: Path) -> tuple[Source, Iterator[InputRow]]:
    """Open an input file.

    Raises:
        UsageError: the file cannot be read, or lacks a column.
    """
    reader = RowReader(path, job.columns, job.table)
    return Source(job, reader), reader.rows()
