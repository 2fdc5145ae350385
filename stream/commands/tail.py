"""`labelstream tail`: label events, or dead letters, as they arrive."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
import typer
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.text import Text

from stream.commands.options import CONNECTION, TOPICS, with_settings
from stream.errors import BrokerError, UsageError
from stream.kafka.connection import client_options, error_cause, silence_client_logs
from stream.kafka.topics.cluster import find_topics
from stream.settings import Settings

MAX_WAIT_MS = 100
POLL_MS = 500
LABEL_COLUMNS = (
    ("time", 12),
    ("id", 24),
    ("label", 28),
    ("score", 8),
    ("cached", 6),
    ("partition@offset", 16),
)
DEAD_COLUMNS = (("time", 12), ("id", 24), ("reason", 10), ("from", 28), ("message", 48))
MISSING = "-"


@with_settings(*CONNECTION, *TOPICS)
def tail(
    *,
    settings: Settings,
    topic: Annotated[str, typer.Option(help="Another topic than the output topic.", metavar="TOPIC")] = "",
    dead: Annotated[bool, typer.Option("--dead", help="Follow the dead letters instead.")] = False,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Start with the oldest record, not with the next.")
    ] = False,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the values as they are, a line each.")] = False,
) -> None:
    """Follow the label events, from now on or from the beginning; Ctrl-C ends it.

    Joins no consumer group and commits nothing, so it never takes records from anybody.

        labelstream tail

        labelstream tail --from-beginning --count 10 --json

        labelstream tail --dead --from-beginning
    """
    silence_client_logs()
    asyncio.run(_tail(settings, topic or _topic(settings, dead=dead), dead, from_beginning, count, raw=json))


def _topic(settings: Settings, *, dead: bool) -> str:
    topics = dict.fromkeys(r.dead_topic if dead else r.output_topic for r in settings.effective_routes)
    if len(topics) > 1:
        raise UsageError(
            "the settings have several routes",
            cause=f"their topics: {', '.join(topics)}",
            fix="say which with --topic",
        )
    return next(iter(topics))


async def _tail(
    settings: Settings, topic: str, dead: bool, from_beginning: bool, count: int | None, *, raw: bool
) -> None:
    partitions = (await find_topics(settings, [topic]))[topic]
    columns = DEAD_COLUMNS if dead else LABEL_COLUMNS
    out = Console(highlight=False, soft_wrap=True)
    consumer = AIOKafkaConsumer(
        topic,
        **client_options(settings),
        client_id="labelstream-tail",
        auto_offset_reset="earliest" if from_beginning else "latest",
        fetch_max_wait_ms=MAX_WAIT_MS,
        isolation_level="read_committed",
    )
    try:
        await consumer.start()
        # Asking for the positions settles them: whatever is sent after the next line is seen.
        for partition in consumer.assignment():
            await consumer.position(partition)
        where = "the beginning" if from_beginning else "the end"
        Console(stderr=True, highlight=False).print(f"{topic}: {partitions} partitions, from {where}")
        if not raw:
            out.print(_line(columns, [name for name, _ in columns], "bold"))
        seen = 0
        while count is None or seen < count:
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=count and count - seen)
            for record in (record for batch in batches.values() for record in batch):
                seen += 1
                if raw:
                    sys.stdout.buffer.write((b"null" if record.value is None else record.value) + b"\n")
                else:
                    out.print(_line(columns, dead_cells(record) if dead else label_cells(record)))
            sys.stdout.buffer.flush()
    except KafkaError as exc:
        raise BrokerError(
            f"{topic} cannot be read",
            cause=error_cause(exc),
            fix="labelstream doctor checks broker and topics",
        ) from exc
    finally:
        await consumer.stop()


def label_cells(record: "ConsumerRecord[bytes, bytes]") -> list[str]:
    """time, id, what is said, score, cached, partition@offset of a label event; dashes for what it lacks."""
    try:
        event = orjson.loads(record.value) if record.value is not None else {"label": "(tombstone)"}
    except orjson.JSONDecodeError:
        event = {"label": "(not JSON)"}
    if not isinstance(event, dict):
        event = {"label": "(not a label event)"}
    score, cached = event.get("score"), event.get("cached")
    source = event.get("source")
    at = source if isinstance(source, dict) else {"partition": record.partition, "offset": record.offset}
    return [
        _time(record),
        str(event.get("id") or _header(record, "labelstream-id")),
        said(event),
        f"{score:.4f}" if isinstance(score, float | int) else MISSING,
        {True: "yes", False: "no"}.get(cached, MISSING) if isinstance(cached, bool) else MISSING,
        f"{at.get('partition', MISSING)}@{at.get('offset', MISSING)}",
    ]


def said(event: dict[str, Any]) -> str:
    """What a label event says, in a cell: its label or labels, its value, or its spans' types and texts."""
    if event.get("abstained"):
        return "(abstained)"
    spans = event.get("spans")
    if isinstance(spans, list):
        named = (f"{s.get('type')}: {s.get('text')}" for s in spans if isinstance(s, dict))
        return "; ".join(named) or "(no spans)"
    labels = event.get("labels")
    if isinstance(labels, list):
        return ", ".join(map(str, labels)) or "(no label)"
    return str(event.get("label", event.get("value", MISSING)))


def dead_cells(record: "ConsumerRecord[bytes, bytes]") -> list[str]:
    """time, id, reason, origin and message of a dead letter, from its headers."""
    origin = [_header(record, f"labelstream-error-{name}") for name in ("topic", "partition", "offset")]
    return [
        _time(record),
        _header(record, "labelstream-id"),
        _header(record, "labelstream-error-reason"),
        f"{origin[0]} {origin[1]}@{origin[2]}",
        _header(record, "labelstream-error-message"),
    ]


def _header(record: "ConsumerRecord[bytes, bytes]", name: str) -> str:
    found: bytes | None = dict(record.headers).get(name)
    return MISSING if found is None else found.decode(errors="replace")


def _time(record: "ConsumerRecord[bytes, bytes]") -> str:
    return datetime.fromtimestamp(record.timestamp / 1000).astimezone().strftime("%H:%M:%S.%f")[:12]


def _line(columns: Sequence[tuple[str, int]], cells: Sequence[Any], style: str = "") -> Text:
    padded = (cell.ljust(width) for (_, width), cell in zip(columns, map(_printable, cells), strict=True))
    return Text("  ".join(padded).rstrip(), style=style)


def _printable(cell: str) -> str:
    # Ids and messages come from outside; an escape sequence in them must not reach the terminal.
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in cell)
