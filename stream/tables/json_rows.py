"""Rows of JSON lines and of JSON arrays."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from stream.tables.annotated import as_object
from stream.tables.malformed import MalformedError
from stream.tables.row import Row

MAX_INTEGER_DIGITS = 18
MAX_LEVELS = 200
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _NotARowError(ValueError):
    """A JSON value that is not an object with valid characters."""


class _RepeatedKey:
    """Stands for a JSON object that has a key with two values."""

    def __init__(self, key: str) -> None:
        self.key = key


class JsonRows:
    """Reads rows from JSON text.

    A value that is not an object with valid characters is a row without cells. A key with two values is an
    error, since either value could be meant.
    """

    def __init__(self, metadata: tuple[str, ...]) -> None:
        """
        Args:
            metadata: the columns that may also be members of a row's `metadata`.
        """
        self._metadata = metadata
        # What the last text may contain, so that most values need no search.
        self._has_repeated_key = self._is_deep = self._has_surrogates = False
        self._decode = json.JSONDecoder(
            object_pairs_hook=self._members, parse_int=_integer, parse_constant=_constant
        ).decode

    def from_lines(self, lines: Iterable[str]) -> Iterator[Row]:
        """Yield the row of each line that is not blank.

        Raises:
            MalformedError: a value spans several lines, or a key has two values.
        """
        for number, line in enumerate(lines, 1):
            text, where = line.strip(), f"line {number}"
            if not text:
                continue
            try:
                value = self._load(text, where)
                if isinstance(value, list) and value and isinstance(value[0], dict):
                    fix = "use --format json, which reads one array"
                    raise MalformedError(f"{where} is an array of objects", fix)
                cells = self._cells(value, where)
            except _NotARowError as exc:
                if text in ("{", "["):
                    raise MalformedError(
                        f"{where} holds only {text!r}: the JSON values span several lines",
                        "write one object on each line",
                        "jq -c '.[]'" if text == "[" else "jq -c .",
                    ) from None
                yield Row(number, None, text, str(exc))
            else:
                yield Row(number, cells)

    def from_array(self, text: str) -> Iterator[Row]:
        """Yield the row of each element of an array.

        Raises:
            MalformedError: the text is not JSON, or a key has two values.
        """
        try:
            elements = self._load(text, "it")
        except _NotARowError as exc:
            raise MalformedError(str(exc), "write one array of objects, or one object on each line") from None
        for number, element in enumerate(elements, 1):
            try:
                yield Row(number, self._cells(element, f"element {number}"))
            except _NotARowError as exc:
                yield Row(number, None, json.dumps(element), str(exc))

    def _load(self, text: str, where: str) -> Any:
        self._has_repeated_key = False
        self._is_deep = text.count("[") + text.count("{") > MAX_LEVELS
        self._has_surrogates = SURROGATE.search(text) is not None
        try:
            return self._decode(text)
        except (ValueError, RecursionError) as exc:
            raise _NotARowError(f"{where} is not JSON: {exc}") from None

    def _cells(self, value: Any, where: str) -> dict[str, Any]:
        """Return the members of an object.

        Args:
            value: the JSON value.
            where: its position.

        Raises:
            _NotARowError: the value is not an object, is nested too deeply, or contains a lone surrogate.
            MalformedError: a key has two values.
        """
        if self._is_deep and not _fits_levels(value, MAX_LEVELS):
            raise _NotARowError(f"{where} has more than {MAX_LEVELS} levels of arrays and objects")
        if self._has_repeated_key and (key := _repeated_key(value)) is not None:
            raise MalformedError(
                f"{where} has the key {key!r} twice, with different values", "remove one of them"
            )
        value = as_object(value)
        if not isinstance(value, dict):
            raise _NotARowError(f"{where} is not a JSON object")
        if self._has_surrogates:
            try:
                json.dumps(value, ensure_ascii=False).encode()
            except UnicodeEncodeError as exc:
                code = ord(exc.object[exc.start])
                raise _NotARowError(f"{where} holds \\u{code:04x}, one half of a surrogate pair") from None
        self._add_metadata(value, where)
        return value

    def _add_metadata(self, cells: dict[str, Any], where: str) -> None:
        """Copy members of `metadata`, as events have them, to the cells."""
        nested = cells.get("metadata")
        if not isinstance(nested, dict):
            return
        for name in self._metadata:
            if name not in nested:
                continue
            if cells.get(name) not in (None, nested[name]):
                raise MalformedError(
                    f"{where} has {name!r} and, with another value, a member {name!r} of metadata",
                    "remove one of them",
                )
            cells[name] = nested[name]

    def _members(self, pairs: list[tuple[str, Any]]) -> Any:
        """Return a JSON object; in place of one with a key that has two values, that key."""
        members = dict(pairs)
        if len(members) < len(pairs):
            for key, member in pairs:
                if members[key] != member:
                    self._has_repeated_key = True
                    return _RepeatedKey(key)
        return members


def _repeated_key(value: Any) -> str | None:
    """Return the first key with two values in a JSON value."""
    if isinstance(value, _RepeatedKey):
        return value.key
    if not isinstance(value, dict | list):
        return None
    children: Iterable[Any] = value.values() if isinstance(value, dict) else value
    return next((key for child in children if (key := _repeated_key(child)) is not None), None)


def _fits_levels(value: Any, levels: int) -> bool:
    """Return whether a JSON value has at most this many levels of arrays and objects."""
    if not isinstance(value, dict | list):
        return True
    children: Iterable[Any] = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_fits_levels(child, levels - 1) for child in children)


def _constant(name: str) -> None:
    """Read NaN, which Python writes for a missing number, as null, and infinity too."""


def _integer(digits: str) -> int | str:
    """Return an integer; one that exceeds 64 bits, such as a long id, stays a text with all of its digits."""
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else digits
