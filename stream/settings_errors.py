"""Errors of settings: unknown names, invalid values, and files that cannot be read."""

import difflib
import tomllib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from stream.errors import UsageError

ENV_PREFIX = "LABELSTREAM_"
FOREIGN_ENV = (
    "LABELSTREAM_TEST_",
    "LABELSTREAM_REQUIRE_REAL",
    "LABELSTREAM_CONFIG",
    "LABELSTREAM_BUNDLE_CACHE",
)
HELP_FIX = "run `labelstream worker --help` for all settings and their values"


def check_file(path: Path) -> list[str]:
    """Check that a settings file can be read and is TOML; return the names of its routes, for messages.

    Raises:
        UsageError: it cannot, or it is not.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise UsageError(
            f"cannot read the settings file {path}",
            cause=str(exc.strerror),
            fix="name a readable file in --config or LABELSTREAM_CONFIG",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise UsageError(
            f"{path} is not valid TOML", cause=str(exc), fix="correct that line; strings need quotes"
        ) from None
    routes = content.get("routes")
    if not isinstance(routes, list):
        return []
    return [str(route["name"]) if isinstance(route, dict) and "name" in route else "" for route in routes]


def check_environment(variables: Iterable[str], names: Collection[str]) -> None:
    """Check that every variable with the prefix of the settings names one.

    Args:
        variables: the names of the environment variables.
        names: the names of the settings.

    Raises:
        UsageError: a variable names none.
    """
    unknown = [
        variable
        for variable in sorted(variables)
        if variable.startswith(ENV_PREFIX)
        and not variable.startswith(FOREIGN_ENV)
        and variable.removeprefix(ENV_PREFIX).lower().split("__")[0] not in names
    ]
    if unknown:
        raise UsageError(
            f"unknown setting in the environment: {', '.join(unknown)}",
            cause="every variable that begins with LABELSTREAM_ must name a setting",
            fix=_did_you_mean(unknown[0].removeprefix(ENV_PREFIX).lower(), names, prefix=ENV_PREFIX),
        )


def invalid_settings(
    exc: ValidationError, names: Collection[str], options: Collection[str], routes: Sequence[str]
) -> UsageError:
    """Return the error for pydantic's findings, without the values, which may be secret.

    Args:
        exc: the findings.
        names: the names of the settings.
        options: the names of the settings of a route.
        routes: the names of the routes, empty for a route without a name.
    """
    found = exc.errors(include_url=False, include_input=False)
    lines = [_describe(error, routes) for error in found]
    unknown = next((error["loc"] for error in found if error["type"] == "extra_forbidden"), None)
    fix = HELP_FIX
    if unknown is not None:
        fix = _did_you_mean(str(unknown[-1]), options if _in_route(unknown) else names)
    return UsageError(
        lines[0] if len(lines) == 1 else f"{len(lines)} settings are invalid",
        cause="; ".join(lines) if len(lines) > 1 else "",
        fix=fix,
    )


def _did_you_mean(name: str, names: Collection[str], *, prefix: str = "") -> str:
    near = difflib.get_close_matches(name, names, n=1)
    if not near:
        return HELP_FIX
    return f"did you mean {prefix + near[0].upper() if prefix else near[0]}?"


def _in_route(location: tuple[int | str, ...]) -> bool:
    return len(location) > 1 and location[0] == "routes"


def _place(location: tuple[int | str, ...], routes: Sequence[str]) -> str:
    """Return the name of a setting; for a setting of a route also the route."""
    if not _in_route(location) or not isinstance(location[1], int):
        return ".".join(map(str, location)) or "settings"
    at = location[1]
    named = routes[at] if at < len(routes) else ""
    route = f"route {named}" if named else f"[[routes]] number {at + 1}"
    return ": ".join((route, ".".join(map(str, location[2:])))) if location[2:] else route


def _describe(error: ErrorDetails, routes: Sequence[str]) -> str:
    name = _place(error["loc"], routes)
    if error["type"] == "extra_forbidden":
        return f"{name}: unknown setting"
    if error["type"] == "missing":
        return f"{name}: is not set"
    if error["type"] == "literal_error":
        return f"{name}: not a choice; the choices are {error['ctx']['expected']}"
    return f"{name}: {error['msg'].removeprefix('Value error, ')}"
