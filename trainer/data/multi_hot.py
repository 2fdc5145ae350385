"""Multi-hot cells: one 0 or 1 per label, in the order of the labels, such as [0, 1, 0, 0]."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from stream.classify import as_number
from trainer.data.cells import CellError, as_text, is_null, shorten
from trainer.data.class_names import ClassNames
from trainer.data.lists import as_list

_FLAG = r"(?:[01](?:\.0*)?|true|false|yes|no|[ytnf])"
MIN_BITS_SHARE = 0.75
"""The share of distinct cells that are texts of 0 and 1 from which the others are errors."""

_BITS = re.compile(r"\s*[01]{2,}\s*")
_TEXT = re.compile(rf"\s*{_FLAG}(?:(?:\s*[,;|]\s*|\s+){_FLAG})+\s*", re.IGNORECASE)

Flags = tuple[bool | None, ...]
"""Whether each label applies; None where the cell does not say."""


def find_multi_hot(
    cells: Sequence[Iterable[Any]], names: Sequence[ClassNames | None], column: str
) -> list[bool]:
    """Return for each source whether its cells are multi-hot and not ids of labels.

    Ids of a list differ from each other, so a list with two zeros or two ones is multi-hot. A list of one 0
    and one 1 may be either: it is multi-hot if another source is, or if all lists are such lists. Texts such
    as "0110" are multi-hot if nearly all cells of all sources are such texts of one length.

    Args:
        cells: the label cells of each source.
        names: the class names of each source; ids with stored names are ids if they can be.
        column: the label column.
    """
    if _all_bits([cell for source_cells in cells for cell in source_cells], column):
        return [True] * len(cells)
    evidence = [
        _evidence(source_cells, column, stored=bool(source_names and source_names.stored))
        for source_cells, source_names in zip(cells, names, strict=True)
    ]
    found = [source_evidence for source_evidence in evidence if source_evidence is not None]
    pairs = "certain" in found or "no" not in found
    return [
        source_evidence == "certain" or (source_evidence == "possible" and pairs)
        for source_evidence in evidence
    ]


def labels_of_flags(cell: Any, names: ClassNames | None, column: str) -> tuple[str, ...] | None:
    """Return the names at the positions with 1; None if the cell is empty or holds only missing items.

    Raises:
        CellError: there are no names, another number of names than flags, or a cell without flags.
    """
    items = as_list(cell, column)
    flags = _flags(items, cell) or _bits(cell)
    if flags is None:
        if _says_nothing(items, cell, column):
            return None
        raise CellError(
            f"column {column!r} holds {shorten(str(cell))}, and other rows hold lists of 0 and 1",
            cause="a list with one 0 or 1 per label holds nothing else",
            fix="correct the row, or write the names of its labels in all rows",
        )
    if names is None:
        raise CellError(
            f"column {column!r} holds one 0 or 1 for each of {len(flags)} labels, but not their names",
            cause=f"the cell is {shorten(str(cell))}; its positions stand for labels",
            fix=f"--label-names FILE, with {len(flags)} lines: line 1 names the first position; "
            "if 0 and 1 are ids of labels, write each id once per row",
        )
    if len(flags) != len(names.names):
        raise CellError(
            f"column {column!r} holds {len(flags)} flags, and there are {len(names.names)} label names",
            cause=f"each position of {shorten(str(cell))} stands for one label of {names.origin}",
            fix="correct the row, or give --label-names one line for each position",
        )
    return tuple(name for name, flag in zip(names.names, flags, strict=True) if flag)


def check_items(items: Sequence[Any], column: str) -> None:
    """Refuse a list of scores or counts.

    Raises:
        CellError: the items are all numbers, and one of them has a fraction or occurs twice; or they are
            texts of numbers from 0 to 1, and one of them has a fraction.
    """
    numbers = [number for item in items if (number := _score(item)) is not None]
    if len(items) < 2 or len(numbers) < len(items):
        return
    texts = any(isinstance(item, str) for item in items)
    fractions = any(not number.is_integer() for number in numbers)
    if texts and (not fractions or not all(0 <= number <= 1 for number in numbers)):
        return
    if fractions or len(set(numbers)) < len(numbers):
        raise CellError(
            f"column {column!r} holds {shorten(str(list(items)))}, which are scores or counts, not labels",
            cause="a number has a fraction" if fractions else "a number occurs twice",
            fix="write the names of the labels that apply, or one 0 or 1 per label with --label-names",
        )


def _evidence(
    cells: Iterable[Any], column: str, *, stored: bool
) -> Literal["certain", "possible", "no"] | None:
    """Return whether the cells of a source are multi-hot; None if all of them are empty."""
    found: Literal["possible", "no"] | None = None
    for cell in cells:
        try:
            items = as_list(cell, column)
            flags = _flags(items, cell)
            if flags is None and _says_nothing(items, cell, column):
                continue
        except CellError:
            # The row is refused when it is parsed.
            flags = None
        given = [flag for flag in flags or () if flag is not None]
        if len(given) > len(set(given)):
            return "certain"
        found = "possible" if len(given) == 2 and found != "no" and not stored else "no"
    return found


def _flags(items: Sequence[Any] | None, cell: Any) -> Flags | None:
    """Return the flags in a list of 0 and 1, or in a text of such numbers; None for any other cell."""
    if items is None:
        text = cell if isinstance(cell, str) else ""
        if not _TEXT.fullmatch(text):
            return None
        return tuple(map(_flag, re.findall(_FLAG, text, re.IGNORECASE)))
    flags = [None if item is None else _flag(item) for item in items]
    known = [flag for flag in flags if flag is not None]
    return tuple(flags) if known and len(known) == sum(item is not None for item in items) else None


def _all_bits(cells: Sequence[Any], column: str) -> bool:
    """Return whether the filled cells are texts of 0 and 1 of one length, and not numbers such as 10 and 11.

    A few other cells are errors in their rows.
    """
    filled = [cell for cell in cells if not _is_empty(cell, column)]
    texts = {cell.strip() for cell in filled if _bits(cell)}
    length, count = Counter(map(len, texts)).most_common(1)[0] if texts else (0, 0)
    others = len(filled) - sum(_bits(cell) is not None and len(cell.strip()) == length for cell in filled)
    if count < (3 if others else 2) or count < MIN_BITS_SHARE * (count + others):
        return False
    return length > 2 or any(text.startswith("0") for text in texts)


def _bits(cell: Any) -> Flags | None:
    if not isinstance(cell, str) or not _BITS.fullmatch(cell):
        return None
    return tuple(char == "1" for char in cell.strip())


def _is_empty(cell: Any, column: str) -> bool:
    if isinstance(cell, list | tuple | dict | set | bytes):
        return False
    text = as_text(cell, column)
    return text is None or is_null(text)


def _flag(item: Any) -> bool | None:
    """Return whether an item is 1 or 0; None for any other item."""
    if isinstance(item, str):
        match = re.fullmatch(_FLAG, item.strip(), re.IGNORECASE)
        return match.group()[0] in "1tTyY" if match else None
    return bool(item) if isinstance(item, int | float) and item in (0, 1) else None


def _score(item: Any) -> float | None:
    return None if isinstance(item, bool) else as_number(item)


def _says_nothing(items: Sequence[Any] | None, cell: Any, column: str) -> bool:
    """Return whether a cell is empty, or a list of missing items only."""
    if items is None:
        text = as_text(cell, column)
        return text is None or is_null(text)
    return bool(items) and all(item is None for item in items)
