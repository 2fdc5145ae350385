"""The `labelstream` command: loads subcommands from entry points, and prints errors as error, cause and fix.

A subcommand is loaded from the entry-point group `labelstream.commands` only when it is used. The worker
therefore starts without the libraries of the trainer, and this package does not import the trainer.
"""

import copy
import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from stream import __version__
from stream.commands.help import use_whole_names
from stream.errors import LabelstreamError, UsageError, install_hint
from stream.termination import end_process_after

GROUP = "labelstream.commands"
# The time for the threads of libraries, such as uploads to a tracker, after a command has ended.
THREADS_GRACE_S = 15.0
HUNG_THREAD = "a thread of a library did not end, so the process was killed; the command had ended"
ORDER = [
    "demo",
    "train",
    "sweep",
    "augment",
    "export",
    "evaluate",
    "push",
    "verify",
    "predict",
    "bundles",
    "worker",
    "serve",
    "topics",
    "schemas",
    "route",
    "asyncapi",
    "produce",
    "tail",
    "dlq",
    "doctor",
]
# The distributions of inference libraries.
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "openvino")
EPILOG = "Start with `labelstream demo`. Every command has --help with examples."


class Commands(TyperGroup):
    """A command group whose members are entry points, loaded on use."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        names = {found.name for found in entry_points(group=GROUP)}
        return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        for found in entry_points(group=GROUP, name=cmd_name):
            command = _load(found)
            # `main` reads the option from the arguments; the commands' functions have no such parameter.
            debug = copy.copy(next(option for option in self.params if option.name == "debug"))
            debug.expose_value = False
            _accept_debug(command, debug)
            use_whole_names(command)
            return command
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
                f"`labelstream {found.name}` needs packages that are not installed",
                cause=f"the Python module {missing} is missing",
                fix=install_hint("trainer" if found.module.startswith("trainer") else "cpu"),
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


def _accept_debug(command: Any, option: Any) -> None:
    """Add the option --debug to a command and its subcommands, so that it is accepted in any position."""
    command.params.append(option)
    for subcommand in getattr(command, "commands", {}).values():
        _accept_debug(subcommand, option)


app = typer.Typer(
    name="labelstream", cls=Commands, rich_markup_mode="markdown", no_args_is_help=True, epilog=EPILOG
)


def _show_versions(wanted: bool) -> None:
    if not wanted:
        return
    found = [f"labelstream {__version__}", f"Python {platform.python_version()}"]
    for name in RUNTIMES:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    typer.echo(", ".join(found))
    raise typer.Exit


@app.callback()
def labelstream(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_versions,
            is_eager=True,
            help="Show the versions of labelstream, Python and the installed runtimes.",
        ),
    ] = False,
) -> None:
    """Fine-tune a text classifier, verify its ONNX export, and run it on Kafka without losing events."""


def show_error(error: LabelstreamError) -> None:
    """Print an error, its cause and its fix on standard error, one line each."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text.assemble(("error: ", "bold red"), error.message))
    if error.cause:
        console.print(Text.assemble(("cause: ", "bold"), error.cause))
    if error.fix:
        console.print(Text.assemble(("fix: ", "bold green"), error.fix))


def main() -> NoReturn:
    """Run the command line, and exit with the code of its result."""
    # The context of typer, which has the option, is not available for an error of a command.
    debug = "--debug" in sys.argv
    try:
        sys.exit(app(standalone_mode=True) or 0)
    except SystemExit as exc:
        # A message in place of a code ends the process with 1.
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        end_process_after(THREADS_GRACE_S, code, HUNG_THREAD)
        raise
    except LabelstreamError as exc:
        if debug:
            raise
        show_error(exc)
        code = exc.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # The reader of standard output has closed it; without this the interpreter reports an error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as exc:
        if debug:
            raise
        show_error(
            LabelstreamError(
                f"{type(exc).__name__}: {exc}",
                cause="unexpected error",
                fix="run `labelstream --debug ...` again, and report the traceback",
            )
        )
        code = 1
    end_process_after(THREADS_GRACE_S, code, HUNG_THREAD)
    sys.exit(code)
