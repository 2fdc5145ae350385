"""The reading of data for an existing bundle: its task, and the columns that it was trained on."""

from collections.abc import Mapping, Sequence
from typing import Any

from stream.bundle import Manifest
from stream.errors import UsageError
from trainer.config import DataConfig

BundleColumns = tuple[DataConfig, list[str]]
"""The settings, and notes for the user."""


def format_config(manifest: Manifest, flags: Mapping[str, Any]) -> DataConfig:
    """Return the settings for loading data, before their columns are known.

    Args:
        manifest: the manifest of the bundle.
        flags: the settings that the user gave, by the names of `DataConfig`.

    Raises:
        UsageError: a setting contradicts the task of the bundle.
    """
    if not manifest.takes_pair and flags.get("text_pair_column"):
        raise UsageError(
            f"{manifest.name} reads one text",
            cause="--text-pair-column names a second one",
            fix="leave --text-pair-column out",
        )
    given = {
        "task": manifest.task,
        "ordinal": manifest.values is not None,
        "metadata_columns": tuple(column.name for column in manifest.metadata or ()),
        **flags,
    }
    if manifest.head == "token":
        given["tag_scheme"] = "word" if manifest.spans and manifest.spans.scheme == "word" else "bio"
    return DataConfig(**given)


def column_config(config: DataConfig, manifest: Manifest, available: Sequence[str]) -> BundleColumns:
    """Return the settings with the columns of the bundle's training, where the data have them.

    Columns that the user named are kept. Other columns are guessed as for a training.

    Args:
        config: the result of `format_config`.
        manifest: the manifest of the bundle.
        available: the columns of the data.

    Raises:
        UsageError: the bundle reads two texts, and the second column is unknown.
    """
    trained = manifest.data.get("columns")
    recorded: Mapping[str, Any] = trained if isinstance(trained, Mapping) else {}
    chosen: dict[str, Any] = {}
    roles = {"text_column": "text", "label_column": "label"}
    if manifest.takes_pair:
        roles["text_pair_column"] = "text_pair"
    for setting, role in roles.items():
        if setting == "label_column" and config.label_columns:
            continue
        if getattr(config, setting) is None and recorded.get(role) in available:
            chosen[setting] = recorded[role]
    no_label = config.label_column is None and "label_column" not in chosen and not config.label_columns
    if manifest.head == "multi-label" and no_label and set(manifest.labels) <= set(available):
        chosen["label_columns"] = tuple(manifest.labels)
    missing = [name for name in config.metadata_columns if name not in available]
    notes = [f"no column {', '.join(missing)}: treated as missing values"] if missing else []
    if chosen:
        named = ", ".join(str(name) if isinstance(name, str) else "one per label" for name in chosen.values())
        notes.append(f"columns as in the training of the bundle: {named}")
    known = tuple(name for name in config.metadata_columns if name in available)
    updated = DataConfig(**{**_given(config), **chosen, "metadata_columns": known})
    if manifest.takes_pair and manifest.task != "pair" and updated.text_pair_column is None:
        raise UsageError(
            f"{manifest.name} reads two texts",
            cause=f"no column is known to hold the second one; the columns are: {', '.join(available)}",
            fix="name it: --text-pair-column NAME",
        )
    return updated, notes


def _given(config: DataConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in DataConfig.model_fields}
