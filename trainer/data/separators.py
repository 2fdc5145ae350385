"""The cells of a column, and the separator of several labels in one cell."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trainer.data.cells import CellError, shorten, unwrap_formula
from trainer.data.lists import begins_like_list

SEPARATORS = (",", "|", ";")
"""Marks that separate labels; doccano separates them by "#", which names contain more often."""

BRACKETS = {"(": ")", "[": "]", "{": "}"}
ENTITY = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|[a-zA-Z]\w+);")

Cells = Mapping[str, Any]
"""The cells of a row by column name."""


def guess_separator(cells: Sequence[Any]) -> str | None:
    """Return the separator that cells contain; None if no cell contains one, or all cells are lists.

    Raises:
        CellError: cells contain different separators, so that one of them may be part of a label.
    """
    unwrapped = map(unwrap_formula, cells)
    texts = [cell for cell in unwrapped if isinstance(cell, str) and not begins_like_list(cell)]
    # The semicolon of &amp; separates nothing.
    plain = [ENTITY.sub("", text) for text in texts]
    first = {
        mark: next((text for text, rest in zip(texts, plain, strict=True) if mark in rest), None)
        for mark in SEPARATORS
    }
    found = [mark for mark in SEPARATORS if first[mark] is not None]
    if len(found) > 1:
        raise CellError(
            f"the cells contain {' and '.join(map(repr, found))}, such as "
            + " and ".join(dict.fromkeys(shorten(str(first[mark])) for mark in found)),
            cause="one of these separates labels, and the others are part of their names",
            fix=f"name the separator: --label-separator '{found[-1]}'",
        )
    if not found:
        return "#" if _separates(texts, "#") else None
    return found[0]


def split_labels(text: str, separator: str, column: str, *, guessed: bool) -> list[str]:
    """Return the labels in a text.

    Raises:
        CellError: the separator is guessed, and stands in brackets or ends an HTML entity.
    """
    labels = text.split(separator)
    if guessed and _is_closed(text) and not all(_is_closed(label) for label in labels):
        raise CellError(
            f"column {column!r} holds {shorten(text)}, with {separator!r} in brackets",
            cause="the separator is guessed, and in brackets it is probably part of a label",
            fix=f'write a list, such as ["a", "b"]; or split there too: --label-separator \'{separator}\'',
        )
    if guessed and separator == ";" and ENTITY.search(text):
        raise CellError(
            f"column {column!r} holds {shorten(text)}, with an HTML entity",
            cause="the separator is guessed, and the semicolon of an entity is part of a label",
            fix='decode the entities of the column (html.unescape in Python), or write a list: ["a", "b"]',
        )
    return labels


def _is_closed(text: str) -> bool:
    """Return whether each bracket of a text is closed, in the right order."""
    opened: list[str] = []
    for char in text:
        if char in BRACKETS:
            opened.append(BRACKETS[char])
        elif char in BRACKETS.values() and (not opened or opened.pop() != char):
            return False
    return not opened


def _separates(texts: Sequence[str], mark: str) -> bool:
    """Return whether a mark, which may be part of a name (C#), separates labels that other cells hold too."""
    split = [[part.strip() for part in text.split(mark)] for text in texts]
    counts = Counter(part for parts in split for part in set(parts))
    several = [parts for parts in split if len(parts) > 1]
    return bool(several) and all(all(parts) and any(counts[part] > 1 for part in parts) for parts in several)


def distinct_cells(rows: Iterable[Cells], column: str) -> list[Any]:
    """Return the cells of a column, each text once."""
    texts: dict[str, None] = {}
    others: list[Any] = []
    for row in rows:
        cell = row.get(column)
        if isinstance(cell, str):
            texts[cell] = None
        else:
            others.append(cell)
    return [*texts, *others]
