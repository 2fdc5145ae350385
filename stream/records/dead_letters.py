"""Dead letters: the record as received, with headers that describe the error."""

from re import compile as pattern

from stream import __version__
from stream.codec import Headers
from stream.records.events import DeadLetter, header
from stream.records.headers import add_headers

ATTEMPT = "labelstream-error-attempt"
MAX_ATTEMPTS = 999_999_999
_COUNT = pattern(rb"[0-9]{1,9}")


def dead_letter_headers(dead: DeadLetter, group: str) -> Headers:
    """Return the headers of a dead letter, named as in Kafka Streams (KIP-1034)."""
    record = dead.record
    described = {
        "labelstream-id": dead.id,
        "labelstream-error-reason": dead.reason,
        "labelstream-error-message": dead.message,
        "labelstream-error-topic": dead.source.topic,
        "labelstream-error-partition": str(dead.source.partition),
        "labelstream-error-offset": str(record.offset),
        "labelstream-error-timestamp": str(record.timestamp),
        "labelstream-error-group": group,
        ATTEMPT: str(min(_attempts_before(dead) + 1, MAX_ATTEMPTS)),
        "labelstream-error-version": __version__,
    }
    encoded = [(name, value.encode("utf-8", "replace")) for name, value in described.items()]
    return add_headers(record, encoded)


def _attempts_before(dead: DeadLetter) -> int:
    """Return the attempt that the record's own header counts, 0 if the header is no such number."""
    counted = header(dead.record, ATTEMPT) if dead.record.headers else None
    return int(counted) if counted and _COUNT.fullmatch(counted) else 0
