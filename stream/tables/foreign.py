"""Formats that are refused by name, each with the way to convert it."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stream.errors import UsageError
from stream.tables.packing import unpacked_name

READ = ".csv, .tsv, .txt, .jsonl, .ndjson, .json; compressed with .gz, .bz2, .xz or .zst; .parquet"
TAR_MAGIC = slice(257, 262)
HTML = re.compile(rb"\s*<(!doctype html|html)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ForeignFormat:
    """A format that is not read.

    Attributes:
        name: the name in messages, with its article.
        suffixes: the suffixes of its files.
        magic: the bytes with which its files begin.
        fix: returns the way to convert a file.
    """

    name: str
    suffixes: tuple[str, ...]
    magic: tuple[bytes, ...]
    fix: Callable[[Path], str]


def refuse_suffix(path: Path, suffix: str, supported: str = READ) -> None:
    """Refuse a file with the suffix of a format that is not read.

    Raises:
        UsageError: the format is not read.
    """
    found = next((one for one in FOREIGN if suffix in one.suffixes), None)
    if found is not None:
        raise _refusal(path, str(path), found, supported)


def refuse_content(path: Path, name: str, head: bytes) -> None:
    """Refuse a file whose first bytes are those of a format that is not read.

    Args:
        path: the file.
        name: the name of the file in messages.
        head: its first bytes.

    Raises:
        UsageError: the format is not read.
    """
    found = next((one for one in FOREIGN if head.startswith(one.magic)), None)
    if found is None and head[TAR_MAGIC] == b"ustar":
        found = TAR
    if found is ZIP and b"[Content_Types].xml" in head[:4096]:
        found = EXCEL
    if found is None and HTML.match(head):
        found = WEB_PAGE
    if found is not None:
        raise _refusal(path, name, found, READ)


def _refusal(path: Path, name: str, found: ForeignFormat, supported: str) -> UsageError:
    return UsageError(
        f"cannot read {name}", cause=f"it is {found.name}; supported: {supported}", fix=found.fix(path)
    )


def _pandas(reader: str) -> Callable[[Path], str]:
    def fix(path: Path) -> str:
        target = str(path.with_suffix(".jsonl"))
        code = (
            f"import pandas; pandas.{reader}({str(path)!r}).to_json({target!r}, orient='records', lines=True)"
        )
        return f"where pandas and pyarrow are installed: python -c {shlex.quote(code)}"

    return fix


def _arrow(path: Path) -> str:
    # `datasets` writes Arrow streams; Feather files and Arrow files begin with their own magic.
    try:
        with path.open("rb") as file:
            is_file = file.read(6).startswith((b"ARROW1", b"FEA1"))
    except OSError:
        is_file = False
    if is_file:
        return _pandas("read_feather")(path)
    source, target = str(path), str(path.with_suffix(".jsonl"))
    code = f"import datasets; datasets.Dataset.from_file({source!r}).to_json({target!r})"
    return f"where datasets is installed: python -c {shlex.quote(code)}"


def _parquet(path: Path) -> str:
    unpacked = unpacked_name(path)
    if unpacked != path:
        return f"unpack the file, and name {unpacked}: Parquet compresses its columns itself"
    renamed = path.with_suffix(".parquet")
    rename = "" if path == renamed else f"name the file {renamed}; or "
    return f"{rename}{_pandas('read_parquet')(path)}"


def _command(template: str) -> Callable[[Path], str]:
    return lambda path: template.format(file=shlex.quote(str(path)))


EXCEL = ForeignFormat(
    "a spreadsheet",
    (".xlsx", ".xlsm", ".xls", ".ods", ".numbers"),
    (b"\xd0\xcf\x11\xe0",),
    _command('open {file} in a spreadsheet program and save it as "CSV UTF-8"'),
)
ZIP = ForeignFormat(
    "a zip archive",
    (".zip",),
    (b"PK\x03\x04", b"PK\x05\x06"),
    _command("unzip {file}, and name the file that it contained"),
)
TAR = ForeignFormat(
    "a tar archive",
    (".tar", ".tgz", ".tbz2", ".txz"),
    (),
    _command("tar -xf {file}, and name the file that it contained"),
)
WEB_PAGE = ForeignFormat(
    "a web page, such as the error page of a download",
    (".html", ".htm"),
    (),
    _command("download {file} again; a file with an HTML text on each line: --format text"),
)
PARQUET = ForeignFormat("a Parquet file", (".parquet", ".pq"), (b"PAR1\x15",), _parquet)
FOREIGN = (
    EXCEL,
    ZIP,
    TAR,
    WEB_PAGE,
    PARQUET,
    ForeignFormat("an Arrow file", (".arrow", ".feather", ".ftr"), (b"ARROW1\0", b"FEA1\0"), _arrow),
    ForeignFormat(
        "a pickle, which can run any program when it is read",
        (".pkl", ".pickle", ".p"),
        tuple(bytes((0x80, protocol)) for protocol in (2, 3, 4, 5)),
        lambda path: f"if you trust its author, {_pandas('read_pickle')(path)}",
    ),
    ForeignFormat(
        "a Git LFS pointer, not the file itself",
        (),
        (b"version https://git-lfs.github.com/spec/",),
        _command("git lfs pull --include {file}"),
    ),
    ForeignFormat("a 7-Zip archive", (".7z",), (b"7z\xbc\xaf\x27\x1c",), _command("7z x {file}")),
    ForeignFormat("a RAR archive", (".rar",), (b"Rar!\x1a\x07",), _command("unrar x {file}")),
    ForeignFormat("lz4 data", (".lz4",), (b"\x04\x22\x4d\x18",), _command("lz4 -d {file}")),
    ForeignFormat(
        "an SQLite database",
        (".sqlite", ".sqlite3", ".db"),
        (b"SQLite format 3\0",),
        _command('sqlite3 -header -csv {file} "SELECT * FROM your_table" > table.csv'),
    ),
    ForeignFormat("an HDF5 file", (".h5", ".hdf5"), (b"\x89HDF",), _pandas("read_hdf")),
    ForeignFormat("a PDF file", (".pdf",), (b"%PDF-",), _command("export the texts in {file} as CSV")),
)
