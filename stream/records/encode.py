"""Predictions to label records."""

from collections.abc import Sequence

import orjson

from stream.codec import EncodedPrediction, Headers, LabelForm, Outgoing, Record, load_codec
from stream.codec.rfc3339 import Rfc3339
from stream.records.events import Event, Source, Tombstone
from stream.records.headers import TRACEPARENT, with_ours

SCHEMA = "label.v1"
ID = "labelstream-id"


class LabelEncoder:
    """Writes the label records of one route.

    A value is put together from JSON that is encoded already: the parts of the model once, the parts of a
    batch once a batch, and the members of a prediction by its head.
    """

    def __init__(self, *, name: str, version: str, digest: str, variant: str) -> None:
        """
        Args:
            name: the bundle's name.
            version: the bundle's version.
            digest: the bundle's digest.
            variant: the variant of the model that runs.
        """
        self._codec = load_codec()
        self._model = orjson.dumps({"name": name, "version": version, "digest": digest, "variant": variant})
        self._headers = (
            ("labelstream-model", f"{name}@{version}".encode()),
            ("labelstream-schema", SCHEMA.encode()),
            ("content-type", b"application/json"),
        )
        self._replaced = frozenset((ID, TRACEPARENT, *(name for name, _ in self._headers)))
        self._time = Rfc3339()

    def write(
        self,
        source: Source,
        labelled_at: int,
        events: Sequence[Event],
        predictions: Sequence[EncodedPrediction],
    ) -> list[Outgoing]:
        """Return the label records for events of one partition, in order.

        Args:
            source: the topic and partition of the events.
            labelled_at: the time of labelling, milliseconds since the epoch.
            events: the events.
            predictions: the prediction for each event.

        Returns:
            Records with JSON values, and with the input's headers and ours.
        """
        form = LabelForm(
            self._middle(source, cached=False),
            self._middle(source, cached=True),
            b',"labelled_at":%b}' % self._time.json(labelled_at),
            ID,
            self._headers,
            self._replaced,
            self._merge_headers,
        )
        return self._codec.write_labels(form, events, predictions)

    def _merge_headers(self, record: Record, event_id: str) -> Headers:
        return with_ours(record, [(ID, event_id.encode()), *self._headers])

    def _middle(self, source: Source, *, cached: bool) -> bytes:
        """Return the JSON between the members of a prediction and the offset."""
        return b',"model":%b,"cached":%b,"source":{"topic":%b,"partition":%d,"offset":' % (
            self._model,
            b"true" if cached else b"false",
            orjson.dumps(source.topic),
            source.partition,
        )


def tombstone(passed: Tombstone) -> Headers:
    """Return the headers of a tombstone that is passed on."""
    return with_ours(passed.record, [(ID, passed.id.encode())])
