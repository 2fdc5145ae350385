"""Parse table rows into examples; rows without a text or a target are reported by row number."""

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stream.bundle import Task
from stream.classify import as_category, as_number
from stream.errors import UsageError
from trainer.data.columns import Columns
from trainer.data.examples import Example, Target
from trainer.data.sources import DataSource

SEPARATORS = (",", "|", ";")
TRUE_CELLS, FALSE_CELLS = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")

Cells = Mapping[str, Any]
"""The cells of a row by column name."""


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """How the cells of a row encode the target.

    Attributes:
        column: the label column.
        columns: for multi-label, one column of 0 and 1 per label, in place of `column`.
        separator: the separator of labels in one cell; None if a cell holds one label or a list.
        class_names: the names of integer labels; None if the cells hold the names themselves.
    """

    column: str
    columns: tuple[str, ...] = ()
    separator: str | None = None
    class_names: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class ParsedRows:
    """The examples of the usable rows, the numbers of the other rows, and notes for the data report."""

    examples: list[Example]
    no_text: list[int]
    no_label: list[int]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class _WordCell:
    """The words of a row.

    Attributes:
        text: the words joined by spaces, or the unmodified cell if it is a text.
        spans: the start and end of each non-empty word in `text`, in characters.
        kept: the indices of the non-empty words.
        count: the number of words, including empty ones.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    kept: list[int]
    count: int


def parse_rows(
    sources: Sequence[DataSource], task: Task, columns: Columns, label_format: LabelFormat
) -> ParsedRows:
    """Parse the rows of all sources; row numbers start at 1 and continue over all sources.

    Raises:
        UsageError: a cell does not have the format that the task requires.
    """
    parse_target = target_parser(task, label_format)
    examples: list[Example] = []
    no_text: list[int] = []
    no_label: list[int] = []
    empty_words = 0
    rows = ((source, row) for source in sources for row in source.table.rows)
    for number, (source, row) in enumerate(rows, 1):
        words = _parse_words(row.get(columns.text), columns.text, number) if task == "token" else None
        text = words.text if words else as_text(row.get(columns.text), columns.text, number)
        pair = as_text(row.get(columns.text_pair), columns.text_pair, number) if columns.text_pair else None
        if text is None or not text.strip() or (columns.text_pair and pair is None):
            no_text.append(number)
            continue
        target = parse_target(row, number)
        if target is None:
            no_label.append(number)
            continue
        if words is not None and isinstance(target, tuple):
            target = _tags_of_kept_words(target, words, number)
            empty_words += words.count - len(words.kept)
        row_id, time, group = (
            as_text(row.get(name), name, number) if name else None
            for name in (columns.id, columns.time, columns.group)
        )
        examples.append(
            Example(
                number,
                text,
                target,
                text_pair=pair,
                metadata={name: row.get(name) for name in columns.metadata} if columns.metadata else None,
                word_spans=words.spans if words else (),
                id=row_id,
                time=time,
                group=group,
                split=source.split,
                extra=source.extra,
            )
        )
    notes = [f"{empty_words} empty words were skipped"] if empty_words else []
    return ParsedRows(examples, no_text, no_label, notes)


def _parse_words(cell: Any, column: str, number: int) -> _WordCell | None:
    """Parse a list of words, which are joined by spaces, or split a text at white space."""
    items = as_list(cell, column, number)
    if items is None:
        text = as_text(cell, column, number)
        if text is None:
            return None
        text_spans = tuple(match.span() for match in re.finditer(r"\S+", text))
        return _WordCell(text, text_spans, list(range(len(text_spans))), len(text_spans))
    words = ["" if item is None else str(item) for item in items]
    kept = [index for index, word in enumerate(words) if word]
    spans: list[tuple[int, int]] = []
    start = 0
    for index in kept:
        spans.append((start, start + len(words[index])))
        start += len(words[index]) + 1
    return _WordCell(" ".join(words[index] for index in kept), tuple(spans), kept, len(words))


def _tags_of_kept_words(tags: tuple[str, ...], words: _WordCell, number: int) -> tuple[str, ...]:
    if len(tags) != words.count:
        raise UsageError(
            f"row {number} has {words.count} words and {len(tags)} tags",
            cause="each word has one tag",
            fix="correct the row, or check --text-column and --label-column",
        )
    return tuple(tags[index] for index in words.kept)


def as_text(value: Any, column: str, number: int) -> str | None:
    """Return a cell as text, or None if it is empty.

    Raises:
        UsageError: the cell holds a list, an object or bytes.
    """
    if isinstance(value, list | tuple | dict | bytes):
        raise UsageError(
            f"row {number}: column {column!r} holds a {type(value).__name__}, not a text",
            cause="the column must hold a single value per row",
            fix="name another column or --task (multi-label and token accept lists), or flatten the column",
        )
    # Tools that store columns as floats write numeric labels as 1.0, and a missing label as nan.
    text = as_category(value)
    return text if text is not None and text.strip() else None


def as_list(value: Any, column: str, number: int) -> list[Any] | None:
    """Return a cell as a list, also if it is a list in JSON or Python syntax; None for any other cell.

    Raises:
        UsageError: the cell starts and ends like a list but cannot be parsed.
    """
    if isinstance(value, list | tuple):
        return list(value)
    text = value.strip() if isinstance(value, str) else ""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        items = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise UsageError(
            f"row {number}: column {column!r} holds a list that cannot be parsed",
            cause=f"it begins {text[:40]!r}",
            fix='write it as ["a", "b"]',
        ) from None
    return list(items)


def target_parser(task: Task, label_format: LabelFormat) -> Callable[[Cells, int], Target | None]:
    """Return the function that parses the target of a row, given its cells and its number.

    The function returns None if the row has no target, and raises UsageError if a cell does not have the
    format that the task requires.
    """
    column = label_format.column

    def parse_label(row: Cells, number: int) -> str | None:
        return _parse_class(row.get(column), label_format, number)

    def parse_number(row: Cells, number: int) -> float | None:
        return as_number(as_text(row.get(column), column, number))

    def parse_labels(row: Cells, number: int) -> tuple[str, ...] | None:
        items = as_list(row.get(column), column, number)
        if items is None:
            text = as_text(row.get(column), column, number)
            if text is None:
                return None
            items = text.split(label_format.separator) if label_format.separator else [text]
        stripped = (item.strip() if isinstance(item, str) else item for item in items)
        labels = (_parse_class(item, label_format, number) for item in stripped)
        return tuple(dict.fromkeys(label for label in labels if label is not None))

    def parse_indicators(row: Cells, number: int) -> tuple[str, ...] | None:
        indicators = {name: _parse_indicator(row.get(name), name, number) for name in label_format.columns}
        if all(indicator is None for indicator in indicators.values()):
            return None
        return tuple(name for name, indicator in indicators.items() if indicator)

    def parse_tags(row: Cells, number: int) -> tuple[str, ...] | None:
        items = as_list(row.get(column), column, number)
        if items is None:
            # Tags are often written as one text, like the words; an empty cell has no tags.
            text = as_text(row.get(column), column, number)
            items = text.split() if text is not None else []
        tags = [_parse_class(item, label_format, number) for item in items]
        return tuple(tag for tag in tags if tag) if tags and all(tags) else None

    if task == "regression":
        return parse_number
    if task == "token":
        return parse_tags
    if task == "multi-label":
        return parse_indicators if label_format.columns else parse_labels
    return parse_label


def _parse_class(cell: Any, label_format: LabelFormat, number: int) -> str | None:
    """Return the label or tag in a cell; an integer label is replaced by its class name."""
    text = as_text(cell, label_format.column, number)
    class_names = label_format.class_names
    if text is None or class_names is None:
        return text
    index = as_number(text)
    # Data sets write -1 where the label is withheld.
    if index == -1:
        return None
    if index is None or not index.is_integer() or not 0 <= index < len(class_names):
        if text in class_names:
            return text
        raise UsageError(
            f"row {number}: {text!r} in column {label_format.column!r} is not the number of a label",
            cause=f"there are names for 0 to {len(class_names) - 1}",
            fix="check the column and the list of label names (line 1 is the name of 0)",
        )
    return class_names[int(index)]


def _parse_indicator(cell: Any, column: str, number: int) -> bool | None:
    text = as_text(cell, column, number)
    if text is None:
        return None
    if text.strip().lower() in TRUE_CELLS:
        return True
    if text.strip().lower() in FALSE_CELLS:
        return False
    raise UsageError(
        f"row {number}: column {column!r} holds {text[:40]!r}",
        cause="a label column holds 1 if the label applies, and 0 if not",
        fix="name other --label-columns, or use one --label-column with a --label-separator",
    )


def guess_separator(cells: Sequence[Any]) -> str | None:
    """Return the separator that most cells contain; None if no cell contains one, or all cells are lists."""
    texts = [cell for cell in cells if isinstance(cell, str) and not cell.strip().startswith("[")]
    counts = {separator: sum(separator in text for text in texts) for separator in SEPARATORS}
    most_frequent = max(SEPARATORS, key=counts.__getitem__)
    return most_frequent if counts[most_frequent] else None
