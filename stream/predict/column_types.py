"""The Arrow types of the columns of an output."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stream.predict.score_shape import WIDE_PREFIX


def own_types(names: Sequence[str]) -> dict[str, Any]:
    """Return the Arrow types of columns of the predictions; the id has that of the input."""
    import pyarrow as pa

    span = pa.struct(
        [
            ("type", pa.string()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("text", pa.string()),
            ("score", pa.float64()),
        ]
    )
    known = {
        "row": pa.int64(),
        "text": pa.string(),
        "text_pair": pa.string(),
        "label": pa.string(),
        "score": pa.float64(),
        # A map keeps the order, best first, and takes only the labels that a row has.
        "scores": pa.map_(pa.string(), pa.float64()),
        "labels": pa.list_(pa.string()),
        "value": pa.float64(),
        "spans": pa.list_(span),
        "abstained": pa.bool_(),
        "rank": pa.int64(),
        "predicted": pa.bool_(),
        "error": pa.string(),
    }
    wide = {name: pa.float64() for name in names if name.startswith(WIDE_PREFIX)}
    return {name: known[name] for name in names if name in known} | wide


def types_of_rows(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the Arrow type of each column of JSON rows.

    A column of integers, numbers or true and false has that type, and any other column is text: values that
    are no texts become JSON.
    """
    import pyarrow as pa

    kinds: dict[str, set[type]] = defaultdict(set)
    for row in rows:
        for name, value in row.items():
            if value is not None:
                kinds[name].add(type(value))
    known = {
        frozenset({bool}): pa.bool_(),
        frozenset({int}): pa.int64(),
        frozenset({float}): pa.float64(),
        frozenset({int, float}): pa.float64(),
    }
    return {name: known.get(frozenset(found), pa.string()) for name, found in kinds.items()}
