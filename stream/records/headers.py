"""Headers of published records: those of the input in order, then ours."""

import secrets
from collections.abc import Iterable
from re import compile as pattern

from stream.codec import Headers, Record
from stream.records.events import header

TRACEPARENT = "traceparent"
_TRACEPARENT = pattern(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")


def with_ours(record: Record, ours: Iterable[tuple[str, bytes]]) -> Headers:
    """Return the record's headers, without any that has the name of one of ours, then ours."""
    added = [*ours, *_continued_trace(record)]
    names = {name for name, _ in added}
    return [(name, value) for name, value in record.headers if name not in names] + added


def _continued_trace(record: Record) -> list[tuple[str, bytes]]:
    """Return a W3C traceparent of the input's trace with a new span id, if the input has one."""
    found = _TRACEPARENT.fullmatch(header(record, TRACEPARENT) or b"") if record.headers else None
    if found is None:
        return []
    trace, flags = found.groups()
    return [(TRACEPARENT, b"00-%b-%b-%b" % (trace, secrets.token_hex(8).encode(), flags))]
