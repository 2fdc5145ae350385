"""Training settings by flag: the values of a configuration, and a configuration with other values."""

from collections.abc import Mapping
from typing import Any

from trainer.config import Checkpoints, TrainingConfig
from trainer.config.settings import (
    OUTPUT,
    TRACKING,
    Flag,
    Setting,
    SettingsGroup,
    flag_of,
    group_values,
    settings_of,
)


def flags_of(config: SettingsGroup) -> dict[str, Any]:
    """Return the value of each flag by the name of its parameter, such as `batch_size`.

    The settings of a group that is switched off, such as the rank of LoRA, are left out.
    """
    values: dict[str, Any] = {}
    for name, info in type(config).model_fields.items():
        flag, value = flag_of(info), getattr(config, name)
        setting = Setting(name, info, flag or Flag(""))
        if setting.group is None:
            if flag is not None:
                values[setting.parameter] = value
            continue
        if flag is not None:
            values[setting.parameter] = value is not None
        if value is not None:
            values |= flags_of(value)
    return values


def with_flags(config: TrainingConfig, changed: Mapping[str, Any]) -> TrainingConfig:
    """Return a configuration with other values of some flags; None restores the default of a flag.

    Raises:
        UsageError: a value is invalid, or two settings contradict each other.
    """
    values = {**flags_of(config), **changed}
    # An empty list is a flag that was not given; some lists refuse to be given empty.
    given = {name: None if value == () else value for name, value in values.items()}
    return TrainingConfig(**group_values(TrainingConfig, given))


def settings_by_parameter() -> dict[str, Setting]:
    """Return every setting of a training by the name of its parameter."""
    return {setting.parameter: setting for setting in settings_of(TrainingConfig)}


def model_settings(config: TrainingConfig) -> dict[str, Any]:
    """Return the values of the flags that affect a trained model, in contrast to its bundle."""
    outside = {
        setting.parameter
        for setting in settings_of(TrainingConfig)
        if setting.flag.panel in (OUTPUT, TRACKING)
    }
    outside |= {setting.parameter for setting in settings_of(Checkpoints)} | {"cross_validate"}
    return {name: value for name, value in flags_of(config).items() if name not in outside}


def command_flags(config: TrainingConfig) -> list[str]:
    """Return the flags of `labelstream train` for a configuration, without those that have their default."""
    found: list[str] = []
    values = flags_of(config)
    for parameter, setting in settings_by_parameter().items():
        value = values.get(parameter)
        if value is None or value is False or value in ((), setting.info.default):
            continue
        found.append(setting.option)
        if value is not True:
            found.append(",".join(value) if isinstance(value, tuple) else str(value))
    return found
