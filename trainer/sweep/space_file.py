"""Read a search space from a TOML file, and check every value as `labelstream train` checks its flags."""

import difflib
import math
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from stream.errors import UsageError
from trainer.config import DataConfig, Imbalance, Recipe, TrainingConfig, WindowSettings
from trainer.config.settings import OUTPUT, Setting, settings_of, switches_of
from trainer.sweep.flags import flags_of, settings_by_parameter, with_flags
from trainer.sweep.space import NONE, Choices, Dimension, Range, Space, Value

OWN_SETTINGS = ("subwords", "windows", "base_model")
"""The searchable settings of a training outside its groups."""

UNSEARCHED = ("seed",)
"""The settings of the searchable groups that all trials share."""

REPLACED_BY = {"epochs": "max_steps", "warmup": "warmup_steps"}
"""The settings that have no effect if another one is given."""

RANGE_KEYS = ("low", "high", "log", "step")


def read_space(file: Path, config: TrainingConfig, given: Collection[str] = ()) -> Space:
    """Read a search space.

    Args:
        file: a TOML file with one table per setting, named as the flag: `low` and `high`, with `log` or
            `step`, or `choices`. A list is short for `choices`.
        config: the configuration with the fixed settings.
        given: the parameters of the flags that the user gave.

    Raises:
        UsageError: the file cannot be read, a setting does not exist or cannot be searched, or a range or a
            value is not valid.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        cause = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise UsageError(
            f"the space file {file} cannot be read",
            cause=cause or type(exc).__name__,
            fix="write a TOML file with one table per setting, as docs/sweeps.md shows",
        ) from None
    if not content:
        raise UsageError(
            f"the space file {file} is empty",
            cause="a sweep searches at least one setting",
            fix="add a table, such as [learning-rate] with low and high, or leave --space out",
        )
    dimensions: dict[str, Dimension] = {}
    for name, described in content.items():
        setting = _searchable(name)
        if setting.parameter in dimensions:
            raise UsageError(
                f"the space has {setting.option} twice",
                cause=f"{name} is another name of the same setting",
                fix="delete one of the two tables",
            )
        if setting.parameter in given:
            raise UsageError(
                f"{setting.option} is fixed and searched",
                cause=f"the command line gives its value, and {file} its range",
                fix=f"leave {setting.option} out, or delete [{name}] from {file}",
            )
        dimensions[setting.parameter] = _dimension(setting, described)
    space = list(dimensions.values())
    for dimension in space:
        check_dimension(dimension, config, dimensions)
    return space


def check_dimension(dimension: Dimension, config: TrainingConfig, searched: Collection[str]) -> None:
    """Check the values of a dimension as flags of a training.

    Args:
        dimension: the dimension.
        config: the configuration with the fixed settings.
        searched: the parameters of all dimensions.

    Raises:
        UsageError: a value is not valid, or contradicts a fixed setting, or has no effect.
    """
    parameter = dimension.parameter
    setting, switch = settings_by_parameter()[parameter], dict(switches_of(TrainingConfig))[parameter]
    fixed = not switch or flags_of(config)[switch]
    if not fixed and switch not in searched:
        option = settings_by_parameter()[switch].option
        raise UsageError(
            f"{setting.option} has no effect",
            cause=f"it applies only with {option}",
            fix=f"add {option} to the command, or {option.removeprefix('--')} = [true, false] to the space",
        )
    replacement = REPLACED_BY.get(parameter)
    if replacement is not None and flags_of(config)[replacement] is not None:
        option = settings_by_parameter()[replacement].option
        raise UsageError(
            f"{setting.option} has no effect",
            cause=f"{option} replaces it",
            fix=f"leave {option} out, or delete {setting.option.removeprefix('--')} from the space",
        )
    for value in dimension.ends:
        omitted = value == NONE and isinstance(value, str) and setting.info.default in (None, ())
        changed: dict[str, Any] = {parameter: None if omitted else value}
        with_flags(config, {**changed, **({switch: True} if switch else {})})


def _searchable(name: str) -> Setting:
    """Return the setting of a name in the file.

    Raises:
        UsageError: the setting does not exist, or cannot be searched.
    """
    names = {}
    for setting in settings_of(TrainingConfig):
        for spelling in (setting.option, *setting.flag.aliases):
            names[_plain(spelling)] = setting
    found = names.get(_plain(name))
    allowed = _searchable_parameters()
    if found is None:
        known = [plain for plain, setting in names.items() if setting.parameter in allowed]
        close = difflib.get_close_matches(_plain(name), known, n=1)
        raise UsageError(
            f"the space has the unknown setting {name}",
            cause=f"settings that can be searched: {', '.join(sorted(map(_shown, allowed)))}",
            fix=f"did you mean {close[0]}?" if close else "use one of these names",
        )
    if found.parameter not in allowed:
        raise UsageError(f"{found.option} cannot be searched", cause=_refusal_cause(found), fix=_fix(found))
    return found


def _plain(name: str) -> str:
    return name.removeprefix("--").replace("_", "-")


def _shown(parameter: str) -> str:
    return parameter.replace("_", "-")


def _searchable_parameters() -> set[str]:
    groups = (Recipe, Imbalance, WindowSettings)
    inside = {setting.parameter for group in groups for setting in settings_of(group)}
    return (inside | set(OWN_SETTINGS)) - set(UNSEARCHED)


def _refusal_cause(setting: Setting) -> str:
    of_data = {found.parameter for found in settings_of(DataConfig)} | set(UNSEARCHED)
    if setting.parameter in of_data:
        return "it changes the rows or their splits, which all trials share"
    if setting.flag.panel == OUTPUT:
        return "it does not change the validation metric of a training"
    return "it is a setting of the whole sweep"


def _fix(setting: Setting) -> str:
    return f"delete it from the space, and give {setting.option} on the command line if it is needed"


def _dimension(setting: Setting, described: Any) -> Dimension:
    name = setting.option.removeprefix("--")
    if isinstance(described, list):
        described = {"choices": described}
    if not isinstance(described, Mapping):
        raise UsageError(
            f"[{name}] has neither a range nor choices",
            cause=f"it is the single value {described!r}",
            fix=f"give the value on the command line: {setting.option} {described}",
        )
    unknown = sorted(set(described) - {*RANGE_KEYS, "choices"})
    if unknown:
        raise UsageError(
            f"[{name}] has the unknown key {unknown[0]}",
            cause=f"the keys are {', '.join(RANGE_KEYS)} and choices",
            fix="delete the key, or correct its name",
        )
    if "choices" not in described:
        return _range(setting, described)
    if len(described) > 1:
        raise UsageError(
            f"[{name}] has a range and choices",
            cause="a setting has either low and high, or choices",
            fix="keep one of the two",
        )
    return _choices(setting, described["choices"])


def _choices(setting: Setting, values: Any) -> Choices:
    name = setting.option.removeprefix("--")
    valid = isinstance(values, list) and all(isinstance(value, Value) for value in values)
    if not valid or len(set(map(repr, values))) < 2:
        raise UsageError(
            f"[{name}] needs a list of two or more different choices",
            cause=f"choices is {values!r}",
            fix=f"write choices = [A, B], or give one value on the command line: {setting.option} A",
        )
    if setting.group is not None or setting.info.annotation is bool:
        if not all(isinstance(value, bool) for value in values):
            raise _bad_values(name, values, "it is a switch", "write choices = [true, false]")
    elif any(isinstance(value, bool) for value in values):
        raise _bad_values(name, values, "true and false are values of a switch", "write other values")
    elif (kind := _number_type(setting)) is not None:
        numbers = [value for value in values if not isinstance(value, str) or value != NONE]
        if not all(isinstance(value, int if kind is int else (int, float)) for value in numbers):
            raise _bad_values(name, values, f"it is {_kind_name(kind)}", "write numbers, without quotes")
        values = [value if value == NONE else kind(value) for value in values]
    return Choices(setting.parameter, tuple(dict.fromkeys(values)))


def _bad_values(name: str, values: Any, cause: str, fix: str) -> UsageError:
    return UsageError(f"[{name}] has invalid choices {values!r}", cause=cause, fix=fix)


def _range(setting: Setting, described: Mapping[str, Any]) -> Range:
    name, kind = setting.option.removeprefix("--"), _number_type(setting)

    def refuse(cause: str, fix: str) -> UsageError:
        return UsageError(f"[{name}] has no valid range", cause=cause, fix=fix)

    if kind is None:
        raise refuse("it is not a number", f"write choices = [{', '.join(setting.choices) or 'A, B'}]")
    missing = [key for key in ("low", "high") if key not in described]
    if missing:
        raise refuse(f"{missing[0]} is missing", "write low and high, or choices")
    step, log = described.get("step"), described.get("log", False)
    for key in ("low", "high", "step"):
        value = described.get(key)
        if value is not None and not _is_number(value, kind):
            raise refuse(f"{key} is {value!r}", f"write {_kind_name(kind)}")
    low, high = kind(described["low"]), kind(described["high"])
    if not isinstance(log, bool):
        raise refuse(f"log is {log!r}", "write log = true or log = false")
    if low >= high:
        raise refuse(f"low is {low} and high is {high}", "write a low that is below high")
    if log and low <= 0:
        raise refuse(f"low is {low} on a logarithmic scale", "write a low above 0, or delete log")
    if log and step is not None:
        raise refuse("a logarithmic scale has no steps", "delete log or step")
    if step is not None and not 0 < step <= high - low:
        raise refuse(f"step is {step}", f"write a step above 0 and up to {high - low:g}")
    return Range(setting.parameter, low, high, log, step, kind is int)


def _is_number(value: Any, kind: type) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) if kind is int else math.isfinite(value)


def _kind_name(kind: type) -> str:
    return "an integer" if kind is int else "a number"


def _number_type(setting: Setting) -> type | None:
    """Return int or float for a setting that is a number, else None."""
    annotation = setting.info.annotation
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next((kind for kind in (int, float) if kind in parts), None)
