"""`labelstream schemas`: register or check the schemas of label events in a schema registry."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, get_args

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from stream.commands.options import TOPICS, with_settings
from stream.commands.terminal import table_console
from stream.errors import RegistryError
from stream.observe.logs import configure_logs
from stream.registry import (
    Compatibility,
    RegistryClient,
    SubjectReport,
    check_subjects,
    register_subjects,
)
from stream.settings import Settings
from stream.wording import with_worker_settings

REGISTRY = ("schema_registry_url", "schema_registry_auth_file", "schema_registry_cafile")
SHOWN = (*TOPICS, "output_format", *REGISTRY)
TIMEOUT_S = 10.0

Timeout = Annotated[
    float,
    typer.Option(min=0.001, help="Seconds to wait for a registry that is not available.", metavar="SECONDS"),
]

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="Register or check the schemas of label events in a schema registry.",
)


@app.command()
@with_settings(*SHOWN)
def register(
    *,
    settings: Settings,
    compatibility: Annotated[
        Compatibility,
        typer.Option(
            help=f"Compatibility level of the subjects: {', '.join(get_args(Compatibility))}.",
            metavar="LEVEL",
        ),
    ] = "FORWARD",
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Register the schema of label events for the output topics of the routes.

    The subject of an output topic is TOPIC-value. A schema that is registered already keeps its id. With
    FORWARD, later versions of label.v1, which only gain members, are compatible. The exit code is 4 if a
    subject has an incompatible schema; then nothing is registered.

        labelstream schemas register --schema-registry-url http://registry:8081 --output-format avro

        labelstream schemas register --config labelstream.toml --compatibility FULL
    """
    routes = settings.effective_routes
    _run(settings, timeout_s, lambda client: register_subjects(client, routes, compatibility))


@app.command()
@with_settings(*SHOWN)
def check(*, settings: Settings, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Show for every output topic whether its subject has the schema of label events.

    The exit code is 4 if a subject or the schema is missing, or if the schema is incompatible.

        labelstream schemas check --config labelstream.toml
    """
    _run(settings, timeout_s, lambda client: check_subjects(client, settings.effective_routes))


def _run(
    settings: Settings,
    timeout_s: float,
    work: Callable[[RegistryClient], Awaitable[Sequence[SubjectReport]]],
) -> None:
    """Print the reports of a piece of work.

    Args:
        settings: the address of the registry and the credentials.
        timeout_s: the seconds to wait for a registry that is not available.
        work: asks the registry.

    Raises:
        RegistryError: the registry is not available, or a subject lacks the schema.
        UsageError: the settings name no registry.
    """
    # A warning of the client must not be among the rows of the table on standard output.
    configure_logs("warning", "console")

    async def reports() -> Sequence[SubjectReport]:
        client = RegistryClient(settings.model_copy(update={"retry_deadline_s": timeout_s}))
        try:
            return await work(client)
        finally:
            await client.close()

    found = asyncio.run(reports())
    _print(found)
    if lacking := [report for report in found if report.status != "ok"]:
        raise _lacking(lacking)


def _print(reports: Sequence[SubjectReport]) -> None:
    table = Table("subject", "routes", "format", "id", "compatibility", "status", box=SIMPLE_HEAD)
    for report in reports:
        colour = "green" if report.status == "ok" else "red"
        table.add_row(
            report.subject,
            ", ".join(report.routes),
            report.output_format,
            "-" if report.schema_id is None else str(report.schema_id),
            report.compatibility or "default",
            f"[{colour}]{report.status}[/]",
        )
    table_console().print(table)


def _lacking(reports: Sequence[SubjectReport]) -> RegistryError:
    subjects = ", ".join(report.subject for report in reports)
    if any(report.status == "incompatible" for report in reports):
        return RegistryError(
            f"the schema of label events cannot be registered for {subjects}",
            cause="it is not compatible with the versions of the subject",
            fix="write to another output topic, or delete the subject if no consumer needs it",
        )
    return RegistryError(
        f"the schema of label events is not registered for {subjects}",
        fix=f"register it: {with_worker_settings('labelstream schemas register')}",
    )
