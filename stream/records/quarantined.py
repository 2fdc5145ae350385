"""Dead letters of records that are not decoded: quarantined ones, and damaged ones."""

from collections.abc import Sequence

from stream.codec import Record
from stream.errors import Poison, Reason
from stream.records.events import DeadLetter, Decoded, Source, usable_id

DAMAGED = "key, value and headers of the record cannot be separated; the value holds the bytes of the record"
NAMED = "the setting quarantine names this offset"
POINTER = f"{NAMED}; the record cannot be read and lies at this offset"


def check_undamaged(record: Record) -> None:
    """Check that the framing of a record is intact.

    Raises:
        Poison: the record is damaged.
    """
    if record.damaged:
        raise Poison(Reason.DECODE, DAMAGED)


def set_aside(source: Source, records: Sequence[Record], decoded: Sequence[Decoded]) -> list[Decoded]:
    """Return a dead letter for each record that was not decoded, between the decoded ones.

    Args:
        source: the topic and the partition of the records.
        records: the records, in offset order.
        decoded: the outcomes of some of the records, in the same order.
    """
    outcomes = {outcome.record.offset: outcome for outcome in decoded}
    return [outcomes.get(record.offset) or _dead_letter(source, record) for record in records]


def _dead_letter(source: Source, record: Record) -> DeadLetter:
    message = POINTER if record.damaged and record.value is None else NAMED
    return DeadLetter(record, source, usable_id(source, record), Reason.QUARANTINED, message)
