"""The run of `labelstream predict`: reads rows, labels them in chunks, counts them and shows the progress."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from stream.classify import RowResult
from stream.commands.row_reader import InputRow, RowReader
from stream.errors import Poison, Reason
from stream.observe.metrics import ModelMetrics
from stream.records import Event
from stream.settings import Settings
from stream.termination import until_terminated
from stream.wording import count_of
from stream.worker.route_model import OpenModel, open_model
from stream.worker.row_classifier import RowClassifier

ROWS_AT_ONCE = 512
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

    def add_failure(self, row: int, reason: Reason) -> None:
        """Count a row without a prediction."""
        self.failed[reason] += 1
        rows = self._rows.setdefault(reason, [])
        if len(rows) < ROWS_LISTED:
            rows.append(row)

    def summary(self) -> str:
        """Return the numbers as a line, with the first failed rows of each reason."""
        predicted = f"{count_of(self.predicted, 'row')} predicted"
        if not self.failed:
            return predicted
        reasons = "; ".join(
            f"{reason.value} {count} (row {', '.join(map(str, self._rows[reason]))}"
            f"{', …' if count > len(self._rows[reason]) else ''})"
            for reason, count in self.failed.most_common()
        )
        return f"{predicted}, {self.failed.total()} failed: {reasons}"


class ProgressBar:
    """A progress bar on a terminal for a large file; otherwise nothing."""

    def __init__(self, console: Console, reader: RowReader | None) -> None:
        columns = [TextColumn("predict"), BarColumn(), TextColumn("{task.fields[rows]} rows")]
        large = reader is not None and (reader.size or 0) > PROGRESS_BYTES and console.is_terminal
        self._progress = Progress(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=not large
        )
        self._reader = reader
        self._task = self._progress.add_task("predict", total=reader.size if reader else None, rows=0)

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, rows: int) -> None:
        """Show the number of rows and the position in the file."""
        self._progress.update(
            self._task, completed=self._reader.position if self._reader else None, rows=rows
        )


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
    # Rows are read outside of the event loop, where a signal interrupts the wait for a slow pipe.
    with asyncio.Runner() as runner:
        opening = open_model(str(folder), settings.variant, settings, None, ModelMetrics())
        opened = runner.run(until_terminated(opening))
        classifier = RowClassifier(opened, settings, text_setting="--text-column")
        try:
            with progress:
                while chunk := [*islice(rows, ROWS_AT_ONCE)]:
                    for predicted in runner.run(until_terminated(_classify(classifier, chunk))):
                        _count(counts, predicted)
                        show(opened, predicted)
                    progress.update(counts.predicted)
        finally:
            opened.classifier.close()


async def _classify(classifier: RowClassifier, rows: list[InputRow]) -> list[PredictedRow]:
    classified = await classifier.classify(rows)
    return [
        PredictedRow(row, decoded if isinstance(decoded, Event) else None, result)
        for row, (decoded, result) in zip(rows, classified, strict=True)
    ]


def _count(counts: PredictionCounts, predicted: PredictedRow) -> None:
    if isinstance(predicted.result, Poison):
        counts.add_failure(predicted.row.offset, predicted.result.reason)
    else:
        counts.predicted += 1
