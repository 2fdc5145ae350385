"""The run of `labelstream predict`: reads rows, labels them in chunks, counts them and shows the progress."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from stream.classify import RowResult
from stream.errors import Poison, Reason
from stream.observe.metrics import ModelMetrics
from stream.predict.row_reader import InputRow, RowReader
from stream.records import Event
from stream.runtime import CoreUse
from stream.settings import Settings
from stream.termination import until_terminated
from stream.wording import count_of
from stream.worker.route_model import OpenModel, open_model
from stream.worker.row_classifier import RowClassifier

CHUNK_ROWS = 512
ROWS_LISTED = 5
# The progress bar of a smaller file would vanish before it could be read.
PROGRESS_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class PredictedRow:
    """A row, its event if the decoder accepted it, and its result."""

    row: InputRow
    event: Event | None
    result: RowResult

    @property
    def error(self) -> str:
        """The reason and the message of a row without a prediction."""
        assert isinstance(self.result, Poison)
        return f"{self.result.reason.value}: {self.result}"


class PredictionCounts:
    """The number of rows predicted and, by reason, of rows that failed."""

    def __init__(self) -> None:
        self.predicted = 0
        self.failed: Counter[Reason] = Counter()
        self._rows: dict[Reason, list[int]] = {}

    def add(self, predicted: PredictedRow) -> None:
        """Count a row."""
        if isinstance(predicted.result, Poison):
            self._add_failure(predicted.row.offset, predicted.result.reason)
        else:
            self.predicted += 1

    def _add_failure(self, row: int, reason: Reason) -> None:
        self.failed[reason] += 1
        rows = self._rows.setdefault(reason, [])
        if len(rows) < ROWS_LISTED:
            rows.append(row)

    def summary(self, *, rows: bool = True) -> str:
        """Return the numbers as a line.

        Args:
            rows: True to name the first failed rows of each reason, if they are of one file.
        """
        predicted = f"{count_of(self.predicted, 'row')} predicted"
        if not self.failed:
            return predicted
        reasons = "; ".join(
            f"{reason.value} {count}{self._first_rows(reason) if rows else ''}"
            for reason, count in self.failed.most_common()
        )
        return f"{predicted}, {self.failed.total()} failed: {reasons}"

    def _first_rows(self, reason: Reason) -> str:
        rows = self._rows[reason]
        return f" (row {', '.join(map(str, rows))}{', …' if self.failed[reason] > len(rows) else ''})"


class ProgressBar:
    """A progress bar on a terminal for large inputs; otherwise nothing."""

    def __init__(self, console: Console, size: int | None, position: Callable[[], int] = int) -> None:
        """
        Args:
            console: the terminal.
            size: the size of the inputs in bytes; None if it is unknown.
            position: returns the number of bytes read so far.
        """
        columns = [TextColumn("predict"), BarColumn(), TextColumn("{task.fields[rows]} rows")]
        large = (size or 0) > PROGRESS_BYTES and console.is_terminal
        self._progress = Progress(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=not large
        )
        self._position = position
        self._task = self._progress.add_task("predict", total=size, rows=0)

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, rows: int) -> None:
        """Show the number of rows and the position in the inputs."""
        self._progress.update(self._task, completed=self._position(), rows=rows)


class RunProgress:
    """The counts of a run over one or several files, and its progress bar.

    Attributes:
        counts: the rows of this run.
        resumed_rows: the number of rows that an earlier run has labelled.
        bar: the progress bar.
    """

    def __init__(self, console: Console, size: int) -> None:
        """
        Args:
            console: the terminal.
            size: the size of the inputs in bytes.
        """
        self.counts = PredictionCounts()
        self.resumed_rows = 0
        self.bar = ProgressBar(console, size, self._position)
        self._before = 0
        self._reader: RowReader | None = None

    def start_file(self, reader: RowReader) -> None:
        """Begin with the next file."""
        self._before = self._position()
        self._reader = reader

    def add(self, chunk: Sequence[PredictedRow]) -> None:
        """Count rows, and show the progress."""
        for predicted in chunk:
            self.counts.add(predicted)
        self.bar.update(self.counts.predicted)

    def _position(self) -> int:
        return self._before + (self._reader.position if self._reader is not None else 0)


class RowPredictor:
    """A loaded bundle that labels rows in chunks; use it as a context manager.

    The result of a chunk depends on its rows only: a chunk is one call, no prediction comes from an earlier
    chunk, and an inference on the CPU has one thread. Runs with the same chunks therefore have the same
    scores, whether they are resumed or distributed, and on any number of cores.

    Attributes:
        opened: the model.
    """

    opened: OpenModel

    def __init__(self, folder: Path, settings: Settings, cores: int | None = None) -> None:
        """
        Args:
            folder: the folder of the bundle.
            settings: the settings.
            cores: the number of cores to use; default: all that the process may use.
        """
        self._use = CoreUse(single_threaded=True, share=cores)
        self._folder = folder
        self._settings = settings.model_copy(update={"cache_local_entries": 0})
        # Rows are read outside of the event loop, where a signal interrupts the wait for a slow pipe.
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        """Open the bundle.

        Raises:
            BundleError: the bundle is missing, changed, or cannot be served.
            DeviceError: the device does not exist.
        """
        settings = self._settings
        try:
            self.opened = self._runner.run(
                until_terminated(
                    open_model(str(self._folder), settings.variant, settings, None, ModelMetrics(), self._use)
                )
            )
        except BaseException:
            self._runner.close()
            raise
        self._classifier = RowClassifier(self.opened, settings, text_setting="--text-column")
        return self

    def __exit__(self, *_: object) -> None:
        self.opened.classifier.close()
        self._runner.close()

    def predict(self, rows: Iterator[InputRow]) -> Iterator[list[PredictedRow]]:
        """Yield the rows with their results, in chunks of `CHUNK_ROWS` rows."""
        while chunk := [*islice(rows, CHUNK_ROWS)]:
            yield self._runner.run(until_terminated(_classify(self._classifier, chunk)))


Show = Callable[[OpenModel, PredictedRow], None]


def predict_rows(
    folder: Path,
    settings: Settings,
    rows: Iterator[InputRow],
    show: Show,
    counts: PredictionCounts,
    progress: ProgressBar,
) -> None:
    """Open a bundle, and label rows in their order.

    Args:
        folder: the folder of the bundle.
        settings: the settings.
        rows: the rows.
        show: the function that writes each row with its result.
        counts: the counts, which are correct also after an interruption.
        progress: the progress bar.
    """
    with RowPredictor(folder, settings) as predictor, progress:
        for chunk in predictor.predict(rows):
            for predicted in chunk:
                counts.add(predicted)
                show(predictor.opened, predicted)
            progress.update(counts.predicted)


async def _classify(classifier: RowClassifier, rows: list[InputRow]) -> list[PredictedRow]:
    classified = await classifier.classify(rows)
    return [
        PredictedRow(row, decoded if isinstance(decoded, Event) else None, result)
        for row, (decoded, result) in zip(rows, classified, strict=True)
    ]
