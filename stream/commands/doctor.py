"""`labelstream doctor`: check everything that a worker needs, with a fix for each problem."""

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from stream.commands.checks import run_checks
from stream.commands.options import CONNECTION, ROUTING, TOPICS, with_settings
from stream.commands.terminal import table_console
from stream.kafka.connection import silence_client_logs
from stream.settings import Settings

STYLES = {"ok": "green", "warn": "yellow", "skip": "dim", "FAIL": "bold red"}


@with_settings(
    *CONNECTION,
    *TOPICS,
    *ROUTING,
    "group",
    "bundle",
    "bundle_store",
    "require_signature",
    "redis_url",
    "device",
    "variant",
    "delivery",
    "sessions",
    "web_host",
    "web_port",
    "max_event_bytes",
)
def doctor(*, settings: Settings) -> None:
    """Check settings, broker, topics, consumer group, Redis, bundle, device, codec, web port and disk.

    A failed check does not stop the others. The exit code is that of the first failure: 2 settings, 3 bundle,
    4 broker or topics, 7 device. Warnings do not change it.

        labelstream doctor

        labelstream doctor --broker kafka:9092 --bundle support
    """
    silence_client_logs()
    results = run_checks(settings)
    console = table_console()
    table = Table("check", "status", "detail", "fix", box=SIMPLE_HEAD)
    for result in results:
        status = Text(result.status, STYLES[result.status])
        table.add_row(result.check, status, Text(result.detail), Text(result.fix))
    console.print(table)
    if failed := [result for result in results if result.status == "FAIL"]:
        raise typer.Exit(failed[0].exit_code)
