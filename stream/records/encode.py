"""Predictions to label records."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import orjson

from stream.codec import codec
from stream.records.events import Event, Headers, Outgoing, Source, Tombstone, outgoing
from stream.records.headers import TRACEPARENT, packed_header, packed_name, with_ours

SCHEMA = "label.v1"
ID = "labelstream-id"
# 9999-12-31T23:59:59.999Z: RFC 3339 knows no later year. Producers that count in microseconds go past it.
LATEST_MS = 253_402_300_799_999

Answer = tuple[bytes, bytes, bool]
"""The members that the model adds (JSON without braces), what a cache keeps of them, whether it knew them."""


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
        self._packed_replaced = tuple(name.encode() for name in self._replaced)
        self._time = Rfc3339()

    def write(
        self, source: Source, labelled_at: int, events: Sequence[Event], answers: Sequence[Answer]
    ) -> list[Outgoing]:
        """Label records for events of one partition, in order.

        Args:
            source: where the events were read.
            labelled_at: milliseconds since the epoch.
            events: what was read.
            answers: for each what the model adds.

        Returns:
            Records whose value is JSON and whose headers are the input's with ours.
        """
        end = b',"labelled_at":%b}' % self._time.json(labelled_at)
        inferred, known = (self._middle(source, cached) for cached in (False, True))
        write = self._writer(inferred, known, end)
        if codec is None:
            return [*map(write, events, answers)]
        return codec.write_labels(
            [*events],
            [*answers],
            inferred,
            known,
            end,
            packed_name(ID),
            b"".join([packed_header(name, value) for name, value in self._headers]),
            len(self._headers),
            self._packed_replaced,
            write,
        )

    def _writer(self, inferred: bytes, known: bytes, end: bytes) -> Callable[[Event, Answer], Outgoing]:
        """Writes the record of an event and its answer."""
        templates = [
            b'{"id":%b,%b' + middle.replace(b"%", b"%%") + b'%d},"time":%b' + end
            for middle in (inferred, known)
        ]
        dumps, time, ours, replaced = orjson.dumps, self._time.json, self._headers, self._replaced
        stamp, stamped = 0, time(0)

        # One call an event, and nothing in it that could be done once a batch.
        def write(event: Event, answer: Answer) -> Outgoing:
            nonlocal stamp, stamped
            record, own, (members, _, cached) = event.record, event.id, answer
            if record.timestamp != stamp:
                stamp = record.timestamp
                stamped = time(stamp)
            value = templates[cached] % (
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
            return outgoing(record.key, value, headers, stamp)

        return write

    def _middle(self, source: Source, cached: bool) -> bytes:
        """What stands between the model's members and the offset."""
        return b',"model":%b,"cached":%b,"source":{"topic":%b,"partition":%d,"offset":' % (
            self._model,
            b"true" if cached else b"false",
            orjson.dumps(source.topic),
            source.partition,
        )


def tombstone(passed: Tombstone) -> Headers:
    """The headers of a tombstone that is passed on."""
    return with_ours(passed.record, [(ID, passed.id.encode())])
