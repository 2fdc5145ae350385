"""The inputs of the model for the records of a batch; a record that cannot be read becomes a dead letter."""

from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from stream.classify import InputReader, ModelInput
from stream.errors import Reason
from stream.isolation import isolate
from stream.records import DeadLetter, Decoded, Decoder, Event, Record, Source

log = structlog.get_logger(__name__)


def decode_records(decoder: Decoder, source: Source, records: Sequence[Record]) -> Sequence[Decoded]:
    """Decode the records of one partition, in order.

    The decoder returns a dead letter for an invalid record. A record that makes the decoder itself fail
    becomes one, too.

    Args:
        decoder: decodes records.
        source: the topic and the partition of the records.
        records: the records in offset order.
    """
    errors: Counter[str] = Counter()

    def undecodable(record: Record, error: BaseException) -> Decoded:
        errors[type(error).__name__] += 1
        event_id = f"{source.topic}-{source.partition}-{record.offset}"
        return DeadLetter(record, source, event_id, Reason.DECODE, "the record cannot be decoded")

    decoded = isolate(lambda part: decoder.decode_all(source, part), records, undecodable)
    _report(errors, source, "the decoder failed on records")
    return decoded


def read_inputs(
    reader: InputReader | None, source: Source, decoded: Sequence[Decoded]
) -> tuple[Sequence[Decoded], Sequence[ModelInput]]:
    """Return the decoded records and the model input of each event among them.

    An event whose input cannot be read, for instance because of its metadata, becomes a dead letter.

    Args:
        reader: turns events into model inputs; None if the model reads only `Event.text`.
        source: the topic and the partition of the records.
        decoded: the decoded records, in offset order.
    """
    if reader is None:
        return decoded, [item.text for item in decoded if type(item) is Event]
    errors: Counter[str] = Counter()

    def unreadable(event: Event, error: BaseException) -> ModelInput | DeadLetter:
        errors[type(error).__name__] += 1
        return DeadLetter(event.record, source, event.id, Reason.DECODE, "the metadata cannot be read")

    read: Callable[[Sequence[Event]], Sequence[ModelInput | DeadLetter]] = reader.read
    inputs = isolate(read, [item for item in decoded if type(item) is Event], unreadable)
    if errors:
        _report(errors, source, "the inputs of events cannot be read")
        next_input = iter(inputs).__next__
        replaced = [next_input() if type(item) is Event else item for item in decoded]
        decoded = [
            new if isinstance(new, DeadLetter) else item for item, new in zip(decoded, replaced, strict=True)
        ]
    return decoded, [given for given in inputs if not isinstance(given, DeadLetter)]


def _report(errors: Counter[str], source: Source, message: str) -> None:
    if errors:
        log.warning(message, topic=source.topic, partition=source.partition, errors=dict(errors))
