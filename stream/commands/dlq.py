"""`labelstream dlq`: list, show, replay and export dead letters."""

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from stream.commands import dlq_output as out
from stream.commands.dlq_options import RouteName, Topic, find_dead_topic, of_route, with_selection
from stream.commands.options import CONNECTION, with_settings
from stream.dlq.export import encode_line
from stream.dlq.filters import parse_position
from stream.dlq.letters import Position, read_letter
from stream.dlq.replay import DEFAULT_MAX_ATTEMPTS, Outcome
from stream.dlq.replayer import RunCounts
from stream.dlq.run import Found, RunOptions, done_before, replay_file, replay_selected, select
from stream.dlq.scan import open_scan
from stream.dlq.selection import Selection
from stream.errors import BrokerError, UsageError
from stream.kafka.connection import silence_client_logs
from stream.output_files import OutputFile
from stream.settings import Settings
from stream.wording import count_of

# A list is read by people; its summary counts all dead letters.
DEFAULT_LIMIT = 100
MAX_SHOWN = 20

Pending = Annotated[
    bool, typer.Option("--pending", help="Leave out dead letters that were replayed or parked.")
]

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="List, show, replay and export dead letters.",
)


@app.command("list")
@with_settings(*CONNECTION)
@with_selection
def list_letters(
    *,
    settings: Settings,
    selection: Selection,
    topic: Topic = "",
    route: RouteName = "",
    pending: Pending = False,
    limit: Annotated[int, typer.Option(min=0, help="Maximum number of lines; 0 for all.")] = DEFAULT_LIMIT,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines, without keys and values.")] = False,
) -> None:
    """List the dead letters of a topic, and count them by reason.

    The command reads from the beginning to the present end of the topic, joins no consumer group and commits
    nothing. It prints neither keys nor values.

        labelstream dlq list

        labelstream dlq list --reason schema --since 24h

        labelstream dlq list --where customer.tier=gold --pending --limit 0 --json

        labelstream dlq list --config labelstream.toml --route mail
    """
    silence_client_logs()
    dead_topic = find_dead_topic(settings, topic, route)
    selection = of_route(selection, settings, route)
    asyncio.run(_list(settings, dead_topic, selection, pending=pending, limit=limit, json=json))


@app.command()
@with_settings(*CONNECTION)
def show(
    position: Annotated[
        str,
        typer.Argument(help="Position of a dead letter.", metavar="[PARTITION@OFFSET]", show_default=False),
    ] = "",
    *,
    settings: Settings,
    event_id: Annotated[
        str, typer.Option("--id", help="Id of the event, in place of the position.", metavar="ID")
    ] = "",
    topic: Topic = "",
    route: RouteName = "",
    show_text: Annotated[
        bool, typer.Option("--show-text", help="Print key, headers of the producer, and value.")
    ] = False,
) -> None:
    """Show a dead letter: reason, cause, fix, origin, and the form of its value.

    Keys, values and the headers of the producer are masked, because they may hold personal data and secrets.

        labelstream dlq show 3@1041

        labelstream dlq show --id t-1041 --show-text
    """
    silence_client_logs()
    if bool(position) == bool(event_id):
        raise UsageError(
            "choose one dead letter",
            cause="the command needs a position or --id, and not both",
            fix="labelstream dlq show 3@1041, or labelstream dlq show --id t-1041",
        )
    dead_topic = find_dead_topic(settings, topic, route)
    if position:
        asyncio.run(_show_position(settings, dead_topic, parse_position(position), show_text=show_text))
    else:
        asyncio.run(_show_id(settings, dead_topic, event_id, show_text=show_text))


@app.command()
@with_settings(*CONNECTION)
@with_selection
def replay(
    *,
    settings: Settings,
    selection: Selection,
    topic: Topic = "",
    route: RouteName = "",
    to: Annotated[
        str,
        typer.Option(help="Topic of the events. Default: the input topic of each.", metavar="TOPIC"),
    ] = "",
    max_attempts: Annotated[
        int, typer.Option(min=1, help="Park events that were processed so often, with the reason attempts.")
    ] = DEFAULT_MAX_ATTEMPTS,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Events per second. Default: as fast as possible.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also send events that were replayed before.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the outcomes; send nothing.")] = False,
    import_file: Annotated[
        Path | None,
        typer.Option("--import", help="Send the events of a file of dlq export.", metavar="FILE"),
    ] = None,
) -> None:
    """Send the events of dead letters to their input topics again.

    Each event keeps its id, key, value and headers. The broker confirms every event, and the topic
    TOPIC.replayed records it, so an interrupted replay goes on with the same command, and a later replay does
    not send the event again. Correct the cause of the errors first.

        labelstream dlq replay --reason schema --dry-run

        labelstream dlq replay --reason schema --rate 100

        labelstream dlq replay --since 2026-11-30T14:00:00Z --to texts-retry

        labelstream dlq replay --import edited.jsonl
    """
    silence_client_logs()
    if import_file is not None and selection != Selection():
        raise UsageError(
            "--import cannot be combined with a selection",
            cause="all events of the file are sent",
            fix="select when you export, or remove the lines from the file",
        )
    dead_topic = find_dead_topic(settings, topic, route)
    options = RunOptions(dead_topic, max_attempts, to, again, dry_run, rate)
    selection = of_route(selection, settings, route)
    asyncio.run(_replay(settings, selection, options, import_file))


@app.command()
@with_settings(*CONNECTION)
@with_selection
def export(
    file: Annotated[
        Path, typer.Argument(help="JSON lines to write; - for standard output.", metavar="FILE|-")
    ],
    *,
    settings: Settings,
    selection: Selection,
    topic: Topic = "",
    route: RouteName = "",
    pending: Pending = False,
) -> None:
    """Write dead letters to a file of JSON lines, to be edited and sent with `replay --import`.

    The file has the texts, keys and headers of the events. It is complete or absent.

        labelstream dlq export edited.jsonl --reason schema --pending

        labelstream dlq export - --id t-1041
    """
    silence_client_logs()
    dead_topic = find_dead_topic(settings, topic, route)
    selection = of_route(selection, settings, route)
    asyncio.run(_export(settings, dead_topic, selection, file, pending=pending))


async def _list(
    settings: Settings, topic: str, selection: Selection, *, pending: bool, limit: int, json: bool
) -> None:
    console, reasons, shown = out.output(), Counter[str](), 0
    async with open_scan(settings, topic) as scan:
        done = await done_before(settings, scan.extent)
        with out.progress(topic, shown=not sys.stdout.isatty()) as on_progress:
            async for found in select(scan, selection, done, on_progress):
                for entry in found:
                    if pending and entry.done:
                        continue
                    reasons[entry.letter.reason] += 1
                    if limit and shown >= limit:
                        continue
                    if json:
                        out.write_line(out.json_row(entry))
                    else:
                        if not shown:
                            out.print_header(console)
                        out.print_row(console, entry)
                    shown += 1
    sys.stdout.flush()
    out.print_reasons(out.errors() if json else console, topic, reasons, shown)


async def _show_position(settings: Settings, topic: str, position: Position, *, show_text: bool) -> None:
    async with open_scan(settings, topic) as scan:
        partition, offset = position
        done = await done_before(settings, scan.extent)
        async for _, records in scan.records([partition], {partition: offset}):
            if records[0].offset == offset:
                letter = read_letter(partition, records[0])
                found = Found(letter, position in done)
                out.print_letter(out.output(), topic, found, show_text=show_text)
                return
            break
        begin, end = scan.extent.begin.get(partition), scan.extent.end.get(partition)
        raise UsageError(
            f"topic {topic} has no dead letter {position}",
            cause=f"it has {count_of(len(scan.extent.begin), 'partition')}"
            if begin is None
            else f"partition {partition} has the offsets from {begin} to before {end}, with gaps",
            fix="labelstream dlq list shows the positions",
        )


async def _show_id(settings: Settings, topic: str, event_id: str, *, show_text: bool) -> None:
    console, shown = out.output(), 0
    async with open_scan(settings, topic) as scan:
        done = await done_before(settings, scan.extent)
        with out.progress(topic, shown=not sys.stdout.isatty()) as on_progress:
            async for found in select(scan, Selection(ids=frozenset((event_id,))), done, on_progress):
                for entry in found[: MAX_SHOWN - shown]:
                    if shown:
                        console.print()
                    out.print_letter(console, topic, entry, show_text=show_text)
                    shown += 1
    if not shown:
        raise UsageError(
            f"topic {topic} has no dead letter with the id {event_id!r}",
            fix="labelstream dlq list shows the ids",
        )


async def _replay(settings: Settings, selection: Selection, options: RunOptions, file: Path | None) -> None:
    counts, started = RunCounts(), time.monotonic()
    with out.progress(options.dead_topic) as on_progress:
        try:
            if file is None:
                await replay_selected(settings, selection, options, counts, on_progress)
            else:
                await replay_file(settings, file, options, counts, on_progress)
        except BaseException:
            if counts.outcomes or counts.sending:
                seconds = time.monotonic() - started
                console = out.errors()
                out.print_run(console, options.dead_topic, counts, seconds, dry_run=options.dry_run)
                if not options.dry_run:
                    out.print_unfinished(console, counts)
            raise
    seconds = time.monotonic() - started
    out.print_run(out.output(), options.dead_topic, counts, seconds, dry_run=options.dry_run)
    if refused := counts.outcomes[Outcome.REFUSED]:
        raise BrokerError(
            f"events that are larger than their topic takes: {refused:,}",
            cause="they exceed max.message.bytes of the topic",
            fix="raise it (labelstream topics check shows it), and run the command again",
        )


async def _export(settings: Settings, topic: str, selection: Selection, file: Path, *, pending: bool) -> None:
    path = Path("/dev/stdout") if str(file) == "-" else file
    count = 0
    async with open_scan(settings, topic) as scan:
        done = await done_before(settings, scan.extent)
        with out.progress(topic) as on_progress, OutputFile(path) as target:
            async for found in select(scan, selection, done, on_progress):
                lines = [encode_line(topic, f.letter) for f in found if not (pending and f.done)]
                target.write(b"".join(lines))
                count += len(lines)
    out.errors().print(f"{count_of(count, 'dead letter')} of {topic} exported")
