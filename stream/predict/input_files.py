"""The data files in a folder, and the names of their outputs."""

from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from stream.errors import UsageError
from stream.tables import READ, SUFFIX_FORMATS, TableOptions, is_parquet, unpacked_name

# Spark and Hive write these beside the data.
MARKERS = frozenset({"_SUCCESS", "_metadata", "_common_metadata"})
OUTPUT_FORMATS = ("jsonl", "csv", "tsv", "parquet")
COMPRESSED_FORMATS = tuple(f"{name}.{packer}" for name in OUTPUT_FORMATS[:3] for packer in ("gz", "zst"))
FILES_SHOWN = 5


def list_files(folder: Path, options: TableOptions, pattern: str | None = None) -> list[Path]:
    """Return the data files in a folder and its subfolders, relative to it, in order of their names.

    Names that begin with a dot are left out, and so are the markers of Spark.

    Args:
        folder: the folder.
        options: the format of the files, if it is known.
        pattern: a pattern of the relative paths, such as `*.csv`; None for all.

    Raises:
        UsageError: the folder has no data files, or files of unknown formats.
    """
    found = sorted(path for path in _visible(folder) if pattern is None or fnmatch(path.as_posix(), pattern))
    if options.format is None:
        unknown = [path for path in found if not _is_known(path, options)]
        if unknown:
            raise _unknown_error(folder, unknown)
    if not found:
        raise UsageError(
            f"{folder} holds no data files",
            cause=f"no visible file matches --glob {pattern}" if pattern else "it holds no visible files",
            fix="name a folder with data files",
        )
    return found


def output_names(files: list[Path], suffix: str) -> dict[Path, Path]:
    """Return the relative path of the output of each input file.

    Args:
        files: the relative paths of the input files.
        suffix: the suffix of the outputs; empty for a folder for each input file.

    Raises:
        UsageError: two input files have the same output.
    """
    by_name: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        by_name[unpacked_name(file).with_suffix(suffix)].append(file)
    for name, sources in by_name.items():
        if len(sources) > 1:
            raise UsageError(
                f"{sources[0]} and {sources[1]} would both be written to {name}",
                cause="they differ only in their suffixes",
                fix="rename one of them, or choose files with --glob",
            )
    return {sources[0]: name for name, sources in by_name.items()}


def check_folders(folder: Path, output: Path) -> None:
    """Check that neither the input folder nor the output folder is inside the other one.

    Raises:
        UsageError: one is, or the output is a file.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(
            f"cannot write the folder {output}",
            cause="a file has its name",
            fix="name a folder in --output, since the input is a folder or --engine ray is used",
        )
    source, target = folder.resolve(), output.resolve()
    if source == target or source in target.parents or target in source.parents:
        raise UsageError(
            f"cannot write to {output}",
            cause=f"one of {folder} and {output} contains the other, so outputs would be read as inputs",
            fix="name a separate folder in --output",
        )


def _visible(folder: Path) -> Iterator[Path]:
    try:
        entries = [*folder.iterdir()]
    except OSError as exc:
        raise UsageError(
            f"cannot read {folder}", cause=exc.strerror or str(exc), fix="name a folder that you may read"
        ) from None
    for entry in entries:
        if entry.name.startswith(".") or entry.name in MARKERS:
            continue
        if entry.is_dir():
            yield from (Path(entry.name) / path for path in _visible(entry))
        else:
            yield Path(entry.name)


def _is_known(path: Path, options: TableOptions) -> bool:
    suffix = unpacked_name(path).suffix.lower()
    return is_parquet(path, options) or suffix in SUFFIX_FORMATS or suffix == ".txt"


def _unknown_error(folder: Path, unknown: list[Path]) -> UsageError:
    shown = ", ".join(map(str, unknown[:FILES_SHOWN]))
    more = f" and {len(unknown) - FILES_SHOWN} more" if len(unknown) > FILES_SHOWN else ""
    return UsageError(
        f"{folder} holds files of unknown formats: {shown}{more}",
        cause=f"supported: {READ}",
        fix="choose files with --glob, such as --glob '*.csv', or name the format of all files with --format",
    )
