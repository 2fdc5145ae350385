"""Where the rows come from: one file, a file per split, a saved data set, or a data set of the Hub."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stream.errors import UsageError
from trainer.data.conll import ENDINGS
from trainer.data.files import Layout, Table, stem_of, suffix_of
from trainer.data.saved_sets import is_saved_set, load_from_hub, load_saved_set
from trainer.data.tables import READERS, read_table

SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "devel", "development", "trial"),
    "test": ("test", "testing"),
}
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(:[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class Source:
    """One table and where it came from.

    Attributes:
        name: of the file, or of the part of a data set.
        table: its rows.
        split: "train", "validation" or "test" where its name or its flag says so.
        extra: whether it was brought for training only.
        file: None when it is no single file.
    """

    name: str
    table: Table
    split: str | None = None
    extra: bool = False
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """All sources in the order train, validation, test, extra, and what was passed over."""

    sources: list[Source]
    notes: list[str]


def find_sources(
    path: Path | str, layout: Layout, validation: Path | None, test: Path | None, extra: Path | None
) -> Found:
    """Read what a path names and the files that came by flag.

    Raises:
        UsageError: nothing can be read there, or a split came twice.
    """
    found = _main(Path(path), layout)
    named = {source.split for source in found.sources}
    for split, file in (("validation", validation), ("test", test)):
        if file is not None and split in named:
            raise UsageError(
                f"two {split} parts",
                cause=f"{path} has one, and --{split}-file names another",
                fix=f"leave --{split}-file out, or name only the training file",
            )
    sources = list(found.sources)
    if validation or test:
        sources = [Source(s.name, s.table, s.split or "train", file=s.file) for s in sources]
    for split, file in (("validation", validation), ("test", test)):
        if file is not None:
            sources.append(Source(file.name, read_table(file, layout), split, file=file))
    if extra is not None:
        sources.append(Source(extra.name, read_table(extra, layout), "train", extra=True, file=extra))
    return Found(sources, found.notes)


def split_of(name: str) -> str | None:
    """The split that a file's or part's name speaks of; None for none, or for several."""
    words = set(re.findall(r"[a-z]+", name.lower()))
    # Names such as wnut17train join the word to digits only.
    found = [split for split, known in SPLIT_WORDS.items() if words & set(known)]
    return found[0] if len(found) == 1 else None


def _main(path: Path, layout: Layout) -> Found:
    if path.is_dir():
        return _parts(load_saved_set(path)) if is_saved_set(path) else _folder(path, layout)
    if not path.exists() and HUB_ID.fullmatch(str(path)) and suffix_of(path) not in READERS.keys() - {""}:
        return _parts(load_from_hub(str(path)))
    return Found([Source(path.name, read_table(path, layout), file=path)], [])


def _parts(tables: dict[str, Table]) -> Found:
    """The parts of a data set; one part alone is no split."""
    if len(tables) == 1:
        return Found([Source(name, table) for name, table in tables.items()], [])
    splits = {name: split_of(name) for name in tables}
    _check_train(splits, "the data set")
    passed = [name for name, split in splits.items() if split is None]
    notes = [f"parts of the data set that are not read: {', '.join(passed)}"] if passed else []
    sources = [
        Source(name, tables[name], split)
        for split in SPLIT_WORDS
        for name, found in splits.items()
        if found == split
    ]
    return Found(sources, notes)


def _folder(folder: Path, layout: Layout) -> Found:
    files = sorted(_data_files(folder))
    if not files and (folder / "data").is_dir():
        # Repositories of the Hub keep their Parquet files there.
        return _folder(folder / "data", layout)
    splits = {file: split_of(stem_of(file)) for file in files}
    _check_train({file.name: split for file, split in splits.items()}, str(folder))
    passed = [file.name for file, split in splits.items() if split is None]
    notes = [f"files of the folder that are not read: {', '.join(passed)}"] if passed else []
    sources: list[Source] = []
    for split in SPLIT_WORDS:
        of_split = [file for file, found in splits.items() if found == split]
        if len({suffix_of(file) for file in of_split}) > 1:
            raise UsageError(
                f"{folder} holds several forms of its {split} part",
                cause=", ".join(file.name for file in of_split),
                fix="keep one of them, or name the files with flags",
            )
        sources += [Source(file.name, read_table(file, layout), split, file=file) for file in of_split]
    return Found(sources, notes)


def _data_files(folder: Path) -> Iterator[Path]:
    """Files of known endings, and those whose name says a split, whatever their ending."""
    known = {*READERS, *ENDINGS} - {"", ".txt"}
    for file in folder.iterdir():
        if file.is_file() and not file.name.startswith("."):
            named = split_of(stem_of(file)) is not None
            if suffix_of(file) in known or named:
                yield file


def _check_train(splits: dict[str, str | None], where: str) -> None:
    if "train" not in splits.values():
        raise UsageError(
            f"{where} has no training part",
            cause=f"it holds: {', '.join(splits) or 'no data file'}",
            fix="name a file, or call one train.csv, train.jsonl, train.parquet or train.conll",
        )
