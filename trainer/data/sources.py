"""Load the input tables: from a file, a folder with one file per split, a saved data set, or the Hub."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.errors import UsageError
from stream.tables import STANDARD_INPUT
from trainer.data.files import (
    CONLL_SUFFIXES,
    READERS,
    ParseOptions,
    Table,
    data_stem,
    data_suffix,
    read_table,
)

SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "devel", "development", "trial"),
    "test": ("test", "testing"),
}
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(:[\w.-]+)?")
SAVED_DATASET_FILES = ("dataset_dict.json", "dataset_info.json")


@dataclass(frozen=True, slots=True)
class DataSource:
    """A table and its origin.

    Attributes:
        name: the name of the file, or of the data set's split.
        table: the rows.
        split: "train", "validation" or "test" if the name or a flag says so.
        extra: whether the rows are used for training only.
        file: the file; None if the `datasets` library loaded the table.
    """

    name: str
    table: Table
    split: str | None = None
    extra: bool = False
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class LoadedSources:
    """All sources in the order train, validation, test, extra, and a note on each skipped file or split."""

    sources: list[DataSource]
    notes: list[str]


def load_sources(
    path: Path | str,
    options: ParseOptions,
    validation: Path | None = None,
    test: Path | None = None,
    extra: Path | None = None,
    tables: Mapping[str, Table] | None = None,
    *,
    needs_train: bool = True,
) -> LoadedSources:
    """Load the data at a path and the files that further flags name.

    Args:
        path: a file, a folder, or the id of a data set on the Hub.
        options: how files are parsed.
        validation: the file of `--validation-file`.
        test: the file of `--test-file`.
        extra: the file of `--extra-train`.
        tables: the tables by split in place of the path, which is then only their name.
        needs_train: whether a folder or a data set needs a training split.

    Raises:
        UsageError: the data cannot be read, or a split is given twice.
    """
    if STANDARD_INPUT in (validation, test, extra):
        raise UsageError(
            "only DATA can be standard input",
            cause="--validation-file, --test-file and --extra-train name files",
            fix="write the rows to a file, and name it",
        )
    loaded = (
        _load_path(Path(path), options, needs_train=needs_train)
        if tables is None
        else _dataset_sources(dict(tables), needs_train=needs_train)
    )
    splits = {source.split for source in loaded.sources}
    for split, file in (("validation", validation), ("test", test)):
        if file is not None and split in splits:
            raise UsageError(
                f"two {split} splits",
                cause=f"{path} has one, and --{split}-file names another",
                fix=f"leave --{split}-file out, or name only the training file",
            )
    sources = list(loaded.sources)
    if validation or test:
        sources = [DataSource(s.name, s.table, s.split or "train", file=s.file) for s in sources]
    for split, file in (("validation", validation), ("test", test)):
        if file is not None:
            sources.append(DataSource(file.name, read_table(file, options), split, file=file))
    if extra is not None:
        sources.append(DataSource(extra.name, read_table(extra, options), "train", extra=True, file=extra))
    return LoadedSources(sources, loaded.notes)


def split_from_name(name: str) -> str | None:
    """Return the split that a file name contains; None if it contains none, or several."""
    # Digits separate words too: some data sets use names such as wnut17train.
    words = set(re.findall(r"[a-z]+", name.lower()))
    splits = [split for split, known in SPLIT_WORDS.items() if words & set(known)]
    return splits[0] if len(splits) == 1 else None


def _load_path(path: Path, options: ParseOptions, *, needs_train: bool) -> LoadedSources:
    if path == STANDARD_INPUT:
        return LoadedSources([DataSource("standard input", read_table(path, options))], [])
    if path.is_dir():
        saved = any((path / name).is_file() for name in SAVED_DATASET_FILES)
        if saved:
            return _dataset_sources(_load_saved(path), needs_train=needs_train)
        return _folder_sources(path, options, needs_train=needs_train)
    if not path.exists() and HUB_ID.fullmatch(str(path)) and data_suffix(path) not in READERS.keys() - {""}:
        return _dataset_sources(load_from_hub(str(path)), needs_train=needs_train)
    return LoadedSources([DataSource(path.name, read_table(path, options), file=path)], [])


def _dataset_sources(tables: dict[str, Table], *, needs_train: bool) -> LoadedSources:
    """Return the sources of a data set's tables by name; the name of a single table sets no split."""
    if len(tables) == 1:
        return LoadedSources([DataSource(name, table) for name, table in tables.items()], [])
    splits = {name: split_from_name(name) for name in tables}
    _check_splits(splits, "the data set", needs_train=needs_train)
    skipped = [name for name, split in splits.items() if split is None]
    notes = [f"splits of the data set that are not read: {', '.join(skipped)}"] if skipped else []
    sources = [
        DataSource(name, tables[name], split)
        for split in SPLIT_WORDS
        for name, name_split in splits.items()
        if name_split == split
    ]
    return LoadedSources(sources, notes)


def _folder_sources(folder: Path, options: ParseOptions, *, needs_train: bool) -> LoadedSources:
    files = sorted(_data_files(folder))
    if not files and (folder / "data").is_dir():
        # Repositories of the Hub keep their Parquet files in this subfolder.
        return _folder_sources(folder / "data", options, needs_train=needs_train)
    splits = {file: split_from_name(data_stem(file)) for file in files}
    named = {file.name: split for file, split in splits.items()}
    _check_splits(named, str(folder), needs_train=needs_train)
    skipped = [file.name for file, split in splits.items() if split is None]
    notes = [f"files of the folder that are not read: {', '.join(skipped)}"] if skipped else []
    sources: list[DataSource] = []
    for split in SPLIT_WORDS:
        split_files = [file for file, file_split in splits.items() if file_split == split]
        if len({data_suffix(file) for file in split_files}) > 1:
            raise UsageError(
                f"{folder} holds its {split} split in several formats",
                cause=", ".join(file.name for file in split_files),
                fix="keep one of them, or name the files with flags",
            )
        sources += [
            DataSource(file.name, read_table(file, options), split, file=file) for file in split_files
        ]
    return LoadedSources(sources, notes)


def _data_files(folder: Path) -> Iterator[Path]:
    """Yield the files with a known suffix, and the files with any suffix whose name contains a split."""
    known = {*READERS, *CONLL_SUFFIXES} - {"", ".txt"}
    for file in folder.iterdir():
        if file.is_file() and not file.name.startswith("."):
            names_split = split_from_name(data_stem(file)) is not None
            if data_suffix(file) in known or names_split:
                yield file


def _check_splits(splits: dict[str, str | None], origin: str, *, needs_train: bool) -> None:
    found = splits.values()
    if "train" in found or (not needs_train and any(found)):
        return
    wanted = "train" if needs_train else "test"
    raise UsageError(
        f"{origin} has no {'training split' if needs_train else 'split'}",
        cause=f"it holds: {', '.join(splits) or 'no data file'}",
        fix=f"name a file, or rename one to {wanted}.csv, {wanted}.jsonl, {wanted}.parquet or {wanted}.conll",
    )


def _load_saved(folder: Path) -> dict[str, Table]:
    """Load a folder of `save_to_disk`: one table per split, or one table under the name of the folder.

    Raises:
        UsageError: the folder is damaged.
    """
    import datasets

    try:
        return dataset_tables(datasets.load_from_disk(str(folder)), folder.name)
    except (OSError, ValueError, KeyError) as exc:
        raise UsageError(
            f"{folder} cannot be read as a saved data set", cause=_first_line(exc), fix="save it again"
        ) from None


def load_from_hub(name: str) -> dict[str, Table]:
    """Load NAME, OWNER/NAME or OWNER/NAME:CONFIG from the Hub or its local cache, one table per split.

    Raises:
        UsageError: the data set does not exist, or it cannot be loaded.
    """
    import datasets

    path, _, configuration = name.partition(":")
    try:
        return dataset_tables(datasets.load_dataset(path, configuration or None), path)
    except Exception as exc:
        # The library raises many exception classes, including those of its HTTP client.
        raise UsageError(
            f"{name} is neither a local file or folder, nor a data set of the Hub that can be loaded",
            cause=_first_line(exc),
            fix="name an existing file, or check the data set's name and configuration (OWNER/NAME:CONFIG)",
        ) from exc


def dataset_tables(loaded: Any, name: str) -> dict[str, Table]:
    """Convert a `DatasetDict` or `Dataset` to tables by split; a `Dataset` gets the given name."""
    splits = loaded if hasattr(loaded, "keys") else {name: loaded}
    return {str(split): _table(dataset) for split, dataset in splits.items()}


def _table(dataset: Any) -> Table:
    class_names = {}
    for column, described in dataset.features.items():
        feature = described[0] if isinstance(described, list) and described else described
        inner: Any = getattr(feature, "feature", feature)
        with contextlib.suppress(AttributeError, TypeError):
            class_names[column] = list(inner.names)
    return Table(list(dataset.column_names), dataset.to_list(), class_names)


def _first_line(exc: Exception) -> str:
    return (str(exc).strip() or type(exc).__name__).splitlines()[0]
