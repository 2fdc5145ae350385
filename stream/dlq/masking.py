"""The display of values without their content.

A masked value shows its form: types, lengths, and the member names that the record contract defines. Other
names may be data, so only their lengths are shown. No digest is shown: the text behind the digest of a short
value can be found by trying likely texts.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from stream.wording import count_of

MAX_DEPTH = 4
MAX_MEMBERS = 20
EVENT_NAMES = ("id", "text", "text_pair", "metadata", "time")
CLOUD_EVENT_NAMES = ("data", "data_base64", "datacontenttype", "source", "specversion", "type")
KNOWN_NAMES = frozenset((*EVENT_NAMES, *CLOUD_EVENT_NAMES))
MORE = "…"


def mask_value(value: bytes | None) -> str:
    """Return the form of a value in one line, without any of its characters."""
    if value is None:
        return "null"
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        return f"<{_bytes(value)}, {_encoding(value)}>"
    return f"{_mask(parsed, MAX_DEPTH)} ({_bytes(value)})"


def mask_bytes(data: bytes | None) -> str:
    """Return the length of a key or of a header's value."""
    return "null" if data is None else f"<{_bytes(data)}>"


def _mask(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return f"<string, {count_of(len(value), 'character')}>"
    if isinstance(value, bool):
        return "<boolean>"
    if value is None:
        return "null"
    if isinstance(value, int | float):
        return "<number>"
    if isinstance(value, list):
        return f"[{_members((_mask(item, depth - 1) for item in value[:MAX_MEMBERS]), len(value), depth)}]"
    members = (f"{_name(name)}: {_mask(item, depth - 1)}" for name, item in [*value.items()][:MAX_MEMBERS])
    return f"{{{_members(members, len(value), depth)}}}"


def _members(shown: Iterable[str], count: int, depth: int) -> str:
    if count and depth <= 0:
        return MORE
    return ", ".join((*shown, MORE) if count > MAX_MEMBERS else shown)


def _name(name: str) -> str:
    return f'"{name}"' if name in KNOWN_NAMES else f"<name, {count_of(len(name), 'character')}>"


def _encoding(value: bytes) -> str:
    try:
        value.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return "not JSON"


def _bytes(data: bytes) -> str:
    return count_of(len(data), "byte")
