"""The rows that the Python API accepts, as events in JSON."""

from collections.abc import Mapping
from typing import Any

import orjson

from stream.classify import TextInput
from stream.errors import Poison, Reason

OneRow = str | TextInput | Mapping[str, Any]
"""A row that cannot be mistaken for several rows."""

Row = OneRow | tuple[str, str] | list[str]
"""A text, a pair of texts, a `TextInput`, or the object of a text event: `text`, `text_pair`, `metadata`."""

PAIR = 2


def as_event(row: Row) -> bytes | Poison:
    """Return a row as the JSON of an event, or `Poison` if JSON cannot hold it.

    The decoder of the stream checks the event, so a value of another type is passed on to it.
    """
    try:
        return orjson.dumps(_fields(row))
    except (TypeError, ValueError, RecursionError) as exc:
        # The messages of orjson name the type of a value and do not contain it.
        return Poison(Reason.DECODE, f"the row cannot be written as JSON: {exc}")


def _fields(row: Row) -> dict[str, Any]:
    match row:
        case TextInput():
            return _event(row.text, row.text_pair, row.metadata)
        case Mapping():
            return _event(row.get("text"), row.get("text_pair"), row.get("metadata"))
        case tuple() | list() if len(row) == PAIR:
            return _event(row[0], row[1], None)
        case _:
            return _event(row, None, None)


def _event(text: object, text_pair: object, metadata: object) -> dict[str, Any]:
    # Values of metadata are often of other types, such as Decimal or a scalar of NumPy. The bundle reads
    # numbers and categories, which their string represents.
    known = orjson.Fragment(orjson.dumps(metadata, default=str)) if metadata is not None else None
    return {"text": text, "text_pair": text_pair, "metadata": known}
