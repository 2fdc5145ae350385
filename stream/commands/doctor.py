"""`labelstream doctor`: checks everything that a worker needs, and says the fix for what is wrong."""

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from stream.commands.checks import examine
from stream.commands.options import CONNECTION, TOPICS, with_settings
from stream.commands.topics import table_console
from stream.kafka.connection import silence_client_logs
from stream.settings import Settings

STYLES = {"ok": "green", "warn": "yellow", "skip": "dim", "FAIL": "bold red"}


@with_settings(
    *CONNECTION,
    *TOPICS,
    "bundle",
    "bundle_store",
    "redis_url",
    "device",
    "variant",
    "sessions",
    "web_host",
    "web_port",
    "max_event_bytes",
)
def doctor(*, settings: Settings) -> None:
    """Check settings, broker, topics, Redis, bundle, device, codec, web port and disk.

    Every check runs, whatever became of the one before it. The exit code is that of the first that failed:
    2 settings, 3 bundle, 4 broker or topics, 7 device; a warning does not count.

        labelstream doctor

        labelstream doctor --broker kafka:9092 --bundle support
    """
    silence_client_logs()
    found = examine(settings)
    console = table_console()
    table = Table("check", "verdict", "detail", "fix", box=SIMPLE_HEAD)
    for finding in found:
        verdict = Text(finding.verdict, STYLES[finding.verdict])
        table.add_row(finding.check, verdict, Text(finding.detail), Text(finding.fix))
    console.print(table)
    if failed := [finding for finding in found if finding.verdict == "FAIL"]:
        raise typer.Exit(failed[0].exit_code)
