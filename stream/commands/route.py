"""`labelstream route`: try the settings of a route on sample events."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stream.codec import ReadRecord
from stream.commands.options import ROUTE_RECORDS, TOPICS, with_settings
from stream.commands.terminal import table_console
from stream.commands.tried_events import TriedEvent
from stream.errors import UsageError
from stream.records import DeadLetter, Decoder, Headers, Source
from stream.routes import Route
from stream.settings import Settings
from stream.short_names import printable
from stream.wording import count_of

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="Try the settings of a route on sample events.",
)
READING = (*ROUTE_RECORDS, *TOPICS, "max_event_bytes", "max_text_chars")
COLUMNS = (
    "line",
    "id",
    "text",
    "text_pair",
    "time",
    "metadata",
    "included",
    "not_found",
    "reason",
    "message",
)
SHOWN_CHARS = 200


@app.callback()
def _group() -> None:
    """Try the settings of a route on sample events."""


@app.command("try")
@with_settings(*READING)
def try_events(
    file: Annotated[str, typer.Argument(help="File with an event per line, or - for standard input.")],
    *,
    settings: Settings,
    route: Annotated[
        str, typer.Option(help="Name of the route, if the settings file has several.", metavar="NAME")
    ] = "",
    header: Annotated[
        list[str] | None,
        typer.Option(help="Header of every record: NAME=VALUE; repeatable.", metavar="NAME=VALUE"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object per event.")] = False,
) -> None:
    """Show what a worker reads from sample events, before anything runs.

    Each line of the file is the value of a record. The command needs no broker and no bundle. With
    --text-pair-field it reads a second text, as for a bundle that compares two texts. Events of the input
    formats avro, json-schema and protobuf are given as the JSON of their fields. `not found` lists the paths
    of the settings that an event does not have; such an event is labelled without them.

        labelstream route try events.jsonl --text-field data.message.text --id-field data.id

        labelstream route try events.jsonl --text-template '{subject}: {body}' --json

        labelstream route try events.jsonl --config labelstream.toml --route tickets

        labelstream route try events.jsonl --header content-type=application/cloudevents+json
    """
    chosen = _route(settings, route)
    decoder = Decoder(
        chosen,
        max_event_bytes=settings.max_event_bytes,
        max_text_chars=settings.max_text_chars,
        takes_pair=bool(chosen.text_pair_field),
    )
    tried = list(_try(decoder, chosen, file, _headers(header or [])))
    if json:
        for event in tried:
            sys.stdout.buffer.write(orjson.dumps(event.fields(), default=str) + b"\n")
        sys.stdout.buffer.flush()
    elif tried:
        _print(tried)
    dead = sum(isinstance(event.decoded, DeadLetter) for event in tried)
    summary = f"{count_of(len(tried) - dead, 'event')} can be labelled, {count_of(dead, 'dead letter')}"
    if chosen.output == "enrich":
        summary += f"; each output is the event with the member {chosen.label_field} added"
    Console(stderr=True, highlight=False, soft_wrap=True).print(summary)


def _route(settings: Settings, name: str) -> Route:
    routes = {route.name: route for route in settings.effective_routes}
    if not name and len(routes) == 1:
        return next(iter(routes.values()))
    if name in routes:
        return routes[name]
    raise UsageError(
        f"unknown route: {name}" if name else "the settings have several routes",
        cause=f"the routes are {', '.join(routes)}",
        fix="name one with --route",
    )


def _headers(given: list[str]) -> Headers:
    headers = []
    for item in given:
        name, equals, value = item.partition("=")
        if not (name and equals):
            raise UsageError(
                f"--header {item} is not NAME=VALUE",
                fix="write --header content-type=text/plain, for instance",
            )
        headers.append((name, value.encode()))
    return headers


def _try(decoder: Decoder, route: Route, file: str, headers: Headers) -> Iterator[TriedEvent]:
    """Yield each line that is not blank, and what is read from it.

    Raises:
        UsageError: the file cannot be read.
    """
    source = Source(route.input_topic, 0)
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if value := line.rstrip(b"\r\n"):
                    record = ReadRecord(None, value, headers, number, 0)
                    (decoded,) = decoder.decode_all(source, [record])
                    yield TriedEvent(number, decoded, route)
    except OSError as exc:
        raise UsageError(
            f"cannot read {file}",
            cause=exc.strerror or str(exc),
            fix="name an existing file, or - for standard input",
        ) from None


def _print(tried: list[TriedEvent]) -> None:
    rows = [event.fields() for event in tried]
    columns = [name for name in COLUMNS if any(name in row for row in rows)]
    table = Table(*(name.replace("_found", " found") for name in columns), box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in columns))
    table_console().print(table, markup=False)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        value = "; ".join(value)
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    shown = text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
    return printable(shown.replace("\n", "⏎"))
