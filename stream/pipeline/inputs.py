"""The inputs of the model for the events of a batch; an event that cannot be read becomes a dead letter."""

from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from stream.classify import InputReader, ModelInput
from stream.errors import Reason
from stream.isolation import isolate
from stream.records import DeadLetter, Decoded, Event, Source

log = structlog.get_logger(__name__)


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
        log.warning(
            "the inputs of events cannot be read",
            topic=source.topic,
            partition=source.partition,
            errors=dict(errors),
        )
        next_input = iter(inputs).__next__
        replaced = [next_input() if type(item) is Event else item for item in decoded]
        decoded = [
            new if isinstance(new, DeadLetter) else item for item, new in zip(decoded, replaced, strict=True)
        ]
    return decoded, [given for given in inputs if not isinstance(given, DeadLetter)]
