"""The description of a setting: its flag, its group of settings, and the error for an invalid value."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Self, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.fields import FieldInfo

from stream.errors import UsageError

TASK = "Task"
DATA = "Data"
INPUT = "Input"
TRAINING = "Training"
OPTIMISER = "Optimiser and schedule"
EVALUATION = "Evaluation and checkpoints"
COMPUTE = "Memory and speed"
IMBALANCE = "Class imbalance"
LAYERS = "Trained layers"
OUTPUT = "Output"
TRACKING = "Experiment tracking"
PANELS = (TASK, DATA, INPUT, TRAINING, OPTIMISER, EVALUATION, COMPUTE, IMBALANCE, LAYERS, OUTPUT, TRACKING)
"""The headings of `--help` and of the documentation, in their order."""


@dataclass(frozen=True, slots=True)
class Flag:
    """The command-line option of a setting.

    Attributes:
        panel: the heading of the option, one of `PANELS`.
        name: the option's name; an empty string derives it from the name of the setting.
        aliases: further spellings, such as those of Hugging Face's example scripts.
        default: the text that help and documentation show as the default instead of the value.
        shorthands: hidden switches, each of which selects the value of the same name.
    """

    panel: str
    name: str = ""
    aliases: tuple[str, ...] = ()
    default: str = ""
    shorthands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that has a flag, as help, command line and documentation present it.

    Attributes:
        field: the name of the field in its group.
        info: pydantic's description of the field.
        flag: the option on the command line.
    """

    field: str
    info: FieldInfo
    flag: Flag

    @property
    def option(self) -> str:
        """The main spelling of the option, such as `--batch-size`."""
        return self.flag.name or f"--{self.field.replace('_', '-')}"

    @property
    def parameter(self) -> str:
        """The name of the option's parameter in Python."""
        return self.option.removeprefix("--").replace("-", "_")

    @property
    def group(self) -> "type[SettingsGroup] | None":
        """The group of settings that the option switches on, if it is such a switch."""
        return _group_in(self.info.annotation)

    @property
    def is_list(self) -> bool:
        """Whether the option takes several values, separated by commas."""
        return get_origin(self.info.annotation) is tuple

    @property
    def is_mapping(self) -> bool:
        """Whether the option takes a JSON object."""
        return any(get_origin(part) is dict for part in get_args(self.info.annotation))

    @property
    def choices(self) -> tuple[str, ...]:
        """The valid values of a setting that has a closed list of them."""
        return _choices(self.info.annotation)

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The least and the greatest value, None where there is no bound."""
        least = next((mark.ge for mark in self.info.metadata if isinstance(mark, Ge)), None)
        most = next((mark.le for mark in self.info.metadata if isinstance(mark, Le)), None)
        return least, most  # type: ignore[return-value] # annotated_types allows any comparable value


class SettingsGroup(BaseModel):
    """Settings that belong together; an invalid value raises a `UsageError` that names the flag."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _refuse(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(_with_lists(cls, values) if isinstance(values, Mapping) else values)
        except ValidationError as exc:
            raise _refusal(cls, exc) from None


def _with_lists(group: type[SettingsGroup], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a group, in which a text such as "A,B" is a list where the setting is one."""
    lists = {
        name: Setting(name, info, flag_of(info) or Flag("")).option
        for name, info in group.model_fields.items()
        if isinstance(values.get(name), str) and get_origin(info.annotation) is tuple
    }
    return {name: _split(lists[name], value) if name in lists else value for name, value in values.items()}


def settings_of(group: type[SettingsGroup]) -> Iterator[Setting]:
    """Yield every setting of a group and of the groups within it that has a flag."""
    for name, info in group.model_fields.items():
        flag = flag_of(info)
        if flag is not None:
            yield Setting(name, info, flag)
        if (inner := _group_in(info.annotation)) is not None:
            yield from settings_of(inner)


def flag_of(info: FieldInfo) -> Flag | None:
    """Return the flag of a field, if the field has one."""
    return next((mark for mark in info.metadata if isinstance(mark, Flag)), None)


def switches_of(group: type[SettingsGroup], switch: str = "") -> Iterator[tuple[str, str]]:
    """Yield the parameter of each setting with that of the flag that switches its group on, or ""."""
    for name, info in group.model_fields.items():
        flag = flag_of(info)
        setting = Setting(name, info, flag or Flag(""))
        if flag is not None:
            yield setting.parameter, switch
        if setting.group is not None:
            yield from switches_of(setting.group, setting.parameter if flag is not None else switch)


def group_values(group: type[SettingsGroup], flags: dict[str, Any]) -> dict[str, Any]:
    """Arrange the values of flags as the fields of a group.

    Args:
        group: the group to fill.
        flags: values by parameter name; a value of None means that the flag was not given.

    Returns:
        Values by field name, without the fields that keep their default.

    Raises:
        UsageError: a list holds something else than texts, or a switch is neither on nor off.
    """
    values: dict[str, Any] = {}
    for name, info in group.model_fields.items():
        flag = flag_of(info)
        setting = Setting(name, info, flag or Flag(""))
        if setting.group is not None:
            if flag is None or is_on(setting.option, flags.get(setting.parameter)):
                values[name] = setting.group(**group_values(setting.group, flags))
        elif flag is not None:
            chosen = [short for short in flag.shorthands if flags.get(short)]
            value = chosen[0] if chosen else flags.get(setting.parameter)
            if value is not None:
                values[name] = _split(setting.option, value) if setting.is_list else value
    return values


def one_of(option: str, value: str, choices: Sequence[str]) -> str:
    """Return the value if it is one of the choices.

    Raises:
        UsageError: the value is not among the choices; the error names the closest choice.
    """
    if value in choices:
        return value
    completions = [choice for choice in choices if value and choice.startswith(value)]
    close = completions or difflib.get_close_matches(value, choices, n=1)
    raise UsageError(
        f"{option} {value} is not valid",
        cause=f"the valid values are: {', '.join(choices)}",
        fix=f"did you mean {option} {close[0]}?" if close else f"use one of these values for {option}",
    )


def is_on(option: str, value: Any) -> bool:
    """Return whether a switch is on; None means that it was not given.

    Raises:
        UsageError: the value is neither true nor false. A text such as "false" would count as true.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    raise UsageError(
        f"{option} {value} is not valid",
        cause="the setting is a switch",
        fix="set it to true or false, without quotes",
    )


def _split(option: str, value: Any) -> tuple[str, ...]:
    """Split A,B into its names; an option that is given more than once adds to the list."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise UsageError(
            f"{option} {value} is not valid",
            cause="the setting is a list of texts",
            fix='write the texts in quotes, such as ["A", "B"]',
        )
    return tuple(name.strip() for part in parts for name in part.split(",") if name.strip())


def _group_in(annotation: Any) -> type[SettingsGroup] | None:
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next((part for part in parts if isinstance(part, type) and issubclass(part, SettingsGroup)), None)


def _choices(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next(filter(None, map(_choices, get_args(annotation))), ())


def _refusal(group: type[SettingsGroup], exc: ValidationError) -> UsageError:
    """Convert the first finding of pydantic into an error that names the flag."""
    found = exc.errors(include_url=False)[0]
    field = str(found["loc"][0]) if found["loc"] else ""
    if field not in group.model_fields:
        known = [setting.field for setting in settings_of(group)]
        close = difflib.get_close_matches(field, known, n=1)
        return UsageError(
            f"the setting {field} does not exist",
            cause=f"{group.__name__} has the settings: {', '.join(known)}",
            fix=f"did you mean {close[0]}?" if close else "use one of these settings",
        )
    info = group.model_fields[field]
    setting = Setting(field, info, flag_of(info) or Flag(""))
    if found["type"] == "literal_error":
        try:
            one_of(setting.option, str(found["input"]), setting.choices)
        except UsageError as refused:
            return refused
    return UsageError(
        f"{setting.option} {found['input']} is not valid",
        cause=found["msg"],
        fix="`labelstream train --help` lists the valid values",
    )
