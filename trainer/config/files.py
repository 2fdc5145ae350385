"""Settings files of `labelstream train`: TOML or JSON in place of flags."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stream.errors import UsageError
from trainer.config.named import flag_values
from trainer.config.training import TrainingConfig

DATA_KEY = "data"
DATA_KEYS = (DATA_KEY, "train_file", "train-file", "dataset_name", "dataset-name")
"""The keys of which a JSON file has one if it is a settings file and not a data file."""


def settings_in(file: Path) -> dict[str, Any]:
    """Return the settings of a file by the parameters of their flags, and DATA as `data`.

    Raises:
        UsageError: the file cannot be read, or a key is unknown or repeated.
    """
    values = _without_sections(_content(file), file)
    data = values.pop(DATA_KEY, None)
    given = {name: value for name, value in values.items() if value is not None}
    found = flag_values(TrainingConfig, given, str(file))
    return found if data is None else {**found, DATA_KEY: str(data)}


def is_settings_file(text: str) -> bool:
    """Return whether DATA names a settings file: a .toml file, or a .json file with the name of its data."""
    path = Path(text)
    if path.suffix.lower() == ".toml":
        return True
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and any(isinstance(content.get(key), str) for key in DATA_KEYS)


def _without_sections(content: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Return the settings of a file and of its sections, whose names have no meaning.

    Raises:
        UsageError: two sections have the same key.
    """
    sections = [name for name, value in content.items() if isinstance(value, Mapping) and not _is_value(name)]
    values = {name: value for name, value in content.items() if name not in sections}
    for section in sections:
        for name, value in content[section].items():
            if name in values:
                raise UsageError(
                    f"{file} sets {name} twice",
                    cause=f"[{section}] repeats a key of another part of the file",
                    fix="keep one of the two lines",
                )
            values[name] = value
    return values


def _is_value(name: str) -> bool:
    return name.replace("-", "_") in ("scheduler_options", "lr_scheduler_kwargs")


def _content(file: Path) -> Mapping[str, Any]:
    try:
        content = file.read_bytes()
        parsed = json.loads(content) if file.suffix.lower() == ".json" else tomllib.loads(content.decode())
    except (OSError, ValueError) as exc:
        raise UsageError(
            f"cannot read the settings file {file}",
            cause=getattr(exc, "strerror", None) or str(exc),
            fix="pass a TOML file with lines such as epochs = 3, or a JSON object",
        ) from None
    if not isinstance(parsed, dict):
        raise UsageError(
            f"cannot read the settings file {file}",
            cause="its content is not an object of settings",
            fix='write an object such as {"data": "tickets.csv", "epochs": 3}',
        )
    return parsed
