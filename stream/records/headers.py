"""Headers of published records: those of the input in order, then those that the worker adds."""

import secrets
from collections.abc import Iterable
from re import compile as pattern

from stream.codec import Headers, Record
from stream.records.events import header

TRACEPARENT = "traceparent"
_TRACEPARENT = pattern(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")


def add_headers(record: Record, added: Iterable[tuple[str, bytes]]) -> Headers:
    """Return the record's headers followed by added ones, which replace headers of the same name.

    The trace of the record is continued, if it has one.
    """
    new = [*added, *_continued_trace(record)]
    names = {name for name, _ in new}
    return [(name, value) for name, value in record.headers if name not in names] + new


def _continued_trace(record: Record) -> list[tuple[str, bytes]]:
    """Return a W3C traceparent of the input's trace with a new span id, if the input has one."""
    found = _TRACEPARENT.fullmatch(header(record, TRACEPARENT) or b"") if record.headers else None
    if found is None:
        return []
    trace, flags = found.groups()
    return [(TRACEPARENT, b"00-%b-%b-%b" % (trace, secrets.token_hex(8).encode(), flags))]
