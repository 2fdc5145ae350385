"""`labelstream tail`: print label events or dead letters as they arrive."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Protocol

import typer
from aiokafka.errors import KafkaError
from rich.console import Console

from stream.commands.options import CONNECTION, TOPICS, only_topic, with_settings
from stream.commands.tail_cells import (
    DEAD_COLUMNS,
    LABEL_COLUMNS,
    Columns,
    EnrichedEvents,
    dead_cells,
    header_line,
    label_cells,
    row_line,
)
from stream.errors import BrokerError, UnreadableBatchError, UsageError
from stream.kafka.connection import error_cause, silence_client_logs
from stream.kafka.topic_reader import TopicReader
from stream.kafka.topics.wait import find_topics
from stream.records import Record
from stream.routes import Route
from stream.settings import Settings
from stream.topic_template import fill_template, is_template
from stream.wording import count_of

MAX_WAIT_MS = 100
POLL_MS = 500


@with_settings(*CONNECTION, *TOPICS)
def tail(
    *,
    settings: Settings,
    topic: Annotated[
        str, typer.Option(help="Topic to use instead of the output topic.", metavar="TOPIC")
    ] = "",
    label_field: Annotated[
        str,
        typer.Option(
            help="Member with the label event, for a topic with output=enrich; default: that of the route.",
            metavar="NAME",
        ),
    ] = "",
    dead: Annotated[bool, typer.Option("--dead", help="Print dead letters instead of label events.")] = False,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Start at the oldest record instead of the next one.")
    ] = False,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after this number of records.")] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the records' values unchanged, one per line.")
    ] = False,
) -> None:
    """Print label events as they arrive, until Ctrl-C.

    Only new events are printed; --from-beginning also prints those already in the topic. The command joins no
    consumer group and commits nothing, so it takes no records from other consumers.

        labelstream tail --from-beginning

        labelstream tail --from-beginning --count 10 --json

        labelstream tail --dead --from-beginning

        labelstream tail --topic enriched-tickets --label-field labelstream
    """
    silence_client_logs()
    topic = topic or only_topic(r.dead_topic if dead else r.output_topic for r in settings.effective_routes)
    if is_template(topic):
        raise UsageError(
            "the route has a topic for each label",
            cause=f"output_topic is {topic}",
            fix=f"choose one with --topic, such as {fill_template(topic, 'LABEL')}; labelstream topics check "
            "lists them",
        )
    output: Output
    if json:
        output = RawOutput()
    elif dead:
        output = TableOutput(DEAD_COLUMNS, dead_cells)
    else:
        route = _enriching(settings.effective_routes, topic, label_field)
        enriched = None if route is None else EnrichedEvents(route)
        output = TableOutput(LABEL_COLUMNS, partial(label_cells, enriched=enriched))
    asyncio.run(_tail(settings, topic, output, from_beginning=from_beginning, count=count))


def _enriching(routes: Sequence[Route], topic: str, label_field: str) -> Route | None:
    """Return the route whose enriched events are in a topic; None for label events.

    Args:
        routes: the routes of the settings. A single one also stands for a topic that it does not name.
        topic: the topic.
        label_field: the member with the label event; empty for that of the route.
    """
    of_topic = [r for r in routes if topic in r.output_topics or is_template(r.output_topic)]
    route = next(iter(of_topic or routes if len(routes) == 1 else of_topic), None)
    if label_field:
        return (route or routes[0]).replaced({"output": "enrich", "label_field": label_field})
    return route if route is not None and route.output == "enrich" else None


class Output(Protocol):
    """The form in which records are printed."""

    def start(self) -> None: ...
    def show(self, partition: int, record: Record, /) -> None: ...


class TableOutput:
    """Prints records as lines of cells, below a line of column names."""

    def __init__(self, columns: Columns, cells: Callable[[int, Record], list[str]]) -> None:
        self._columns = columns
        self._cells = cells
        self._console = Console(highlight=False, soft_wrap=True)

    def start(self) -> None:
        """Print the column names."""
        self._console.print(header_line(self._columns))

    def show(self, partition: int, record: Record) -> None:
        """Print a record."""
        self._console.print(row_line(self._columns, self._cells(partition, record)))


class RawOutput:
    """Prints the values of records unchanged, one per line."""

    def start(self) -> None:
        """Print nothing: every line is a value."""

    def show(self, _partition: int, record: Record) -> None:
        """Print a record's value, `null` for a tombstone."""
        sys.stdout.buffer.write((b"null" if record.value is None else record.value) + b"\n")


async def _tail(
    settings: Settings, topic: str, output: Output, *, from_beginning: bool, count: int | None
) -> None:
    partitions = (await find_topics(settings, [topic]))[topic]
    async with _reader(settings, topic, from_beginning=from_beginning) as reader:
        _print_start(topic, partitions, from_beginning=from_beginning)
        output.start()
        seen = 0
        while count is None or seen < count:
            for tp, batch in (await reader.poll(POLL_MS, count and count - seen)).items():
                for record in batch:
                    seen += 1
                    output.show(tp.partition, record)
            sys.stdout.buffer.flush()


@asynccontextmanager
async def _reader(settings: Settings, topic: str, *, from_beginning: bool) -> AsyncIterator[TopicReader]:
    reader = TopicReader(
        settings,
        topic,
        client_id="labelstream-tail",
        auto_offset_reset="earliest" if from_beginning else "latest",
        fetch_max_wait_ms=MAX_WAIT_MS,
    )
    try:
        await reader.start()
        await reader.resolve_positions()
        yield reader
    except UnreadableBatchError as exc:
        fix = "without --from-beginning, tail starts after the records that are in the topic now"
        raise BrokerError(exc.message, cause=exc.cause, fix=fix) from None
    except KafkaError as exc:
        raise BrokerError(
            f"topic {topic} cannot be read",
            cause=error_cause(exc),
            fix="check the broker and the topics: labelstream doctor",
        ) from exc
    finally:
        await reader.stop()


def _print_start(topic: str, partitions: int, *, from_beginning: bool) -> None:
    hint = (
        "from the beginning; Ctrl-C stops"
        if from_beginning
        else "from the end: waiting for new records; --from-beginning prints earlier ones too"
    )
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"{topic}: {count_of(partitions, 'partition')}, {hint}"
    )
