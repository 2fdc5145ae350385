"""Command-line options made from the description of the settings."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from trainer.config.settings import PANELS, Setting, SettingsGroup, group_values, settings_of

FileSettings = Callable[[dict[str, Any]], dict[str, Any]]
"""A function of a command's own arguments, which it may change, that returns settings by parameter name."""


def with_settings(
    group: type[SettingsGroup], from_file: FileSettings = lambda _: {}
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command one option for each setting of a group.

    The command receives the filled group as its keyword argument `config`. The decorated command takes the
    options as keyword arguments; an option that is not given has its default.

    Args:
        group: the settings.
        from_file: returns the settings of a file; an option on the command line has precedence.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        arguments = [
            parameter
            for parameter in inspect.signature(command, eval_str=True).parameters.values()
            if parameter.name != "config"
        ]
        options = options_of(group)
        takes_context = any(parameter.name == "context" for parameter in arguments)

        @functools.wraps(command)
        def run(*args: Any, **kwargs: Any) -> Any:
            context = kwargs.get("context") if takes_context else kwargs.pop("context", None)
            flags = {option.name: kwargs.pop(option.name, None) for option in options}
            own = {**dict(zip((argument.name for argument in arguments), args, strict=False)), **kwargs}
            in_file = from_file(own)
            typed = _typed({name: value for name, value in flags.items() if value is not None}, context)
            return command(config=group(**group_values(group, {**flags, **in_file, **typed})), **own)

        # typer passes its context, which knows the options that were given.
        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        return _with_signature(run, [*arguments, *options, *([] if takes_context else [context])])

    return decorate


def with_flags(
    group: type[SettingsGroup], without: Sequence[str]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command one option for each setting of a group, except the named settings.

    The command receives the settings that were given as its keyword argument `flags`, by field name. It fills
    the group itself, with the other settings.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        arguments = [
            parameter
            for parameter in inspect.signature(command, eval_str=True).parameters.values()
            if parameter.name != "flags"
        ]
        options = [
            option
            for setting in sorted(settings_of(group), key=lambda found: PANELS.index(found.flag.panel))
            if setting.field not in without
            for option in (_option(setting), *_shorthands(setting))
        ]

        @functools.wraps(command)
        def run(*args: Any, **kwargs: Any) -> Any:
            given = {option.name: kwargs.pop(option.name, None) for option in options}
            return command(*args, flags=group_values(group, given), **kwargs)

        return _with_signature(run, [*arguments, *options])

    return decorate


def _with_signature(run: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> Callable[..., Any]:
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del run.__wrapped__  # type: ignore[attr-defined]
    return run


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
    """Return the type that typer parses; pydantic checks the values of a closed list, and parses JSON."""
    if setting.group is not None:
        return bool
    if setting.is_list:
        return list[str] | None
    if setting.choices:
        return str if setting.info.default is not None else str | None
    if setting.is_mapping:
        return str | None
    return setting.info.annotation


def _shorthands(setting: Setting) -> list[inspect.Parameter]:
    return [
        _parameter(name, bool, typer.Option(f"--{name}", hidden=True), False)
        for name in setting.flag.shorthands
    ]


def _typed(values: dict[str, Any], context: typer.Context | None) -> dict[str, Any]:
    """Return the values that the user gave; within a command of typer, the others are defaults."""
    if context is None:
        return values
    sources = {name: context.get_parameter_source(name) for name in values}
    return {
        name: value
        for name, value in values.items()
        if (found := sources[name]) and found.name == "COMMANDLINE"
    }


def _parameter(name: str, kind: Any, option: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )
