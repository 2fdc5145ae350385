"""Settings by name: flat keyword arguments, and the keys of a settings file."""

import difflib
from collections.abc import Mapping
from typing import Any

from stream.errors import UsageError
from trainer.config.hugging_face import UNSUPPORTED
from trainer.config.settings import (
    Flag,
    Setting,
    SettingsGroup,
    group_values,
    is_on,
    settings_of,
    switches_of,
)


def nested_values(group: type[SettingsGroup], given: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Arrange settings by name as the fields of a group; fields that hold a group are kept.

    Args:
        group: the group to fill.
        given: values by the name of a flag, in our spelling or that of Hugging Face, or by the name of a
            group. A value of None keeps the default.
        origin: what the names belong to, for errors.

    Raises:
        UsageError: a name is unknown, or a setting has no effect without another one.
    """
    groups = {
        name: inner
        for name, info in group.model_fields.items()
        if (inner := Setting(name, info, Flag("")).group)
    }
    values: dict[str, Any] = {}
    flat: dict[str, Any] = {}
    for name, value in given.items():
        if name in groups and isinstance(value, SettingsGroup | Mapping):
            values[name] = value
        elif value is not None:
            flat[name] = value
    for name, value in group_values(group, flag_values(group, flat, origin)).items():
        outer = values.get(name)
        if isinstance(outer, SettingsGroup):
            outer = outer.model_dump(exclude_unset=True)
        if outer is None:
            values[name] = value
        elif isinstance(value, SettingsGroup):
            values[name] = merged(outer, value.model_dump(exclude_unset=True))
    return values


def flag_values(group: type[SettingsGroup], given: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return values by the parameter of their flag, for `group_values`.

    Raises:
        UsageError: a name is unknown, two names are those of one setting, a switch is neither true nor false,
            or a setting has no effect.
    """
    known = _names(group)
    switches = dict(switches_of(group))
    found: dict[str, Any] = {}
    for name, value in given.items():
        key = name.replace("-", "_")
        if key not in known:
            raise _unknown(name, known, origin)
        setting, shorthand = known[key]
        if shorthand and not is_on(name, value):
            continue
        if setting.parameter in found:
            raise UsageError(
                f"{origin} sets {setting.option} twice",
                cause=f"{name} is another name of the setting",
                fix="keep one of the two names",
            )
        found[setting.parameter] = shorthand or value
    for name in found:
        switch = switches.get(name)
        if switch and not found.get(switch):
            raise UsageError(
                f"{name} has no effect without {switch}",
                cause=f"{origin} does not switch {switch} on",
                fix=f"add {switch} = true, or leave {name} out",
            )
    return found


def merged(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """Return a nested mapping with the values of another one added."""
    values = dict(outer)
    for name, value in inner.items():
        old = values.get(name)
        if isinstance(old, SettingsGroup):
            old = old.model_dump(exclude_unset=True)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        values[name] = merged(old, value) if both else value  # type: ignore[arg-type] # both are mappings
    return values


def _names(group: type[SettingsGroup]) -> dict[str, tuple[Setting, str]]:
    """Return each name of each setting, with the value that the name stands for if it is a shorthand."""
    names: dict[str, tuple[Setting, str]] = {}
    for setting in settings_of(group):
        for option in (setting.option, *setting.flag.aliases):
            names[option.removeprefix("--").replace("-", "_")] = (setting, "")
        names |= {shorthand: (setting, shorthand) for shorthand in setting.flag.shorthands}
    return names


def _unknown(name: str, known: Mapping[str, Any], origin: str) -> UsageError:
    reason = UNSUPPORTED.get(name.replace("-", "_"))
    if reason is not None:
        return UsageError(
            f"{origin} has the setting {name}, which is not supported", cause=reason, fix=f"leave {name} out"
        )
    close = difflib.get_close_matches(name.replace("-", "_"), known, n=1)
    return UsageError(
        f"the setting {name} does not exist",
        cause=f"{origin} names it, and `labelstream train` has no such flag",
        fix=f"did you mean {close[0]}?" if close else "`labelstream train --help` lists the flags",
    )
