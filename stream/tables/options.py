"""The options that describe the format of a data file."""

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from stream.errors import UsageError

Format = Literal["csv", "tsv", "jsonl", "json", "text", "parquet"]
Quoting = Literal["minimal", "none"]
FORMATS: tuple[Format, ...] = get_args(Format)

SUFFIX_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
}
"""The formats by suffix; .txt files, files without suffix and standard input are recognised by content."""

STANDARD_INPUT = Path("-")


@dataclass(frozen=True, slots=True)
class TableOptions:
    """The format of a data file, as far as its name and content do not determine it.

    Attributes:
        format: the format; None leaves the choice to the suffix and the first lines.
        encoding: the name of the character encoding; None is UTF-8, or the encoding of a byte-order mark.
        quoting: `minimal`: a quoted field may contain delimiters and line breaks; `none`: quotes are text.
        header: whether the first line of a CSV or TSV file names the columns; if not, the columns are named
            "1", "2", ….
        text_column: the column whose name in the first line marks a .txt file as a table; without it, each
            line is a text. None: a .txt file is always a table.
        metadata: the names of the columns that may also be members of a JSON row's `metadata`.

    Raises:
        UsageError: the format, the quoting or the encoding is unknown.
    """

    format: Format | None = None
    encoding: str | None = None
    quoting: Quoting = "minimal"
    header: bool = True
    text_column: str | None = None
    metadata: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_choice("--format", self.format, FORMATS)
        _check_choice("--quoting", self.quoting, get_args(Quoting))
        if self.encoding is not None and not _is_text_encoding(self.encoding):
            raise UsageError(
                f"--encoding {self.encoding!r} is unknown",
                cause="it is not the name of a character encoding in Python",
                fix="use a name such as utf-8, utf-16, windows-1252, gb18030 or shift_jis",
            )


def _check_choice(flag: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise UsageError(f"{flag} {value!r} is unknown", fix=f"use one of: {', '.join(choices)}")


def _is_text_encoding(name: str) -> bool:
    try:
        # Codecs such as base64 transform bytes to bytes, rot13 texts to texts, and `idna` rejects ordinary
        # lines.
        b"a".decode(name)
    except UnicodeDecodeError:
        # One byte is no character of UTF-16.
        pass
    except (LookupError, ValueError):
        return False
    return codecs.lookup(name).name.replace("_", "-") not in NOT_FOR_FILES


NOT_FOR_FILES = ("idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined", "mbcs", "oem")
