"""Values of a row as JSON, also those that only Parquet holds."""

import base64
from typing import Any

import orjson


def to_json(value: Any) -> bytes:
    """Return a value as JSON: dates and times in ISO 8601, bytes in Base64, decimals as texts."""
    return orjson.dumps(value, default=_as_text, option=orjson.OPT_NON_STR_KEYS)


def _as_text(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
