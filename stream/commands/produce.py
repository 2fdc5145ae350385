"""`labelstream produce`: events from a file or a pipe into the input topic."""

import asyncio
import time
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from stream.commands.event_source import EventSource, Form
from stream.commands.options import CONNECTION, with_settings
from stream.errors import UsageError
from stream.kafka.connection import silence_client_logs
from stream.kafka.sender import Headers, Sender
from stream.kafka.topics.cluster import find_topics
from stream.settings import Settings


@with_settings(*CONNECTION, "input_topic")
def produce(
    file: Annotated[
        str, typer.Argument(help="JSON lines, text lines or .csv; - reads a pipe.", metavar="FILE|-")
    ],
    *,
    settings: Settings,
    topic: Annotated[str, typer.Option(help="Another topic than the input topic.", metavar="TOPIC")] = "",
    text: Annotated[bool, typer.Option("--text", help="Each line is a bare text, not JSON.")] = False,
    text_column: Annotated[
        str, typer.Option(help="CSV column of the text. Default: text.", metavar="NAME")
    ] = "",
    id_column: Annotated[str, typer.Option(help="CSV column of the event's id.", metavar="NAME")] = "",
    key_field: Annotated[
        str, typer.Option(help="JSON field or CSV column that becomes the record's key.", metavar="NAME")
    ] = "",
    header: Annotated[
        list[str] | None, typer.Option(help="Header of every record; may be repeated.", metavar="K=V")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Events a second. Default: as fast as possible.")
    ] = None,
) -> None:
    """Send events to the input topic and wait until the broker has confirmed each of them.

    JSON lines are sent as they stand, even when they are broken, so that dead letters can be tried out.

        labelstream produce events.jsonl

        labelstream produce tickets.csv --text-column message --id-column ticket

        tail -F app.log | labelstream produce - --text --rate 100

        labelstream produce events.jsonl --key-field customer --header source=import
    """
    silence_client_logs()
    form = _form(file, text=text, text_column=text_column, id_column=id_column, key_field=key_field)
    headers = _headers(header or [])
    if text and "content-type" not in dict(headers):
        headers.append(("content-type", b"text/plain"))
    with EventSource(file, form) as source:
        asyncio.run(_produce(settings, source, topic or _input_topic(settings), headers, rate))


def _form(path: str, *, text: bool, text_column: str, id_column: str, key_field: str) -> Form:
    is_csv = path.endswith(".csv") or bool(text_column or id_column)
    if text and (is_csv or key_field):
        raise UsageError(
            "--text goes with neither CSV nor --key-field",
            cause="a bare text line has no columns and no fields",
            fix="leave out --text, or the other flags",
        )
    kind: Literal["json", "text", "csv"] = "text" if text else "csv" if is_csv else "json"
    return Form(kind, text_column or "text", id_column or None, key_field or None)


def _headers(given: list[str]) -> Headers:
    headers = []
    for entry in given:
        name, equals, value = entry.partition("=")
        if not name or not equals:
            raise UsageError(
                f"--header {entry!r} is not name=value", fix="write it like --header source=import"
            )
        headers.append((name, value.encode()))
    return headers


def _input_topic(settings: Settings) -> str:
    if len(settings.effective_routes) > 1:
        raise UsageError(
            "the settings have several routes",
            cause=f"input topics: {', '.join(route.input_topic for route in settings.effective_routes)}",
            fix="say which with --topic",
        )
    return settings.effective_routes[0].input_topic


async def _produce(
    settings: Settings, source: EventSource, topic: str, headers: Headers, rate: float | None
) -> None:
    await find_topics(settings, [topic])
    sender = Sender(settings, topic, headers)
    told = Console(stderr=True, highlight=False, soft_wrap=True)
    started = time.monotonic()
    try:
        await sender.start()
        with _progress(told) as progress:
            bar = progress.add_task(topic, total=source.size, events=0)
            async for events in source.events():
                for event in events:
                    await _pace(started, sender.sent, rate)
                    await sender.send(event.value, event.key)
                progress.update(bar, completed=source.position, events=sender.sent)
                # Gives Ctrl-C and the deliveries their turn where no buffer was full.
                await asyncio.sleep(0)
        await sender.finish()
    except asyncio.CancelledError:
        await sender.stop()
        told.print(f"interrupted: {sender.confirmed} of {sender.sent} events are confirmed in {topic}")
        raise
    finally:
        await sender.stop()
    seconds = time.monotonic() - started
    Console(highlight=False, soft_wrap=True).print(
        f"{sender.confirmed} events produced to {topic} in {seconds:.2f} s"
        f" ({sender.confirmed / seconds:,.0f}/s)"
    )
    if source.not_json:
        told.print(f"{source.not_json} of them are not JSON: sent as they are, to become dead letters")


async def _pace(started: float, sent: int, rate: float | None) -> None:
    if rate and (ahead := started + sent / rate - time.monotonic()) > 0:
        await asyncio.sleep(ahead)


def _progress(console: Console) -> Progress:
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[events]} events")]
    return Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    )
