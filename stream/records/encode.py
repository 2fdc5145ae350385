"""Encoding of records to publish: predictions as label records, and the headers of tombstones."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import orjson

from stream.codec import EncodedPrediction, Headers, LabelForm, Outgoing, Record, Rfc3339, load_codec
from stream.records.cloud_event_output import Mode
from stream.records.events import Event, Source, Tombstone
from stream.records.headers import add_headers
from stream.records.output_form import (
    CLOUD_EVENT_HEADERS,
    OutputForm,
    input_mode,
    without_attributes,
)

PLAIN = OutputForm()
SCHEMA = "label.v1"
ID = "labelstream-id"


class LabelEncoder:
    """Writes the label records of one route.

    A value is assembled from encoded JSON: the part of the model is encoded once, the part of a batch once
    per batch, and the members of a prediction by the head.
    """

    def __init__(
        self, *, name: str, version: str, digest: str, variant: str, output: OutputForm = PLAIN
    ) -> None:
        """
        Args:
            name: the bundle's name.
            version: the bundle's version.
            digest: the bundle's digest.
            variant: the variant of the model in use.
            output: the form of the label records.
        """
        self._codec = load_codec()
        self._model = orjson.dumps({"name": name, "version": version, "digest": digest, "variant": variant})
        self._headers = (
            ("labelstream-model", f"{name}@{version}".encode()),
            ("labelstream-schema", SCHEMA.encode()),
            ("content-type", output.content_type),
        )
        self._output = output
        names = (name for name, _ in self._headers)
        self._replaced = CLOUD_EVENT_HEADERS.union((ID, *names))
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
            Records with JSON values, and with the headers of the input followed by those of a label record.
        """
        modes: dict[int, Mode] = {}
        form = LabelForm(
            self._middle(source, cached=False),
            self._middle(source, cached=True),
            b',"labelled_at":%b}' % self._time.json(labelled_at),
            ID,
            self._headers,
            self._replaced,
            partial(self._merge_headers, modes),
        )
        records = self._codec.write_labels(form, events, predictions)
        if not (modes or self._output.rewrites_all):
            return records
        return [*self._output.rewrite(source, labelled_at, events, records, modes)]

    def _merge_headers(self, modes: dict[int, Mode], record: Record, event_id: str) -> Headers:
        """Return the headers of a label record, and note the mode of an input that is a CloudEvent."""
        mode = input_mode(record)
        if mode is not None:
            modes[record.offset] = mode
        return without_attributes(add_headers(record, [(ID, event_id.encode()), *self._headers]))

    def _middle(self, source: Source, *, cached: bool) -> bytes:
        """Return the JSON between the members of a prediction and the offset."""
        return b',"model":%b,"cached":%b,"source":{"topic":%b,"partition":%d,"offset":' % (
            self._model,
            b"true" if cached else b"false",
            orjson.dumps(source.topic),
            source.partition,
        )


def tombstone_headers(tombstone: Tombstone) -> Headers:
    """Return the headers of the output record for a tombstone."""
    return without_attributes(add_headers(tombstone.record, [(ID, tombstone.id.encode())]))


def pack_record(key: bytes | None, value: bytes | None, headers: Headers, timestamp: int) -> Outgoing:
    """Return a record for the publisher; `timestamp` is in milliseconds since the epoch."""
    return load_codec().pack(key, value, headers, timestamp)


def timestamps(records: Sequence[Outgoing]) -> npt.NDArray[np.int64]:
    """Return the timestamp of each record, int64 [records], in milliseconds since the epoch."""
    return np.array([record.timestamp for record in records], dtype=np.int64)
