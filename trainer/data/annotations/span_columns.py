"""Find the column of spans in a table, and convert it to the words and tags that the task token reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from stream.errors import UsageError
from trainer.data.annotated_text import AnnotatedText
from trainer.data.annotations.alignment import Alignment, align, from_utf16, misfits, split_words
from trainer.data.annotations.spans import (
    CharSpan,
    distinct_spans,
    parse_items,
    parse_span,
    resembles_span,
)
from trainer.data.columns import TAG_NAMES, TEXT_NAMES, WORD_NAMES, RequestedColumns
from trainer.data.files import Table

ANNOTATED_TEXT_NAMES = (*TEXT_NAMES, "data", "document", "raw")
ANNOTATION_ID = "annotation_id"
MAX_ROW_NUMBERS = 10

CORRECTIONS = {
    "inside": "begin or end inside a word and were extended to the whole word",
    "overlapping": "share a word with a longer span and were left out",
    "trimmed": "had white space at an edge, which was removed",
    "empty": "hold no character and were left out",
}


class AnnotatedRow(NamedTuple):
    """A row with spans.

    Attributes:
        number: the row number.
        text: the text.
        spans: the spans, whose offsets count the characters or the UTF-16 code units of the text.
    """

    number: int
    text: str
    spans: list[CharSpan]


def convert_spans(table: Table, requested: RequestedColumns, name: str, first_row: int) -> Table:
    """Return the table with words and tags in place of texts and spans, if one of its columns holds spans.

    A row without a list of spans has no tags, and neither has a row with a span that does not fit its text:
    its true spans are not known.

    Args:
        table: the rows.
        requested: the columns that the user named.
        name: the name of the source, for messages.
        first_row: the number of the first row.

    Raises:
        UsageError: several columns hold spans, a span cannot be parsed, or most rows have a span that does
            not fit.
    """
    label = _span_column(table, requested, name)
    if label is None:
        return table
    text = requested.text or _text_column(table, label, name)
    rows = list(_annotated_rows(table, text, label, name, first_row))
    _check_types(rows, label, name)
    utf16 = _counts_utf16(rows)
    converted = {number: {**row, label: None} for number, row in enumerate(table.rows, first_row)}
    alignments = {}
    for row in rows:
        words = split_words(row.text)
        alignments[row.number] = _align(row, words, utf16=utf16)
        converted[row.number][text] = AnnotatedText(row.text, tuple(words))
        converted[row.number][label] = alignments[row.number].tags
    notes = _notes(alignments, name)
    if utf16:
        notes.append(
            f"{name}: the offsets of spans count UTF-16 code units; they were converted to characters"
        )
    return replace(
        table,
        rows=list(converted.values()),
        default_columns=(text, label),
        notes=[*table.notes, *notes],
    )


def _span_column(table: Table, requested: RequestedColumns, name: str) -> str | None:
    """Return the column that holds lists of spans; None if there is none."""
    if requested.label is not None:
        return requested.label if _holds_spans(table, requested.label) else None
    if _holds_words_and_tags(table):
        return None
    # The tokens of spaCy and Prodigy have offsets, too.
    other = (requested.text, *WORD_NAMES)
    resembling = [column for column in table.columns if column not in other and _holds_spans(table, column)]
    # Triples of another order may be relations, which stand beside the spans.
    found = [column for column in resembling if _holds_readable_spans(table, column)] or resembling
    if len(found) > 1:
        raise UsageError(
            f"{name} holds spans in several columns",
            cause=f"the columns are: {', '.join(found)}",
            fix=f"name one of them: --label-column {found[0]}",
        )
    return found[0] if found else None


def _holds_spans(table: Table, column: str) -> bool:
    """Return True if a cell holds a list with a span, whatever its values are."""
    return any(map(resembles_span, _column_items(table, column)))


def _holds_readable_spans(table: Table, column: str) -> bool:
    return any(map(parse_span, _column_items(table, column)))


def _column_items(table: Table, column: str) -> Iterator[Any]:
    """Yield the items of the lists in a column, without lists of words or tags, of which there are many."""
    for row in table.rows:
        items = parse_items(row.get(column))
        if items and not isinstance(items[0], str):
            yield from items


def _holds_words_and_tags(table: Table) -> bool:
    """Return True if the rows hold lists of words and lists of tags beside their spans."""

    def holds_list(names: Sequence[str], kinds: type | tuple[type, ...]) -> bool:
        columns = [column for column in table.columns if column.lower() in names]
        cells = [next((row[c] for row in table.rows if row.get(c)), None) for c in columns]
        return any(isinstance(cell, list) and all(isinstance(i, kinds) for i in cell) for cell in cells)

    return holds_list(WORD_NAMES, str) and holds_list(TAG_NAMES, (str, int))


def _text_column(table: Table, label: str, name: str) -> str:
    """Guess the column of the text: by its name, or because no other column holds texts."""
    texts = [
        column
        for column in table.columns
        if column != label
        and any(row.get(column) for row in table.rows)
        and all(isinstance(row.get(column), str | None) for row in table.rows)
    ]
    named = [column for column in texts if column.lower() in ANNOTATED_TEXT_NAMES]
    exact = [column for column in named if column.lower() == "text"]
    for found in (exact, named, texts):
        if len(found) == 1:
            return found[0]
    raise UsageError(
        f"cannot guess the text column of {name}",
        cause=f"column {label!r} holds spans, and the columns of texts are: {', '.join(texts) or 'none'}",
        fix="name it: --text-column NAME",
    )


def _annotated_rows(table: Table, text: str, label: str, name: str, first_row: int) -> Iterator[AnnotatedRow]:
    for number, row in enumerate(table.rows, first_row):
        items, content = _items(row, label), row.get(text)
        if items is None or not content:
            continue
        if not isinstance(content, str):
            raise UsageError(
                f"{name}, row {number}: column {text!r} holds a {type(content).__name__}, not a text",
                cause=f"the spans in column {label!r} are ranges of the characters of a text",
                fix="name the column of the text: --text-column NAME",
            )
        unreadable = next((item for item in items if not parse_span(item)), None)
        if unreadable is not None:
            raise UsageError(
                f"{name}, row {number}: an item of column {label!r} is no span: {str(unreadable)[:60]}",
                cause="a span is [start, end, label], or an object with a start, an end (or a length) and a "
                "label; offsets are whole numbers",
                fix="write the spans in this way; export regions of HTML or of paragraphs as plain text",
            )
        yield AnnotatedRow(number, content, list(distinct_spans(items)))


def _check_types(rows: Sequence[AnnotatedRow], label: str, name: str) -> None:
    """Refuse types that are all numbers: ids of labels, whose names the tool did not export."""
    numbers = sorted({span.label for row in rows for span in row.spans})
    if numbers and all(number.lstrip("-").isdecimal() for number in numbers):
        row = next(row for row in rows if row.spans)
        raise UsageError(
            f"{name}, row {row.number}: the labels of the spans in column {label!r} are numbers: "
            + ", ".join(numbers[:MAX_ROW_NUMBERS]),
            cause="they are ids of an annotation tool, and the file does not hold their names",
            fix='export the names of the labels (doccano: "JSON (Text label)"), or write them as labels',
        )


def _items(row: Mapping[str, Any], label: str) -> list[Any] | None:
    """Return the items of a row; None if the row is not annotated.

    A cell that is no list is an item that is no span.
    """
    cell = row.get(label)
    if cell is None or cell == "":
        # The short export of Label Studio omits the spans of an annotation without any.
        return [] if row.get(ANNOTATION_ID) is not None else None
    items = parse_items(cell)
    return [cell] if items is None else items


def _counts_utf16(rows: Sequence[AnnotatedRow]) -> bool:
    """Return True if offsets fit better as UTF-16 code units, which JavaScript counts.

    Texts in which every character is one code unit, and spans before the first other character, decide
    nothing.
    """
    characters = units = 0
    for row in rows:
        if any(ord(char) > 0xFFFF for char in row.text):
            words = split_words(row.text)
            characters += misfits(row.text, words, row.spans)
            units += misfits(row.text, words, from_utf16(row.text, row.spans))
    return units < characters


def _align(row: AnnotatedRow, words: Sequence[tuple[int, int]], *, utf16: bool) -> Alignment:
    readings = [row.spans, from_utf16(row.text, row.spans)]
    if utf16:
        readings.reverse()
    aligned = align(row.text, words, readings[0])
    if aligned.tags is None and any(span.quoted is not None for span in row.spans):
        # Versions of Label Studio count differently, and the quoted texts show which one wrote a row.
        return align(row.text, words, readings[1])
    return aligned


def _notes(alignments: dict[int, Alignment], name: str) -> list[str]:
    """Return notes on the alignment.

    Raises:
        UsageError: most rows have a span that does not fit their text.
    """
    unfit = [number for number, alignment in alignments.items() if alignment.tags is None]
    if 2 * len(unfit) > len(alignments):
        raise UsageError(
            f"{name}, row {unfit[0]}: a span lies outside its text, or its text is another",
            cause=f"the same holds for {len(unfit)} of {len(alignments)} rows with spans, so the offsets do "
            "not count the characters of this column",
            fix="export texts and spans again, or name the text that was annotated: --text-column NAME",
        )
    total = sum(alignment.spans for alignment in alignments.values())
    none = sum(alignment.tags is not None and not alignment.spans for alignment in alignments.values())
    notes = [
        f"{name}: {total} spans in {len(alignments) - len(unfit)} rows were aligned to words; "
        f"{none} rows have no span"
    ]
    for correction, meaning in CORRECTIONS.items():
        counts = {number: getattr(alignment, correction) for number, alignment in alignments.items()}
        rows = [number for number, count in counts.items() if count]
        if rows:
            notes.append(f"{name}: {sum(counts.values())} spans {meaning} ({_numbers(rows)})")
    if unfit:
        notes.append(
            f"{name}: {len(unfit)} rows were left out, because a span lies outside the text or differs from "
            f"its text ({_numbers(unfit)})"
        )
    return notes


def _numbers(rows: Sequence[Any]) -> str:
    more = ", …" if len(rows) > MAX_ROW_NUMBERS else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {', '.join(map(str, rows[:MAX_ROW_NUMBERS]))}{more}"
