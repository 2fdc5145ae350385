"""`labelstream topics`: create or check the topics of the routes."""

import asyncio
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stream.commands.options import CONNECTION, ROUTING, TOPICS, with_settings
from stream.commands.terminal import table_console
from stream.kafka.connection import silence_client_logs
from stream.kafka.topics.check import TopicReport, check_topics
from stream.kafka.topics.setup import MAX_BYTES, RETENTION_MS, create_topics
from stream.kafka.topics.wait import missing_topics
from stream.resolved_routes import resolve_routes
from stream.settings import Settings
from stream.wording import count_of

# A bundle is read only if the output topic is a template.
BUNDLE = ("bundle", "bundle_store")

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="Create or check the topics of the routes.",
)


@app.command()
@with_settings(*CONNECTION, *TOPICS, *ROUTING, *BUNDLE, "max_event_bytes")
def create(
    *,
    settings: Settings,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of a new input topic.")] = 6,
    replication_factor: Annotated[
        int | None,
        typer.Option(min=1, help="Replicas per partition. Default: 3, or the number of brokers if lower."),
    ] = None,
    retention_hours: Annotated[
        float | None,
        typer.Option(min=0.01, help="Retention of the new topics. Default: that of the broker."),
    ] = None,
) -> None:
    """Create the missing topics of every route: input, output, review and dead letters.

    Output, review and dead-letter topics get as many partitions as their input topic. Existing topics are not
    changed. If the output topic is a template, the labels of the bundle determine its topics.

        labelstream topics create

        labelstream topics create --partitions 12 --replication-factor 3 --retention-hours 168

        labelstream topics create --input-topic mails --output-topic mail-labels

        labelstream topics create --output-topic labels.{label} --bundle support
    """
    silence_client_logs()
    created = asyncio.run(
        create_topics(
            resolve_routes(settings),
            partitions=partitions,
            replication=replication_factor,
            retention_hours=retention_hours,
        )
    )
    console = Console(soft_wrap=True, highlight=False)
    for name, count in created.kept.items():
        console.print(f"exists   {name}  {count_of(count, 'partition')}", markup=False)
    for name, count in created.new.items():
        console.print(f"created  {name}  {count_of(count, 'partition')}", markup=False)
    if created.by_name:
        console.print(
            "This development broker creates a topic when a client asks for it by name, with partitions and "
            "settings of its own.",
            markup=False,
        )


@app.command()
@with_settings(*CONNECTION, *TOPICS, *ROUTING, *BUNDLE, "max_event_bytes")
def check(*, settings: Settings) -> None:
    """Show the settings of the routes' topics. The exit code is 4 when a topic is missing.

    labelstream topics check

    labelstream topics check --broker kafka-1:9092,kafka-2:9092
    """
    silence_client_logs()
    settings = resolve_routes(settings)
    reports = asyncio.run(check_topics(settings))
    console = table_console()
    table = Table(
        "topic", "role", "partitions", "replication", "retention", MAX_BYTES, "status", box=SIMPLE_HEAD
    )
    for report in reports:
        table.add_row(*_row(report))
    console.print(table)
    for report in reports:
        for warning, fix in report.warnings:
            console.print(f"{report.name}: {warning}\n  fix: {fix}", markup=False, soft_wrap=True)
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


def _retention(milliseconds: str | None) -> str:
    if not milliseconds:
        return "-"
    return "unlimited" if int(milliseconds) < 0 else f"{int(milliseconds) / 3_600_000:g} h"
