"""Dead letters that are too large for their topic: the value is cut, and headers describe the original."""

from hashlib import sha256

from stream.codec import Headers, Outgoing, load_codec

TRUNCATED = "labelstream-error-truncated"
ORIGINAL_SIZE = "labelstream-error-original-size"
ORIGINAL_SHA256 = "labelstream-error-original-sha256"
DROPPED_HEADERS = "labelstream-error-dropped-headers"
DROPPED_KEY = "labelstream-error-dropped-key"
MARKS = frozenset((TRUNCATED, ORIGINAL_SIZE, ORIGINAL_SHA256, DROPPED_HEADERS, DROPPED_KEY))
# The headers that a reader needs to find the original record.
POINTER = frozenset(
    f"labelstream-error-{name}" for name in ("reason", "topic", "partition", "offset", "timestamp")
)
OWN = frozenset(
    ("labelstream-id", *(f"labelstream-error-{name}" for name in ("message", "group", "attempt", "version")))
)
# The header of a batch, and the longest numbers of a record and of a header.
RECORD_OVERHEAD = 61 + 5 + 1 + 10 + 5 + 5 + 5 + 5
HEADER_OVERHEAD = 10
# The longest marks, apart from the hash: two numbers and `true`.
MARKS_BYTES = 2 * 20 + 2 * 4


def max_size(record: Outgoing) -> int:
    """Return an upper bound of the size of an uncompressed batch with this one record, in bytes."""
    return RECORD_OVERHEAD + len(record.key or b"") + len(record.value or b"") + _size(record.headers)


def truncate(record: Outgoing, limit: int) -> Outgoing:
    """Return a dead letter that fits a size limit, or the smallest form of the dead letter.

    The key stays if it needs at most half of the space; otherwise it becomes null. The headers of the input
    stay if they need at most half of the remaining space or leave enough of it for the value; otherwise the
    largest of them are dropped. The value is cut to the remaining space. If the worker's own headers do not
    fit, only those that point to the original record stay.

    Args:
        record: the complete dead letter.
        limit: the size limit of an uncompressed batch with this one record, in bytes.
    """
    key, value = record.key, record.value
    marks = [(TRUNCATED, b"true")]
    if value is not None:
        marks += [(ORIGINAL_SIZE, b"%d" % len(value)), (ORIGINAL_SHA256, sha256(value).hexdigest().encode())]
    own = [(name, data) for name, data in record.headers if name in POINTER or name in OWN]
    foreign = [pair for pair in record.headers if pair[0] not in POINTER | OWN | MARKS]
    fixed = RECORD_OVERHEAD + _size(marks) + _size([(DROPPED_KEY, b""), (DROPPED_HEADERS, b"")]) + MARKS_BYTES
    room = limit - fixed - _size(own)
    if room < 0:
        own = [pair for pair in own if pair[0] in POINTER]
        room = max(0, limit - fixed - _size(own))
    if key and len(key) > room // 2:
        key = None
        marks.append((DROPPED_KEY, b"true"))
    room -= len(key or b"")
    kept = _keep(foreign, max(room // 2, room - len(value or b"")))
    if len(kept) < len(foreign):
        marks.append((DROPPED_HEADERS, b"%d" % (len(foreign) - len(kept))))
    if value is not None:
        value = value[: max(0, room - _size(kept))]
    return load_codec().pack(key, value, [*kept, *own, *marks], record.timestamp)


def _keep(headers: Headers, room: int) -> Headers:
    """Return the headers in order without the largest ones, so that they need at most `room` bytes."""
    size = _size(headers)
    dropped: set[int] = set()
    for at in sorted(range(len(headers)), key=lambda at: _size([headers[at]]), reverse=True):
        if size <= room:
            break
        size -= _size([headers[at]])
        dropped.add(at)
    return [pair for at, pair in enumerate(headers) if at not in dropped]


def _size(headers: Headers) -> int:
    return sum(
        HEADER_OVERHEAD + len(name.encode("utf-8", "surrogateescape")) + len(value or b"")
        for name, value in headers
    )
