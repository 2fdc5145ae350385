"""`labelstream produce`: send events from a file or a pipe to the input topic."""

import asyncio
import time
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from stream.commands.options import CONNECTION, only_topic, with_settings
from stream.commands.record_reader import FileFormat, RecordReader
from stream.errors import UsageError
from stream.kafka.connection import silence_client_logs
from stream.kafka.sender import Sender
from stream.kafka.topics.wait import find_topics
from stream.records import Headers
from stream.settings import Settings
from stream.wording import count_of


@with_settings(*CONNECTION, "input_topic")
def produce(
    file: Annotated[
        str,
        typer.Argument(help="JSON lines, text lines or .csv; - reads standard input.", metavar="FILE|-"),
    ],
    *,
    settings: Settings,
    topic: Annotated[
        str, typer.Option(help="Topic to use instead of the input topic.", metavar="TOPIC")
    ] = "",
    text: Annotated[bool, typer.Option("--text", help="Read each line as a bare text, not JSON.")] = False,
    text_column: Annotated[
        str, typer.Option(help="CSV column with the text. Default: text.", metavar="NAME")
    ] = "",
    id_column: Annotated[str, typer.Option(help="CSV column with the event's id.", metavar="NAME")] = "",
    key_field: Annotated[
        str, typer.Option(help="JSON field or CSV column with the record's key.", metavar="NAME")
    ] = "",
    header: Annotated[
        list[str] | None,
        typer.Option(help="Header of every record; may be repeated.", metavar="NAME=VALUE"),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Events per second. Default: as fast as possible.")
    ] = None,
) -> None:
    """Send events to the input topic, and wait until the broker has confirmed all of them.

    JSON lines are sent unchanged, even invalid ones, so that you can see how dead letters work.

        labelstream produce events.jsonl

        labelstream produce tickets.csv --text-column message --id-column ticket

        tail -F app.log | labelstream produce - --text --rate 100

        labelstream produce events.jsonl --key-field customer --header source=import
    """
    silence_client_logs()
    file_format = _file_format(
        file, text=text, text_column=text_column, id_column=id_column, key_field=key_field
    )
    headers = _headers(header or [])
    if text and "content-type" not in dict(headers):
        headers.append(("content-type", b"text/plain"))
    with RecordReader(file, file_format) as reader:
        topic = topic or only_topic(route.input_topic for route in settings.effective_routes)
        asyncio.run(_produce(settings, reader, topic, headers, rate))


def _file_format(path: str, *, text: bool, text_column: str, id_column: str, key_field: str) -> FileFormat:
    is_csv = path.endswith(".csv") or bool(text_column or id_column)
    if text and (is_csv or key_field):
        raise UsageError(
            "--text cannot be combined with CSV or --key-field",
            cause="a bare text line has no columns and no fields",
            fix="remove --text, or the other options",
        )
    kind: Literal["json", "text", "csv"] = "text" if text else "csv" if is_csv else "json"
    return FileFormat(kind, text_column or "text", id_column or None, key_field or None)


def _headers(given: list[str]) -> list[tuple[str, bytes]]:
    headers = []
    for entry in given:
        name, equals, value = entry.partition("=")
        if not name or not equals:
            raise UsageError(
                f"--header {entry!r} is not NAME=VALUE", fix="write it like --header source=import"
            )
        headers.append((name, value.encode()))
    return headers


async def _produce(
    settings: Settings, reader: RecordReader, topic: str, headers: Headers, rate: float | None
) -> None:
    await find_topics(settings, [topic])
    sender = Sender(settings, topic, headers)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    started = time.monotonic()
    try:
        await sender.start()
        await _send_all(sender, reader, topic, rate, errors)
        await sender.finish()
    except asyncio.CancelledError:
        await sender.stop()
        errors.print(f"interrupted: {sender.confirmed} of {sender.sent} events are confirmed in {topic}")
        raise
    finally:
        await sender.stop()
    seconds = time.monotonic() - started
    Console(highlight=False, soft_wrap=True).print(
        f"{count_of(sender.confirmed, 'event')} produced to {topic} in {seconds:.2f} s"
        f" ({sender.confirmed / seconds:,.0f}/s)"
    )
    if reader.not_json:
        errors.print(f"events that are not JSON and will become dead letters: {reader.not_json:,}")


async def _send_all(
    sender: Sender, reader: RecordReader, topic: str, rate: float | None, errors: Console
) -> None:
    started = time.monotonic()
    with _progress(errors) as progress:
        bar = progress.add_task(topic, total=reader.size, events=0)
        async for records in reader.batches():
            for record in records:
                await _pace(started, sender.sent, rate)
                await sender.send(record.value, record.key)
            progress.update(bar, completed=reader.position, events=sender.sent)
            # Ctrl-C and deliveries need the event loop, also while no buffer is full.
            await asyncio.sleep(0)


async def _pace(started: float, sent: int, rate: float | None) -> None:
    if rate and (ahead := started + sent / rate - time.monotonic()) > 0:
        await asyncio.sleep(ahead)


def _progress(console: Console) -> Progress:
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[events]} events")]
    return Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    )
