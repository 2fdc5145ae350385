"""CoNLL files: a word and its tags per line, a blank line between sentences."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from trainer.data.files import Layout, Table, open_text

ENDINGS = (".conll", ".iob", ".iob2", ".bio")
DOCUMENT_START = "-DOCSTART-"


def read_conll(path: Path, _layout: Layout) -> Table:
    """Read sentences; a row holds a list per column, columns are "1", "2", …; words first, tags last.

    Fields stand between tabs or, where a line has none, between spaces. Lines that open a document
    (`-DOCSTART-`) are passed over, as are comments between sentences (`# …`) that are no line of fields.

    Raises:
        ValueError: a line has more or fewer fields than the first, or only one.
    """
    with open_text(path) as file:
        sentences = list(_sentences(file))
    width = len(sentences[0]) if sentences else 0
    columns = [str(number) for number in range(1, width + 1)]
    rows = [dict(zip(columns, sentence, strict=True)) for sentence in sentences]
    return Table(columns, rows, usual=(columns[0], columns[-1]) if columns else None)


def _sentences(lines: Iterable[str]) -> Iterator[list[list[str]]]:
    """Sentences as lists of fields by column."""
    width = 0
    words: list[list[str]] = []
    for number, ended in enumerate(lines, 1):
        line = ended.rstrip("\r\n")
        if not line.strip() or line.startswith(DOCUMENT_START):
            if words:
                yield [list(column) for column in zip(*words, strict=True)]
            words = []
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        if not words and line.startswith("# ") and len(fields) != width:
            continue
        width = width or len(fields)
        if len(fields) != width or width < 2:
            raise ValueError(
                f"line {number} has {len(fields)} fields, the first line has {width}; "
                "each line is a word and its tag with a tab or a space between, or blank"
            )
        words.append(fields)
    if words:
        yield [list(column) for column in zip(*words, strict=True)]
