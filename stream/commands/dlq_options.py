"""The options of `labelstream dlq` that select a topic and dead letters."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import typer

from stream.commands.options import only_topic
from stream.dlq.filters import parse_condition, parse_position, parse_time
from stream.dlq.selection import Selection
from stream.errors import Reason, UsageError
from stream.routes import Route
from stream.settings import Settings

PANEL = "Selection"

Topic = Annotated[
    str,
    typer.Option(help="Dead-letter topic. Default: that of the route.", metavar="TOPIC", show_default=False),
]
RouteName = Annotated[
    str,
    typer.Option(
        help="Only the dead letters of this route of the settings file.", metavar="NAME", show_default=False
    ),
]


def _selection_options(
    reason: Annotated[
        list[str] | None,
        typer.Option(
            help="Reason, such as schema; may be repeated.", metavar="REASON", rich_help_panel=PANEL
        ),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            help="Earliest time of the event: 2026-11-30T14:00:00Z, or a duration before now such as 12h.",
            metavar="TIME",
            show_default=False,
            rich_help_panel=PANEL,
        ),
    ] = "",
    until: Annotated[
        str,
        typer.Option(
            help="Time before which the event has to be, in the same forms.",
            metavar="TIME",
            show_default=False,
            rich_help_panel=PANEL,
        ),
    ] = "",
    partition: Annotated[
        list[int] | None,
        typer.Option(
            min=0,
            help="Partition of the dead-letter topic; may be repeated.",
            metavar="NUMBER",
            rich_help_panel=PANEL,
        ),
    ] = None,
    event_id: Annotated[
        list[str] | None,
        typer.Option("--id", help="Id of the event; may be repeated.", metavar="ID", rich_help_panel=PANEL),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            help="Position in the dead-letter topic; may be repeated.",
            metavar="PARTITION@OFFSET",
            rich_help_panel=PANEL,
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="Field of the original JSON: PATH=VALUE, PATH!=VALUE, or PATH if it only has to exist; "
            "may be repeated.",
            metavar="CONDITION",
            rich_help_panel=PANEL,
        ),
    ] = None,
) -> Selection:
    """Return the selection of these options.

    Raises:
        UsageError: an option is invalid.
    """
    if unknown := [name for name in reason or () if name not in [*Reason]]:
        raise UsageError(
            f"--reason {unknown[0]!r} is not a reason",
            cause=f"the reasons are {', '.join(Reason)}",
            fix="choose one of these; labelstream dlq list counts those in the topic",
        )
    now = datetime.now().astimezone()
    return Selection(
        reasons=frozenset(reason or ()),
        partitions=frozenset(partition or ()),
        ids=frozenset(event_id or ()),
        positions=frozenset(map(parse_position, at or ())),
        since=parse_time(since, "--since", now) if since else None,
        until=parse_time(until, "--until", now) if until else None,
        where=tuple(map(parse_condition, where or ())),
    )


def with_selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select dead letters to a command, which receives them as `selection`."""
    own = inspect.signature(command, eval_str=True).parameters.values()
    added = inspect.signature(_selection_options, eval_str=True).parameters.values()
    keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in added]

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        options = {p.name: kwargs.pop(p.name) for p in keyword_only}
        return command(*args, selection=_selection_options(**options), **kwargs)

    parameters = [*(p for p in own if p.name != "selection"), *keyword_only]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    del run.__wrapped__
    return run


def find_dead_topic(settings: Settings, topic: str, route: str) -> str:
    """Return the dead-letter topic that the options name.

    Args:
        settings: the routes.
        topic: the topic; empty for that of a route.
        route: the name of the route; empty for all.

    Raises:
        UsageError: there is no such route, or there are several with different dead-letter topics.
    """
    return topic or only_topic(found.dead_topic for found in _routes(settings, route))


def of_route(selection: Selection, settings: Settings, route: str) -> Selection:
    """Return a selection of the dead letters of one route, which may share its dead-letter topic with others.

    Args:
        selection: the other conditions.
        settings: the routes.
        route: the name of the route; empty for all.

    Raises:
        UsageError: there is no such route.
    """
    if not route:
        return selection
    return replace(selection, input_topics=frozenset(r.input_topic for r in _routes(settings, route)))


def _routes(settings: Settings, name: str) -> Sequence[Route]:
    routes = settings.effective_routes
    found = [route for route in routes if name in ("", route.name)]
    if not found:
        raise UsageError(
            f"the settings have no route {name!r}",
            cause=f"their routes: {', '.join(route.name for route in routes)}",
            fix="choose one of these with --route, or a topic with --topic",
        )
    return found
