"""The help of commands in a narrow terminal: whole names of options, and all else in their descriptions."""

import copy
from functools import partial
from typing import Any


def use_whole_names(command: Any) -> None:
    """Make the help of a command and its subcommands fit a terminal of 80 columns without cut names.

    Typer shows all spellings of an option in one cell of a table, and its range in another one, and cuts
    cells that do not fit. With this function these cells have the main spelling and the type; the description
    lists the range and the other spellings.
    """
    if getattr(command, "rich_markup_mode", None) is not None:
        command.format_help = partial(_format_help, command)
    for subcommand in getattr(command, "commands", {}).values():
        use_whole_names(subcommand)


def _format_help(command: Any, ctx: Any, _formatter: Any) -> None:
    # Only the help needs this module of typer.
    from typer.rich_utils import rich_format_help

    shown = copy.copy(command)
    shown.params = [_narrow(param) for param in command.params]
    rich_format_help(obj=shown, ctx=ctx, markup_mode=command.rich_markup_mode)


def _narrow(param: Any) -> Any:
    """Return a copy of an option with one long name and without a range; an argument is not modified."""
    if not any(name.startswith("-") for name in param.opts):
        return param
    shown = copy.copy(param)
    names = [name for name in param.opts if name.startswith("--")]
    shown.opts = [name for name in param.opts if name not in names[1:]]
    least, most = getattr(param, "min", None), getattr(param, "max", None)
    notes = [param.help or ""]
    if least is not None or most is not None:
        shown.min = shown.max = None
        shown.metavar = param.metavar or f"<{param.type_descriptor.ranged_type_name}>"
        notes.append(_range(least, most))
    if len(names) > 1:
        notes.append(f"Also: {', '.join(names[1:])}.")
    shown.help = " ".join(filter(None, notes))
    return shown


def _range(least: float | None, most: float | None) -> str:
    if least is None:
        return f"At most {most:g}."
    return f"At least {least:g}." if most is None else f"From {least:g} to {most:.15g}."
