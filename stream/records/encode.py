"""Predictions to label records."""

from collections.abc import Callable
from datetime import UTC, datetime

import orjson

from stream.records.events import Event, Headers, Outgoing, Source, Tombstone
from stream.records.headers import TRACEPARENT, with_ours

SCHEMA = "label.v1"
ID = "labelstream-id"
# 9999-12-31T23:59:59.999Z: RFC 3339 knows no later year. Producers that count in microseconds go past it.
LATEST_MS = 253_402_300_799_999


class Rfc3339:
    """Milliseconds since the epoch as JSON strings; neighbours share most of it."""

    def __init__(self) -> None:
        self._ends = tuple(b'.%03dZ"' % ms for ms in range(1000))
        self._second = -1
        self._start = b""

    def json(self, timestamp: int) -> bytes:
        """Such as `"2026-11-20T10:00:00.123Z"`, quotes included.

        Before the epoch counts as the epoch, after the year 9999 as its last millisecond.
        """
        second, ms = divmod(min(max(timestamp, 0), LATEST_MS), 1000)
        if second != self._second:
            self._second = second
            self._start = b'"' + datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
        return self._start + self._ends[ms]


class LabelEncoder:
    """Writes the label records of one route.

    A value is a template that orjson's own output is filled into: what is the same for a model or for a batch
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

    def batch(self, source: Source, labelled_at: int) -> Callable[[Event, bytes, bool], Outgoing]:
        """A writer of label records for events of one partition.

        Args:
            source: where the events were read.
            labelled_at: milliseconds since the epoch.

        Returns:
            Called with an event, the members that the model adds (JSON without braces), and whether they came
            from a cache. The value is JSON; the headers are the input's with ours.
        """
        inferred, known = (self._template(source, labelled_at, cached) for cached in (False, True))
        dumps, time, ours, replaced = orjson.dumps, self._time.json, self._headers, self._replaced
        stamp, stamped = 0, time(0)

        # One call an event, and nothing in it that could be done once a batch.
        def write(event: Event, members: bytes, cached: bool) -> Outgoing:
            nonlocal stamp, stamped
            record, own = event.record, event.id
            if record.timestamp != stamp:
                stamp = record.timestamp
                stamped = time(stamp)
            value = (known if cached else inferred) % (
                dumps(own),
                members,
                record.offset,
                dumps(event.time) if event.time else stamped,
            )
            carried = record.headers
            for name, _ in carried:
                if name in replaced:
                    headers = with_ours(record, [(ID, own.encode()), *ours])
                    break
            else:
                # aiokafka takes a list and nothing else.
                headers = [*carried, (ID, own.encode()), *ours]
            return record.key, value, headers, stamp

        return write

    def _template(self, source: Source, labelled_at: int, cached: bool) -> bytes:
        """Asks for the id, the members, the offset and the time."""
        end = b'},"time":%%b,"labelled_at":%b}' % self._time.json(labelled_at)
        constant = b',"model":%b,"cached":%b,"source":{"topic":%b,"partition":%d,"offset":' % (
            self._model,
            b"true" if cached else b"false",
            orjson.dumps(source.topic),
            source.partition,
        )
        return b'{"id":%b,%b' + constant.replace(b"%", b"%%") + b"%d" + end


def tombstone(passed: Tombstone) -> Headers:
    """The headers of a tombstone that is passed on."""
    return with_ours(passed.record, [(ID, passed.id.encode())])
