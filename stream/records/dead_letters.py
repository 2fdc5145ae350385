"""Dead letters: the record as it came, with headers that say what was wrong."""

from stream import __version__
from stream.records.events import DeadLetter, Headers, header
from stream.records.headers import with_ours

ATTEMPT = "labelstream-error-attempt"


def dead_letter(dead: DeadLetter, group: str) -> Headers:
    """The headers of a dead letter, named after Kafka Streams' (KIP-1034); key and value stay as read."""
    record = dead.record
    raw_metadata = {
        "labelstream-id": dead.id,
        "labelstream-error-reason": dead.reason,
        "labelstream-error-message": dead.message,
        "labelstream-error-topic": dead.source.topic,
        "labelstream-error-partition": str(dead.source.partition),
        "labelstream-error-offset": str(record.offset),
        "labelstream-error-timestamp": str(record.timestamp),
        "labelstream-error-group": group,
        ATTEMPT: str(_attempts_before(dead) + 1),
        "labelstream-error-version": __version__,
    }
    return with_ours(
        record, [(name, value.encode("utf-8", "replace")) for name, value in raw_metadata.items()]
    )


def _attempts_before(dead: DeadLetter) -> int:
    counted = header(dead.record, ATTEMPT) if dead.record.headers else None
    return int(counted) if counted and counted.isdigit() else 0
