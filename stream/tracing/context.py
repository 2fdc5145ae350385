"""W3C Trace Context: the header `traceparent`."""

from binascii import hexlify, unhexlify
from re import DOTALL
from re import compile as pattern
from typing import NamedTuple

SAMPLED = 1
# The flags that a new span keeps: sampled, and random trace id. Those that are not defined yet are not set.
KNOWN_FLAGS = 3

_TRACEPARENT = pattern(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", DOTALL)
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16


class SpanContext(NamedTuple):
    """The identity of a span.

    Attributes:
        trace_id: 16 bytes.
        span_id: 8 bytes.
        flags: the flags of `traceparent`.
    """

    trace_id: bytes
    span_id: bytes
    flags: int

    @property
    def ids(self) -> dict[str, str]:
        """The ids in hexadecimal digits, under the names of log fields and exemplars."""
        return {"trace_id": self.trace_id.hex(), "span_id": self.span_id.hex()}


def parse_traceparent(value: bytes | None) -> SpanContext | None:
    """Return the span that a `traceparent` names, None without a valid one."""
    found = _TRACEPARENT.fullmatch(value or b"")
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return SpanContext(unhexlify(trace_id), unhexlify(span_id), int(flags, 16))


def format_traceparent(span: SpanContext) -> bytes:
    """Return the `traceparent` of version 00 that names a span."""
    return b"00-%b-%b-%02x" % (hexlify(span.trace_id), hexlify(span.span_id), span.flags)
