"""Predictions to label records."""

from collections.abc import Callable
from datetime import UTC, datetime

import orjson

from stream.records.events import Event, Headers, Tombstone
from stream.records.headers import TRACEPARENT, with_ours

SCHEMA = "label.v1"
ID = "labelstream-id"
# 9999-12-31T23:59:59.999Z: RFC 3339 knows no later year. Producers that count in microseconds go past it.
LATEST_MS = 253_402_300_799_999


class Rfc3339:
    """Milliseconds since the epoch as JSON strings; neighbours share most of it or all."""

    def __init__(self) -> None:
        self._ends = tuple(b'.%03dZ"' % ms for ms in range(1000))
        self._second = -1
        self._start = b""
        self._last = -1
        self._text = self.json(0)

    def json(self, timestamp: int) -> bytes:
        """Such as `"2026-11-20T10:00:00.123Z"`, quotes included.

        Before the epoch counts as the epoch, after the year 9999 as its last millisecond.
        """
        if timestamp == self._last:
            return self._text
        second, ms = divmod(min(max(timestamp, 0), LATEST_MS), 1000)
        if second != self._second:
            self._second = second
            self._start = b'"' + datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
        self._last, self._text = timestamp, self._start + self._ends[ms]
        return self._text


class LabelEncoder:
    """Writes the label records of one route.

    A value is put together from parts that orjson has encoded: what is the same for a model or for a batch
    is encoded once, what a prediction says comes encoded already.
    """

    def __init__(self, *, name: str, version: str, digest: str, variant: str) -> None:
        self._model = orjson.dumps({"name": name, "version": version, "digest": digest, "variant": variant})
        self._headers = (
            ("labelstream-model", f"{name}@{version}".encode()),
            ("labelstream-schema", SCHEMA.encode()),
            ("content-type", b"application/json"),
        )
        self._replaced = frozenset((ID, TRACEPARENT, *(name for name, _ in self._headers)))
        self._time = Rfc3339()

    def batch(self, topic: str, partition: int, labelled_at: int) -> Callable[[Event, bytes, bool], bytes]:
        """A writer of JSON values for events of one partition.

        Args:
            topic: where the events were read.
            partition: its partition.
            labelled_at: milliseconds since the epoch.

        Returns:
            Called with an event, the members that the model adds (JSON without braces), and whether they came
            from a cache.
        """
        dumps, time, join = orjson.dumps, self._time.json, b"".join
        end = b',"labelled_at":%b}' % time(labelled_at)
        source = b',"source":{"topic":%b,"partition":%d,"offset":' % (dumps(topic), partition)
        inferred = b',"model":%b,"cached":false%b' % (self._model, source)
        known = b',"model":%b,"cached":true%b' % (self._model, source)

        def value(event: Event, members: bytes, cached: bool) -> bytes:
            record = event.record
            return join(
                (
                    b'{"id":',
                    dumps(event.id),
                    b",",
                    members,
                    known if cached else inferred,
                    dumps(record.offset),
                    b'},"time":',
                    dumps(event.time) if event.time else time(record.timestamp),
                    end,
                )
            )

        return value

    def headers(self, event: Event) -> Headers:
        """The input's headers with ours."""
        ours = (ID, event.id.encode())
        carried = event.record.headers
        if not carried:
            return [ours, *self._headers]
        for name, _ in carried:
            if name in self._replaced:
                return with_ours(event.record, [ours, *self._headers])
        # aiokafka takes a list and nothing else.
        return [*carried, ours, *self._headers]


def tombstone(passed: Tombstone) -> Headers:
    """The headers of a tombstone that is passed on."""
    return with_ours(passed.record, [(ID, passed.id.encode())])
