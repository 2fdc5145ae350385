"""Parse the spans in a cell: lists [start, end, label] and objects with a start, an end and a label."""

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

START_KEYS = ("start", "start_offset", "startOffset", "start_char", "begin", "beginOffset", "BeginOffset")
END_KEYS = ("end", "end_offset", "endOffset", "end_char", "stop", "EndOffset")
LABEL_KEYS = ("label", "labels", "type", "tag", "entity_group", "entity", "category", "Type")
OFFSET_KEY, LENGTH_KEY = "offset", "length"

_LIST_OF_ITEMS = re.compile(r"\s*[\[(]\s*[\[({\])]")


class CharSpan(NamedTuple):
    """A labelled range of characters, from `start` to before `end`.

    Attributes:
        start: the offset of the first character.
        end: the offset after the last character.
        label: the type.
        quoted: the text of the span, if the tool wrote it.
    """

    start: int
    end: int
    label: str
    quoted: str | None = None


def parse_items(cell: Any) -> list[Any] | None:
    """Return the items of a cell that holds a list, also as text in JSON or Python; None for others."""
    if isinstance(cell, str) and _LIST_OF_ITEMS.match(cell):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            cell = _python_value(cell)
    return list(cell) if isinstance(cell, list | tuple) else None


def _python_value(text: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def parse_span(item: Any) -> list[CharSpan]:
    """Return the span that an item describes, once for each of its labels; empty if it describes none."""
    if not resembles_span(item):
        return []
    if isinstance(item, Mapping):
        start, end, labels = _start(item), _end(item), _first(item, LABEL_KEYS)
        quoted = item.get("text")
    else:
        (start, end, labels), quoted = item[:3], None
    first, last = _as_offset(start), _as_offset(end)
    names = labels if isinstance(labels, list | tuple) else [labels]
    if first is None or last is None or not all(_is_label(name) for name in names):
        return []
    text = quoted if isinstance(quoted, str) else None
    return [CharSpan(first, last, str(name).strip(), text) for name in names]


def resembles_span(item: Any) -> bool:
    """Return True if an item has the members of a span, whatever their values and their order are."""
    if isinstance(item, Mapping):
        return all(value is not None for value in (_start(item), _end(item), _first(item, LABEL_KEYS)))
    if not isinstance(item, list | tuple) or len(item) < 3:
        return False
    return isinstance(item[2], str) or _is_label_first(item)


def _is_label_first(item: Sequence[Any]) -> bool:
    """Return True for [label, start, end], which is refused: the text may be that of the span as well."""
    offsets = all(isinstance(value, int) and not isinstance(value, bool) for value in item[1:3])
    return isinstance(item[0], str) and offsets


def distinct_spans(items: Sequence[Any]) -> Iterator[CharSpan]:
    """Yield the distinct spans of the items, in their order."""
    yield from dict.fromkeys(span for item in items for span in parse_span(item))


def _start(item: Mapping[str, Any]) -> Any:
    return _first(item, (*START_KEYS, OFFSET_KEY)) if LENGTH_KEY in item else _first(item, START_KEYS)


def _end(item: Mapping[str, Any]) -> Any:
    """Return the end of a span; some tools write the length in its place."""
    end, start, length = _first(item, END_KEYS), _as_offset(_start(item)), _as_offset(item.get(LENGTH_KEY))
    return end if end is not None or start is None or length is None else start + length


def _first(item: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((item[key] for key in keys if item.get(key) is not None), None)


def _as_offset(value: Any) -> int | None:
    """Return an offset as a number; None if it is none. Tables that pandas wrote hold 3.0 for 3."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def _is_label(value: Any) -> bool:
    return isinstance(value, str | int) and bool(str(value).strip())
