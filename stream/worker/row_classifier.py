"""Classifies rows that do not come from Kafka, with the checks and the code of the stream."""

from collections.abc import Sequence
from typing import NamedTuple

from stream.classify import InputReader, RowResult
from stream.codec import ReadRecord, Record
from stream.errors import Poison
from stream.records import DeadLetter, Decoded, Decoder, Event, Source, id_stem
from stream.routes import RouteOptions
from stream.settings import Settings
from stream.worker.route_model import OpenModel

# A topic without a name, so that no client has an id that looks like the fallback.
ROWS_SOURCE = Source("", 0)


class ClassifiedRow(NamedTuple):
    """A row and its result.

    Attributes:
        decoded: the row as an event, or as a dead letter if the decoder refused it.
        result: the prediction, or `Poison` for a row that cannot be labelled.
    """

    decoded: Event | DeadLetter
    result: RowResult

    @property
    def own_id(self) -> str | None:
        """The id that the row came with, None if it has none."""
        found = self.decoded.id
        return None if found == f"{id_stem(ROWS_SOURCE)}{self.decoded.record.offset}" else found


class RowClassifier:
    """Classifies rows with the model of a bundle: it decodes them, reads the model's inputs and infers.

    It belongs to the event loop in which the model was opened. Rows of concurrent calls share batches.
    """

    def __init__(self, opened: OpenModel, settings: Settings, *, text_setting: str = "") -> None:
        """
        Args:
            opened: the model.
            settings: the limits of a row.
            text_setting: the option that names the text of a row, for messages.
        """
        manifest = opened.bundle.manifest
        self.opened = opened
        self._reader = InputReader(manifest)
        self._decoder = Decoder(
            RouteOptions(),
            max_event_bytes=settings.max_event_bytes,
            max_text_chars=settings.max_text_chars,
            takes_pair=manifest.takes_pair,
            text_setting=text_setting,
        )

    async def classify(self, rows: Sequence[Record]) -> list[ClassifiedRow]:
        """Return the result of each row, in order; a row that cannot be labelled has `Poison`.

        Args:
            rows: rows in the shape of records, each with an event in JSON as its value.

        Raises:
            DeviceError: the device has stopped working.
            BundleError: the tokenizer has stopped working.
        """
        decoded = self._decoder.decode_all(ROWS_SOURCE, rows)
        events = [item for item in decoded if isinstance(item, Event)]
        classified = await self.opened.classifier.classify(self._reader.read(events))
        results = iter(classified.results)
        return [
            ClassifiedRow(item, next(results)) if isinstance(item, Event) else _refused(item)
            for item in decoded
        ]


def as_record(offset: int, event: bytes) -> ReadRecord:
    """Return a row in the shape of a record.

    Args:
        offset: the number of the row, which its id falls back to.
        event: the event in JSON.
    """
    return ReadRecord(None, event, (), offset, 0)


def _refused(item: Decoded) -> ClassifiedRow:
    assert isinstance(item, DeadLetter), "every row has a value, so none is a tombstone"
    return ClassifiedRow(item, Poison(item.reason, item.message))
