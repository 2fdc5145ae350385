"""`labelstream predict`: a bundle's labels for texts and files, by the very code of the stream."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from stream.bundle import read_bundle
from stream.classify.inputs import InputReader, Prediction
from stream.commands.explain import explain as explanation
from stream.commands.explain import explaining_console
from stream.commands.options import with_settings
from stream.commands.row_sink import RowSink, Tally, open_sink
from stream.commands.row_source import Columns, Row, RowSource, text_rows
from stream.errors import Poison, UsageError
from stream.observe.metrics import Metrics
from stream.records import DeadLetter, Decoder, Event, Source
from stream.settings import Settings
from stream.worker.route_model import OpenModel, open_model

ROWS_AT_ONCE = 512
ROWS_SOURCE = Source("row", 0)
# A bar that comes and goes at once is noise.
LONG_WORK_BYTES = 64 * 1024


@with_settings("bundle_store", "device", "variant", "sessions", "top_k", "max_text_chars")
def predict(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or NAME or NAME@VERSION in the store.")],
    *,
    settings: Settings,
    text: Annotated[
        list[str] | None, typer.Option("--text", help="A text; may be repeated.", metavar="TEXT")
    ] = None,
    text_pair: Annotated[
        list[str] | None,
        typer.Option("--text-pair", help="The second text of a pair, one for each --text.", metavar="TEXT"),
    ] = None,
    input_: Annotated[
        Path | None,
        typer.Option(
            "--input", help=".csv, .tsv, .jsonl, .ndjson, or .txt with a text a line.", metavar="FILE"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="JSON lines, or CSV by its ending. Default: standard output."),
    ] = None,
    text_column: Annotated[
        str, typer.Option(help="Column or JSON field of the text.", metavar="NAME")
    ] = "text",
    text_pair_column: Annotated[
        str, typer.Option(help="Column or JSON field of the second text.", metavar="NAME")
    ] = "text_pair",
    id_column: Annotated[
        str, typer.Option(help="Column or JSON field of the id, copied to the output.", metavar="NAME")
    ] = "id",
    explain: Annotated[
        bool, typer.Option("--explain", help="Show tokens, logits and probabilities of each text.")
    ] = False,
) -> None:
    """Label texts or the rows of a file, with the same numbers as the stream.

    Metadata that the bundle reads is taken from the columns, or JSON fields, of its own names. A row that
    cannot be predicted, such as one without text, gets a line with its error, and is counted at the end.

        labelstream predict support --text "My card was charged twice"

        labelstream predict support --text "My card was charged twice" --explain

        labelstream predict support@3 --input tickets.csv --text-column message --output labels.jsonl

        labelstream predict sick --text "A man plays." --text-pair "Nobody plays."
    """
    texts, pairs = text or [], text_pair or []
    _check(texts, pairs, input_, output, explain=explain)
    manifest = read_bundle(bundle, settings.bundle_store).manifest
    columns = Columns(
        text_column, text_pair_column, id_column, tuple(column.name for column in manifest.metadata or ())
    )
    source = RowSource(input_, columns) if input_ is not None else None
    rows = source.rows() if source is not None else text_rows(texts, pairs)
    told = Console(stderr=True, highlight=False, soft_wrap=True)
    with open_sink(output, manifest) as sink:
        tally = asyncio.run(_predict(bundle, settings, rows, source, None if explain else sink, told))
    if source is not None and source.lacks:
        told.print(f"no column {', '.join(source.lacks)}: counted as missing", markup=False)
    if source is not None or tally.reasons:
        told.print(tally.line(), markup=False)


def _check(
    texts: list[str], pairs: list[str], file: Path | None, output: Path | None, *, explain: bool
) -> None:
    if bool(texts) == (file is not None):
        raise UsageError(
            "there is nothing to predict" if not texts else "--text and --input were given together",
            fix="give --text TEXT (may be repeated), or --input FILE",
        )
    if pairs and len(pairs) != len(texts):
        raise UsageError(
            f"{len(pairs)} --text-pair for {len(texts)} --text", fix="give one --text-pair for each --text"
        )
    if explain and output is not None:
        raise UsageError("--explain is for reading, not for a file", fix="leave out --output or --explain")


async def _predict(
    spec: str,
    settings: Settings,
    rows: Iterator[Row],
    source: RowSource | None,
    sink: RowSink | None,
    told: Console,
) -> Tally:
    opened = await open_model(spec, settings.variant, settings, None, Metrics())
    manifest = opened.bundle.manifest
    decoder = Decoder(
        input_format="json",
        max_event_bytes=settings.max_event_bytes,
        max_text_chars=settings.max_text_chars,
        takes_pair=manifest.takes_pair,
    )
    tally, out = Tally(), explaining_console()
    try:
        with _progress(told, source) as progress:
            bar = progress.add_task("predict", total=source.size if source else None, rows=0)
            while chunk := [*islice(rows, ROWS_AT_ONCE)]:
                for row, found, result in await _judge(opened, decoder, chunk):
                    _count(tally, row, result)
                    if sink is not None:
                        sink.write(_fields(row, found, result))
                    elif found is None:
                        out.print(f"row {row.offset}: {_message(result)}", markup=False)
                    else:
                        reader = InputReader(manifest)
                        out.print(explanation(opened, reader.read([found])[0], result))
                progress.update(bar, completed=source.position if source else None, rows=tally.predicted)
    finally:
        opened.classifier.close()
    return tally


Judged = tuple[Row, Event | None, Prediction | Poison]


async def _judge(opened: OpenModel, decoder: Decoder, rows: list[Row]) -> Iterable[Judged]:
    """What the stream would say of each row."""
    decoded = decoder.decode_all(ROWS_SOURCE, rows)
    events = [item for item in decoded if isinstance(item, Event)]
    inputs = InputReader(opened.bundle.manifest).read(events)
    answers = iter((await opened.classifier.classify(inputs)).results)
    judged: list[Judged] = []
    for row, item in zip(rows, decoded, strict=True):
        if isinstance(item, Event):
            judged.append((row, item, next(answers)))
        else:
            assert isinstance(item, DeadLetter), "a row always has a value"
            judged.append((row, None, Poison(item.reason, item.message)))
    return judged


def _count(tally: Tally, row: Row, result: Prediction | Poison) -> None:
    if isinstance(result, Poison):
        tally.refuse(row.offset, result.reason)
    else:
        tally.predicted += 1


def _fields(row: Row, event: Event | None, result: Prediction | Poison) -> dict[str, Any]:
    fields: dict[str, Any] = {"row": row.offset}
    if row.own_id is not None:
        fields["id"] = row.own_id
    if event is not None:
        fields["text"] = event.text
        if event.text_pair is not None:
            fields["text_pair"] = event.text_pair
    return fields | (result.fields() if isinstance(result, Prediction) else {"error": _message(result)})


def _message(result: Prediction | Poison) -> str:
    assert isinstance(result, Poison)
    return f"{result.reason.value}: {result}"


def _progress(console: Console, source: RowSource | None) -> Progress:
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rows]} rows")]
    long = source is not None and source.size > LONG_WORK_BYTES and console.is_terminal
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not long)
