"""Data sets of the `datasets` library: saved in a folder, or on the Hub."""

import contextlib
from pathlib import Path
from typing import Any

from stream.errors import UsageError
from trainer.data.files import Table

MARKS = ("dataset_dict.json", "dataset_info.json")


def is_saved_set(folder: Path) -> bool:
    """Whether `save_to_disk` wrote the folder."""
    return any((folder / mark).is_file() for mark in MARKS)


def load_saved_set(folder: Path) -> dict[str, Table]:
    """Its tables by split; a set without splits is one table under the folder's name.

    Raises:
        UsageError: the folder is damaged.
    """
    import datasets

    try:
        return _tables(datasets.load_from_disk(str(folder)), folder.name)
    except (OSError, ValueError, KeyError) as exc:
        raise UsageError(
            f"{folder} cannot be read as a saved data set", cause=_first_line(exc), fix="save it again"
        ) from None


def load_from_hub(name: str) -> dict[str, Table]:
    """The tables of OWNER/NAME or OWNER/NAME:CONFIGURATION by split, from the Hub or its local cache.

    Raises:
        UsageError: there is no such set, or it cannot be loaded.
    """
    import datasets

    path, _, configuration = name.partition(":")
    try:
        return _tables(datasets.load_dataset(path, configuration or None), path)
    except Exception as exc:
        # The library raises many kinds, those of its HTTP client too.
        raise UsageError(
            f"{name} is neither a file or folder here, nor a data set of the Hub that can be loaded",
            cause=_first_line(exc),
            fix="name an existing file, or check the data set's name and configuration (OWNER/NAME:CONFIG)",
        ) from exc


def _tables(loaded: Any, name: str) -> dict[str, Table]:
    parts = loaded if hasattr(loaded, "keys") else {name: loaded}
    return {str(split): _table(part) for split, part in parts.items()}


def _table(part: Any) -> Table:
    names = {}
    for column, feature in part.features.items():
        inner = getattr(feature, "feature", feature)
        with contextlib.suppress(AttributeError, TypeError):
            names[column] = list(inner.names)
    return Table(list(part.column_names), part.to_list(), names)


def _first_line(exc: Exception) -> str:
    return (str(exc).strip() or type(exc).__name__).splitlines()[0]
