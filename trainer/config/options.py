"""Command-line options made from the description of the settings."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from trainer.config.settings import PANELS, Setting, SettingsGroup, group_values, settings_of


def with_settings(group: type[SettingsGroup]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command one option for each setting of a group.

    The command receives the filled group as its keyword argument `config`. The decorated command takes the
    options as keyword arguments; an option that is not given has its default.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        arguments = [
            parameter
            for parameter in inspect.signature(command, eval_str=True).parameters.values()
            if parameter.name != "config"
        ]
        options = options_of(group)

        @functools.wraps(command)
        def run(*args: Any, **kwargs: Any) -> Any:
            flags = {option.name: kwargs.pop(option.name, None) for option in options}
            return command(*args, config=group(**group_values(group, flags)), **kwargs)

        parameters = [*arguments, *options]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del run.__wrapped__
        return run

    return decorate


def options_of(group: type[SettingsGroup]) -> list[inspect.Parameter]:
    """Return the options of all settings of a group, ordered by panel."""
    settings = sorted(settings_of(group), key=lambda setting: PANELS.index(setting.flag.panel))
    return [option for setting in settings for option in (_option(setting), *_shorthands(setting))]


def _option(setting: Setting) -> inspect.Parameter:
    least, most = setting.bounds
    default = None if setting.is_list else False if setting.group else setting.info.default
    option = typer.Option(
        setting.option,
        *setting.flag.aliases,
        min=least,
        max=most,
        help=help_text(setting),
        show_default=setting.flag.default or default is not None,
        rich_help_panel=setting.flag.panel,
    )
    return _parameter(setting.parameter, _option_type(setting), option, default)


def help_text(setting: Setting) -> str:
    """Return the help of a setting, which lists its valid values."""
    if not setting.choices:
        return str(setting.info.description)
    number = "One or more of" if setting.is_list else "One of"
    return f"{setting.info.description} {number}: {', '.join(setting.choices)}."


def _option_type(setting: Setting) -> Any:
    """Return the type that typer parses; pydantic checks the values of a closed list."""
    if setting.group is not None:
        return bool
    if setting.is_list:
        return list[str] | None
    if setting.choices:
        return str if setting.info.default is not None else str | None
    return setting.info.annotation


def _shorthands(setting: Setting) -> list[inspect.Parameter]:
    return [
        _parameter(name, bool, typer.Option(f"--{name}", hidden=True), False)
        for name in setting.flag.shorthands
    ]


def _parameter(name: str, kind: Any, option: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )
