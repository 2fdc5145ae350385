"""`labelstream predict`: label texts or files, with the code that the worker runs."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from stream.bundle import read_bundle
from stream.classify import InputReader, Prediction, RowResult
from stream.commands.explain import explanation, explanation_console
from stream.commands.options import with_settings
from stream.commands.prediction_writer import PredictionCounts, PredictionWriter, open_writer
from stream.commands.row_reader import Columns, InputRow, RowReader, text_rows
from stream.errors import Poison, UsageError
from stream.observe.metrics import Metrics
from stream.records import DeadLetter, Decoder, Event, Source
from stream.settings import Settings
from stream.worker.route_model import OpenModel, open_model

ROWS_AT_ONCE = 512
ROWS_SOURCE = Source("row", 0)
# The progress bar of a smaller file would vanish before it could be read.
PROGRESS_BYTES = 64 * 1024


@with_settings("bundle_store", "device", "variant", "sessions", "top_k", "max_text_chars")
def predict(
    bundle: Annotated[
        str, typer.Argument(help="Bundle: a folder, or NAME or NAME@VERSION in the store.", metavar="BUNDLE")
    ],
    *,
    settings: Settings,
    text: Annotated[
        list[str] | None, typer.Option("--text", help="Text to label; may be repeated.", metavar="TEXT")
    ] = None,
    text_pair: Annotated[
        list[str] | None,
        typer.Option("--text-pair", help="Second text of a pair, one for each --text.", metavar="TEXT"),
    ] = None,
    input_: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="File: .csv, .tsv, .jsonl, .ndjson, or .txt with a text per line.",
            metavar="FILE",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            help="Output: .csv, else JSON lines. Default: standard output.",
            metavar="FILE",
        ),
    ] = None,
    text_column: Annotated[
        str, typer.Option(help="Column or JSON field with the text.", metavar="NAME")
    ] = "text",
    text_pair_column: Annotated[
        str, typer.Option(help="Column or JSON field with the second text.", metavar="NAME")
    ] = "text_pair",
    id_column: Annotated[
        str,
        typer.Option(help="Column or JSON field with the id, for the output.", metavar="NAME"),
    ] = "id",
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the tokens, logits and probabilities of each text.")
    ] = False,
) -> None:
    """Label texts or the rows of a file, with the results that the worker would publish.

    Metadata comes from the columns or JSON fields that the bundle names. A row that cannot be labelled, such
    as one without text, gets a line with its error and is counted at the end.

        labelstream predict support --text "My card was charged twice"

        labelstream predict support --text "My card was charged twice" --explain

        labelstream predict support@3 --input tickets.csv --text-column message --output labels.jsonl

        labelstream predict sick --text "A man plays." --text-pair "Nobody plays."
    """
    texts, pairs = text or [], text_pair or []
    _check_arguments(texts, pairs, input_, output, explain=explain)
    manifest = read_bundle(bundle, settings.bundle_store).manifest
    metadata = tuple(column.name for column in manifest.metadata or ())
    columns = Columns(text_column, text_pair_column, id_column, metadata)
    reader = RowReader(input_, columns) if input_ is not None else None
    rows = reader.rows() if reader is not None else text_rows(texts, pairs)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    with open_writer(output, manifest) as writer:
        show: Show = _explain_row if explain else partial(_write_row, writer)
        counts = asyncio.run(_predict(bundle, settings, rows, show, _Progress(errors, reader)))
    if reader is not None and reader.missing:
        errors.print(f"no column {', '.join(reader.missing)}: treated as missing values", markup=False)
    if reader is not None or counts.failed:
        errors.print(counts.summary(), markup=False)


def _check_arguments(
    texts: list[str], pairs: list[str], file: Path | None, output: Path | None, *, explain: bool
) -> None:
    if bool(texts) == (file is not None):
        raise UsageError(
            "there is nothing to predict" if not texts else "--text and --input cannot be used together",
            fix="use --text TEXT (may be repeated) or --input FILE",
        )
    if pairs and len(pairs) != len(texts):
        raise UsageError(
            f"{len(pairs)} --text-pair for {len(texts)} --text", fix="give one --text-pair for each --text"
        )
    if explain and output is not None:
        raise UsageError("--explain prints text, not rows for a file", fix="remove --output or --explain")


@dataclass(frozen=True, slots=True)
class PredictedRow:
    """A row, its event if the decoder accepted it, and its result."""

    row: InputRow
    event: Event | None
    result: RowResult


Show = Callable[[OpenModel, PredictedRow], None]


async def _predict(
    spec: str, settings: Settings, rows: Iterator[InputRow], show: Show, progress: "_Progress"
) -> PredictionCounts:
    opened = await open_model(spec, settings.variant, settings, None, Metrics())
    decoder = Decoder(
        input_format="json",
        max_event_bytes=settings.max_event_bytes,
        max_text_chars=settings.max_text_chars,
        takes_pair=opened.bundle.manifest.takes_pair,
    )
    counts = PredictionCounts()
    try:
        with progress:
            while chunk := [*islice(rows, ROWS_AT_ONCE)]:
                for predicted in await _predict_rows(opened, decoder, chunk):
                    _count(counts, predicted)
                    show(opened, predicted)
                progress.update(counts.predicted)
    finally:
        opened.classifier.close()
    return counts


async def _predict_rows(opened: OpenModel, decoder: Decoder, rows: list[InputRow]) -> list[PredictedRow]:
    decoded = decoder.decode_all(ROWS_SOURCE, rows)
    events = [item for item in decoded if isinstance(item, Event)]
    inputs = InputReader(opened.bundle.manifest).read(events)
    results = iter((await opened.classifier.classify(inputs)).results)
    predicted = []
    for row, item in zip(rows, decoded, strict=True):
        if isinstance(item, Event):
            predicted.append(PredictedRow(row, item, next(results)))
        else:
            assert isinstance(item, DeadLetter), "every row has a value"
            predicted.append(PredictedRow(row, None, Poison(item.reason, item.message)))
    return predicted


def _count(counts: PredictionCounts, predicted: PredictedRow) -> None:
    if isinstance(predicted.result, Poison):
        counts.add_failure(predicted.row.offset, predicted.result.reason)
    else:
        counts.predicted += 1


def _write_row(writer: PredictionWriter, _: OpenModel, predicted: PredictedRow) -> None:
    row, event, result = predicted.row, predicted.event, predicted.result
    fields: dict[str, Any] = {"row": row.offset}
    if row.own_id is not None:
        fields["id"] = row.own_id
    if event is not None:
        fields["text"] = event.text
        if event.text_pair is not None:
            fields["text_pair"] = event.text_pair
    writer.write(fields | (result.fields() if isinstance(result, Prediction) else {"error": _error(result)}))


def _explain_row(opened: OpenModel, predicted: PredictedRow) -> None:
    console = explanation_console()
    if predicted.event is None:
        assert isinstance(predicted.result, Poison)
        console.print(f"row {predicted.row.offset}: {_error(predicted.result)}", markup=False)
        return
    model_input = InputReader(opened.bundle.manifest).read([predicted.event])[0]
    console.print(explanation(opened, model_input, predicted.result))


def _error(result: Poison) -> str:
    return f"{result.reason.value}: {result}"


class _Progress:
    """A progress bar on a terminal for a large file; otherwise nothing."""

    def __init__(self, console: Console, reader: RowReader | None) -> None:
        columns = [TextColumn("predict"), BarColumn(), TextColumn("{task.fields[rows]} rows")]
        large = reader is not None and reader.size > PROGRESS_BYTES and console.is_terminal
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
