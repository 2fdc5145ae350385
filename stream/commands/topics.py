"""`labelstream topics`: make the topics of the routes, or check how they are set up."""

import asyncio
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stream.commands.options import CONNECTION, TOPICS, with_settings
from stream.kafka.connection import silence_client_logs
from stream.kafka.topics.check import TopicReport, check_topics
from stream.kafka.topics.cluster import missing_topics
from stream.kafka.topics.setup import MAX_BYTES, RETENTION_MS, create_topics
from stream.settings import Settings

# A cell stays on one line where no terminal sets the limit, so that the output can be searched.
PIPE_COLUMNS = 1000

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="Make the topics of the routes, or check how they are set up.",
)


@app.command()
@with_settings(*CONNECTION, *TOPICS, "max_event_bytes")
def create(
    *,
    settings: Settings,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of a new input topic.")] = 6,
    replication_factor: Annotated[
        int | None,
        typer.Option(min=1, help="Copies of each partition. Default: 3, or one a broker below that."),
    ] = None,
    retention_hours: Annotated[
        float | None,
        typer.Option(min=0.01, help="How long the new topics keep records. Default: what the broker says."),
    ] = None,
) -> None:
    """Create the topics that are missing: input, output and dead letters of every route.

    Output and dead letters get as many partitions as their input. Topics that exist are not touched.

        labelstream topics create

        labelstream topics create --partitions 12 --replication-factor 3 --retention-hours 168

        labelstream topics create --input-topic mails --output-topic mail-labels
    """
    silence_client_logs()
    made = asyncio.run(
        create_topics(
            settings,
            partitions=partitions,
            replication=replication_factor,
            retention_hours=retention_hours,
        )
    )
    console = Console(soft_wrap=True, highlight=False)
    for name, count in made.kept.items():
        console.print(f"exists   {name}  {count} partitions", markup=False)
    for name, count in made.new.items():
        console.print(f"created  {name}  {count} partitions", markup=False)
    if made.by_name:
        console.print(
            "This broker takes no requests to create topics (a development broker), so it was asked for each "
            "by name: partitions and settings are its own.",
            markup=False,
        )


@app.command()
@with_settings(*CONNECTION, *TOPICS, "max_event_bytes")
def check(*, settings: Settings) -> None:
    """Show how the topics of the routes are set up. Exit code 4 when one is missing.

    labelstream topics check

    labelstream topics check --broker kafka-1:9092,kafka-2:9092
    """
    silence_client_logs()
    reports = asyncio.run(check_topics(settings))
    console = table_console()
    table = Table(
        "topic", "role", "partitions", "replication", "retention", MAX_BYTES, "verdict", box=SIMPLE_HEAD
    )
    for report in reports:
        table.add_row(*_row(report))
    console.print(table)
    for report in reports:
        for wrong, fix in report.warnings:
            console.print(f"{report.name}: {wrong}\n  fix: {fix}", markup=False, soft_wrap=True)
    if missing := [report.name for report in reports if report.shape is None]:
        raise missing_topics(missing, settings)


def _row(report: TopicReport) -> tuple[str, ...]:
    if report.shape is None:
        return report.name, report.role, "-", "-", "-", "-", "[red]missing[/]"
    return (
        report.name,
        report.role,
        str(report.shape.partitions),
        str(report.shape.replication),
        _retention(report.configs.get(RETENTION_MS)),
        report.configs.get(MAX_BYTES) or "-",
        "[yellow]warn[/]" if report.warnings else "[green]ok[/]",
    )


def _retention(told: str | None) -> str:
    if not told:
        return "-"
    return "for ever" if int(told) < 0 else f"{int(told) / 3_600_000:g} h"


def table_console() -> Console:
    """A console for tables that keeps them whole in a file or a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_COLUMNS)
