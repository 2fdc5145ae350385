"""Turns settings into command-line options, so that a setting is described once."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from stream.settings import Settings, load_settings

CONNECTION = (
    "broker",
    "security_protocol",
    "sasl_mechanism",
    "sasl_username",
    "sasl_password_file",
    "ssl_cafile",
    "ssl_certfile",
    "ssl_keyfile",
)
TOPICS = ("input_topic", "output_topic", "dead_topic")
# Lists live in the file; a password on a command line is seen by every user of the machine.
NOT_FLAGS = ("routes", "sasl_password")
EVERY = tuple(name for name in Settings.model_fields if name not in NOT_FLAGS)


def with_settings(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command an option for each of these settings, and `--config`.

    The command receives the loaded `Settings` as its keyword argument `settings`.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = [
            p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"
        ]
        options = [_option(name) for name in names]
        config = inspect.Parameter(
            "config",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                Path | None,
                typer.Option(help="Settings file, TOML.", metavar="FILE", rich_help_panel="Settings"),
            ],
        )

        @functools.wraps(command)
        def run(*args: Any, **kwargs: Any) -> Any:
            flags = {name: kwargs.pop(name) for name in names}
            return command(*args, settings=load_settings(flags, kwargs.pop("config")), **kwargs)

        parameters = [*own, *options, config]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        del run.__wrapped__
        return run

    return decorate


def _option(name: str) -> inspect.Parameter:
    field = Settings.model_fields[name]
    default = field.get_default()
    shown = "" if default in (None, "", ()) else f" [default: {default}]"
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        help=f"{field.description}{shown}".replace("[default", "\\[default"),
        metavar=name.rsplit("_", 1)[-1].upper(),
        rich_help_panel="Settings",
        show_default=False,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )
