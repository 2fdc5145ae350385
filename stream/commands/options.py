"""Command-line options made from the settings, so that each setting is described once."""

import functools
import inspect
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from stream.errors import UsageError
from stream.routes import RouteOptions
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
# With a template as the output topic, the bundle determines the topics as well.
ROUTING = ("review_topic", "review_below", "unlabelled")
# Routes are a list, which only the file can hold; a password on a command line is visible to all users.
NOT_FLAGS = ("routes", "sasl_password")
ROUTE = tuple(RouteOptions.model_fields)
# The settings of a route that determine its records.
ROUTE_RECORDS = tuple(name for name in ROUTE if name not in ("variant", "delivery"))
EVERY = (*(name for name in Settings.model_fields if name not in (*NOT_FLAGS, *ROUTE)), *ROUTE)
REPEATABLE = ("quarantine",)
# The placeholders of settings, by name or last word; the default is the last word.
METAVARS = {
    "s": "SECONDS",
    "ms": "MS",
    "at": "OFFSET",
    "texts": "BOOL",
    "store": "FOLDER",
    "signature": "FILE",
    "cafile": "FILE",
    "certfile": "FILE",
    "keyfile": "FILE",
    "k": "LABELS",
    "quarantine": "OFFSETS",
    "letter": "ACTION",
    "field": "PATH",
    "label_field": "NAME",
    "fields": "NAME=PATH,...",
    "include": "PATHS",
    "below": "SCORE",
    "unlabelled": "ACTION",
}


def with_settings(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an option for each of these settings, and `--config`, to a command.

    The command receives the loaded `Settings` as its keyword argument `settings`.

    Args:
        names: names of settings.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = [
            p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"
        ]
        # A command that reads no topic, such as predict, has no routes.
        of_route = ROUTE if set(TOPICS) & set(names) else ()
        parameters = [*own, *(_option(name, of_route) for name in names), _config_option()]

        @functools.wraps(command)
        def run(*args: Any, **kwargs: Any) -> Any:
            # An absent flag that can be repeated is an empty list.
            flags = {name: kwargs.pop(name) for name in names}
            return command(*args, settings=load_settings(flags, kwargs.pop("config")), **kwargs)

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        del run.__wrapped__
        return run

    return decorate


def only_topic(topics: Iterable[str]) -> str:
    """Return the topic of the default route, or of all routes if they share it.

    Raises:
        UsageError: the routes have several topics.
    """
    found = list(dict.fromkeys(topics))
    if len(found) > 1:
        raise UsageError(
            "the settings have several routes",
            cause=f"their topics: {', '.join(found)}",
            fix="choose one with --topic",
        )
    return found[0]


def _config_option() -> inspect.Parameter:
    option = typer.Option(help="Settings file, TOML.", metavar="FILE", rich_help_panel="Settings")
    return inspect.Parameter(
        "config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[Path | None, option]
    )


def _option(name: str, of_route: Collection[str]) -> inspect.Parameter:
    last_word = name.rsplit("_", 1)[-1]
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        help=_help(name),
        metavar=METAVARS.get(name) or METAVARS.get(last_word, last_word.upper()),
        rich_help_panel="Settings of a route" if name in of_route else "Settings",
        show_default=False,
    )
    kind = list[str] | None if name in REPEATABLE else str | None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


def _help(name: str) -> str:
    field = Settings.model_fields[name]
    default, text = field.get_default(), field.description or ""
    notes = []
    if get_origin(field.annotation) is Literal:
        notes.append(f"choices: {', '.join(get_args(field.annotation))}")
    if default not in (None, "", (), {}):
        notes.append(f"default: {str(default).lower() if isinstance(default, bool) else default}")
    sentence = f"{text[:1].upper()}{text[1:]}."
    # The backslash keeps Rich from reading the brackets as markup.
    return f"{sentence} \\[{'; '.join(notes)}]" if notes else sentence
