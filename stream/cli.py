"""The `labelstream` command: finds its subcommands by entry point and turns errors into three lines.

Commands are looked up in the entry-point group `labelstream.commands` and loaded only when they are named,
so the worker starts without the trainer's libraries and the trainer appears without being imported here.
"""

import os
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from stream.errors import LabelstreamError, UsageError

GROUP = "labelstream.commands"
ORDER = [
    "demo",
    "train",
    "export",
    "verify",
    "predict",
    "bundles",
    "worker",
    "topics",
    "produce",
    "tail",
    "doctor",
]
EPILOG = "Start with `labelstream demo`; every command has --help with examples."


class Commands(TyperGroup):
    """A group whose members are entry points, loaded on use."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        names = {found.name for found in entry_points(group=GROUP)}
        return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        for found in entry_points(group=GROUP, name=cmd_name):
            return _load(found)
        return None


def _load(found: EntryPoint) -> Any:
    try:
        loaded = found.load()
    except ModuleNotFoundError as exc:
        missing = exc.name or "a module"
        if missing.startswith(("stream", "trainer")):
            raise

        def unavailable() -> NoReturn:
            raise UsageError(
                f"`labelstream {found.name}` is not installed completely",
                cause=f"the Python module {missing} is missing",
                fix="pip install 'labelstream[trainer]'",
            )

        unavailable.__doc__ = f"(not installed: {missing} is missing)"
        loaded = unavailable
    if not isinstance(loaded, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        single.command(name=found.name, no_args_is_help=False)(loaded)
        loaded = single
    command = typer.main.get_command(loaded)
    command.name = found.name
    return command


app = typer.Typer(
    name="labelstream", cls=Commands, rich_markup_mode="markdown", no_args_is_help=True, epilog=EPILOG
)


@app.callback()
def labelstream(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Fine-tune a text classifier, prove its export, run it on Kafka without losing an event."""


def show_error(error: LabelstreamError) -> None:
    """Print the error, its cause and its fix on standard error, a line each."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text.assemble(("error: ", "bold red"), error.message))
    if error.cause:
        console.print(Text.assemble(("cause: ", "bold"), error.cause))
    if error.fix:
        console.print(Text.assemble(("fix:   ", "bold green"), error.fix))


def main() -> NoReturn:
    """Run the command line and leave with the exit code that the outcome asks for."""
    # Errors leave typer before its context can be asked.
    debug = "--debug" in sys.argv
    try:
        sys.exit(app(standalone_mode=True) or 0)
    except LabelstreamError as exc:
        if debug:
            raise
        show_error(exc)
        code = exc.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # The reader of our output has gone; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as exc:
        if debug:
            raise
        show_error(
            LabelstreamError(
                f"{type(exc).__name__}: {exc}",
                cause="this was not foreseen",
                fix="run again with --debug and report it",
            )
        )
        code = 1
    sys.exit(code)
