"""Rows within a single JSON object, as pandas and others write: refused with the way to convert them."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from stream.tables.malformed import MalformedError

SPLIT = (
    "jq -c '.columns as $names | .data[] | [$names, .] | transpose | map({(.[0] | tostring): .[1]}) | add'"
)
COLUMNS = (
    "jq -c '. as $table | (.[keys_unsorted[0]] | keys_unsorted)[] as $row | "
    "$table | with_entries(.value |= .[$row])'"
)

LISTS = (
    "jq -c '. as $table | range(.[keys_unsorted[0]] | length) as $row | "
    "$table | with_entries(.value |= .[$row])'"
)


def check_nested(value: Any) -> None:
    """Check that the only object of a file is a row.

    Args:
        value: the JSON value.

    Raises:
        MalformedError: it holds the rows of a table.
    """
    if not isinstance(value, Mapping) or not value:
        return
    data = value.get("data")
    if isinstance(value.get("columns"), list) and _all(data, list):
        raise _nested("with the columns and the data apart (pandas: orient='split')", SPLIT)
    tables = [name for name, member in value.items() if _all(member, Mapping)]
    scalars = [member for member in value.values() if isinstance(member, str)]
    if tables and not scalars and not isinstance(data, Mapping):
        name = "data" if "data" in tables else tables[0]
        path = f".[{json.dumps(name)}][]"
        others = ", ".join(repr(table) for table in tables if table != name)
        more = f", and further rows in {others}" if others else ""
        raise _nested(f"with rows in its member {name!r}{more}", f"jq -c {shlex.quote(path)}")
    members = list(value.values())
    if all(isinstance(member, list) for member in members) and _are_texts(members):
        raise _nested("with a list for each column (pandas: orient='list')", LISTS)
    if all(isinstance(member, Mapping) and member for member in members):
        keys = [list(member) for member in members]
        if _are_numbers(keys[0]) and all(names == keys[0] for names in keys):
            raise _nested("with an object for each column (pandas: orient='columns')", COLUMNS)
        is_row = any(isinstance(cell, str) for cell in members[0].values())
        if is_row and all(names == keys[0] for names in keys):
            raise _nested("with an object for each row (pandas: orient='index')", "jq -c '.[]'")


def _all(value: Any, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, kind) for item in value)


def _are_texts(columns: list[list[Any]]) -> bool:
    """Return whether lists of one length hold texts of several words, unlike the words and tags of a row."""
    if len(columns) < 2 or len(columns[0]) < 2 or len({len(column) for column in columns}) > 1:
        return False
    several = [sum(" " in str(cell).strip() for cell in column) for column in columns]
    return 2 * max(several) >= len(columns[0])


def _are_numbers(names: list[str]) -> bool:
    return bool(names) and all(name.isdigit() for name in names)


def _nested(shape: str, command: str) -> MalformedError:
    return MalformedError(
        f"it holds a single object, {shape}, and not one object for each row",
        "write one object on each line",
        command,
    )
