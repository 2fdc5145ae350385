"""Predictions to label records."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from stream.records.events import Event, Headers, Tombstone
from stream.records.headers import with_ours

SCHEMA = "label.v1"


class LabelEncoder:
    """Writes the label records of one route."""

    def __init__(self, *, name: str, version: str, digest: str, variant: str) -> None:
        self._model = {"name": name, "version": version, "digest": digest, "variant": variant}
        self._headers = [
            ("labelstream-model", f"{name}@{version}".encode()),
            ("labelstream-schema", SCHEMA.encode()),
            ("content-type", b"application/json"),
        ]

    def value(self, event: Event, fields: Mapping[str, Any], *, cached: bool, labelled_at: datetime) -> bytes:
        """The JSON value; `fields` are those that come from the model."""
        record = event.record
        return orjson.dumps(
            {
                "id": event.id,
                **fields,
                "model": self._model,
                "cached": cached,
                "source": {"topic": record.topic, "partition": record.partition, "offset": record.offset},
                "time": event.time or _rfc3339(datetime.fromtimestamp(max(record.timestamp, 0) / 1000, UTC)),
                "labelled_at": _rfc3339(labelled_at),
            }
        )

    def headers(self, event: Event) -> Headers:
        """The input's headers with ours."""
        return with_ours(event.record, [("labelstream-id", event.id.encode()), *self._headers])


def tombstone(passed: Tombstone) -> Headers:
    """The headers of a tombstone that is passed on."""
    return with_ours(passed.record, [("labelstream-id", passed.id.encode())])


def _rfc3339(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
