"""Whole text files."""

from pathlib import Path

from stream.tables.decoding import DecodedText
from stream.tables.foreign import refuse_content
from stream.tables.packing import ByteSource


def read_text(path: Path, encoding: str | None = None, *, has_flag: bool = True) -> str:
    """Read a text file, compressed or not, without its byte-order mark; line ends are not translated.

    Args:
        path: the file; `-` is standard input.
        encoding: the name of the encoding; None is UTF-8, or that of a byte-order mark.
        has_flag: whether the command has a flag `--encoding` for this file, which errors then name.

    Raises:
        UsageError: the file cannot be read, or is not a text in this encoding.
    """
    with ByteSource(path) as source:
        refuse_content(path, source.name, source.head)
        return "".join(DecodedText(source, encoding, has_flag=has_flag).chunks())
