"""Lists in cells: lists of JSON and Parquet, and lists that JSON, Python, numpy or pandas wrote as text."""

import ast
import json
import re
from typing import Any

from stream.tables import NULL_TEXTS
from trainer.data.cells import CellError, shorten
from trainer.data.printed import QUOTED_START, check_printed, decode_twice, is_call, list_in_call

_STRING = r"""[uU]?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_WORD = r"""[^\s,'"()\[\]{}]+"""
_ITEM = re.compile(
    rf"(?:(?:np|numpy)\.\w+\(\s*(?P<wrapped>{_STRING}|{_WORD})\s*\)|(?P<plain>{_STRING}|{_WORD}))", re.DOTALL
)
"""A quoted text or a number; numpy 2 prints items of a list as `np.str_('a')`."""

_GAP = re.compile(r"\s*,\s*|\s+")
_TUPLE = re.compile(r"""\(\s*(?:['"].*|[\d.+-][\d.+\-eE\s]*,[\d.+\-eE\s,]*)?\)""", re.DOTALL)
_LIST_START = re.compile(r"""\[\s*(?:['"\d\]\[]|$)""")
_CLOSING = {"[": "]", "(": ")", "{": "}"}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_BOOLEANS = {"True": True, "true": True, "False": False, "false": False}
_ELLIPSIS = ("...", "Ellipsis", "…")


def as_list(value: Any, column: str) -> list[Any] | None:
    """Return the items of a cell that holds a list; None for any other cell.

    Texts in the syntax of JSON, Python or numpy count as lists: `["a", "b"]`, `('a', 'b')`, `{'a', 'b'}`,
    `['a' 'b']`, `array(['a', 'b'], dtype=object)`, `Index(['a', 'b'])`. A missing item is None.

    Raises:
        CellError: the cell begins like a list but cannot be parsed, an item is a list or an object, or the
            cell is a printed object without a list.
    """
    if isinstance(value, list | tuple | set | frozenset):
        return _flat(list(value), column, str(value))
    text = decode_twice(value.strip()) if isinstance(value, str) else ""
    check_printed(text, column)
    if not begins_like_list(text):
        return None
    return _parse(text, column)


def as_words(value: Any, column: str) -> list[Any] | None:
    """Return the words of a cell that holds a list; None for a text, which may begin with a bracket.

    Raises:
        CellError: the cell begins with a bracket and a quote but cannot be parsed.
    """
    try:
        return as_list(value, column)
    except CellError:
        if isinstance(value, str) and not QUOTED_START.match(value.strip()):
            return None
        raise


def is_list_text(text: str) -> bool:
    """Return whether a text is a list in the syntax of JSON, Python or numpy, parsable or cut."""
    stripped = decode_twice(text.strip())
    if QUOTED_START.match(stripped) or (is_call(stripped) and re.search(r"""[\[{'"]""", stripped)):
        return True
    if not stripped.startswith("["):
        return False
    try:
        return as_list(stripped, "") is not None
    except CellError:
        return False


def begins_like_list(cell: str) -> bool:
    """Return whether a text begins as JSON, Python or numpy print a list."""
    text = decode_twice(cell.strip())
    if text.startswith("["):
        return text.endswith("]") or _LIST_START.match(text) is not None
    if text.startswith("{"):
        return text.endswith("}") or QUOTED_START.match(text) is not None
    return _TUPLE.fullmatch(text) is not None or is_call(text)


def _parse(text: str, column: str) -> list[Any]:
    if text.startswith("["):
        try:
            return _flat(json.loads(text), column, text)
        except (ValueError, RecursionError):
            pass
    body = list_in_call(text) if is_call(text) else text
    if body is None:
        raise _unparsable(column, text, "it is a printed object, and not a complete, plain list")
    if body[:1] not in _CLOSING or body[-1] != _CLOSING[body[0]] or len(body) < 2:
        raise _unparsable(column, text, "its closing bracket is missing")
    return _items(body[1:-1].strip().removesuffix(",").rstrip(), column, text)


def _items(body: str, column: str, text: str) -> list[Any]:
    """Parse items that are all separated by commas, as in Python, or all by spaces, as numpy prints them."""
    items: list[Any] = []
    gaps: set[str] = set()
    position = 0
    while position < len(body):
        item = _ITEM.match(body, position)
        if item is None:
            nested = body[position] in _CLOSING
            raise _unparsable(
                column, text, "it holds a list in a list" if nested else "a quote or a bracket is not closed"
            )
        items.append(_value(item["wrapped"] or item["plain"], column, text))
        position = item.end()
        if position == len(body):
            break
        gap = _GAP.match(body, position)
        if gap is None:
            raise _unparsable(column, text, f"no comma follows {item.group()[:20]}")
        gaps.add(gap.group().strip())
        position = gap.end()
    if len(gaps) > 1:
        # Python would join two adjacent texts: ['a' 'b', 'c'] would hold the label ab.
        raise _unparsable(column, text, "a comma is missing between two items")
    return items


def _value(item: str, column: str, text: str) -> Any:
    if item[-1] in "'\"":
        try:
            return ast.literal_eval(item)
        except (ValueError, SyntaxError):
            raise _unparsable(column, text, f"{item[:20]} is not a valid text") from None
    if item in _ELLIPSIS:
        raise CellError(
            f"column {column!r} holds a list that was cut",
            cause=f"numpy prints long arrays with '...' in the middle: {shorten(text)}",
            fix="write the column again as lists: frame[column] = frame[column].map(list), then to_json",
        )
    if item in _BOOLEANS:
        return _BOOLEANS[item]
    if item.lower() in NULL_TEXTS or item == "None":
        return None
    if _NUMBER.fullmatch(item):
        return float(item) if re.search(r"[.eE]", item) else int(item)
    raise _unparsable(column, text, f"{item[:20]!r} has no quotes")


def _flat(items: list[Any], column: str, text: str) -> list[Any]:
    for item in items:
        if isinstance(item, list | tuple | set | dict):
            kind = "an object" if isinstance(item, dict) else "a list"
            raise _unparsable(column, text, f"it holds {kind} in a list")
    return [None if isinstance(item, float) and item != item else item for item in items]


def _unparsable(column: str, text: str, reason: str) -> CellError:
    return CellError(
        f"column {column!r} holds a list that cannot be parsed",
        cause=f"{reason}; the cell begins {shorten(text)}",
        fix='write it as ["a", "b"]',
    )
