"""The codec in Python: the fallback where the compiled codec was not built, and its reference in tests."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice, repeat
from typing import Generic, NamedTuple

import numpy as np
import orjson

from stream.codec import parse
from stream.codec.base import (
    MILLIONTHS,
    PART_RECORDS,
    TRACEPARENT,
    TRACEPARENT_BYTES,
    Appended,
    EncodedPrediction,
    EncodedRecords,
    Headers,
    LabelForm,
    LabelledEvent,
    Outgoing,
    P,
    ReadRecord,
    Record,
    ScoreEncoder,
    Scores,
    row_bytes,
)
from stream.codec.rfc3339 import Rfc3339
from stream.codec.wire import NAME_ERRORS, encode_body, encode_record

MAX_DEPTH = 100
_UNUSUAL_NUMBER = re.compile(r"[0-9][eE]|[0-9.]{300}")
# The number of cached templates, one for each order of labels. A model with many labels has more orders, and
# few of these recur.
_CACHED_ORDERS = 1_024


class PlainRecord(NamedTuple):
    """A record to write, not encoded yet."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int


class PythonCodec:
    """The codec in Python."""

    name = "python"
    _check: Callable[..., bool] = staticmethod(parse.check)
    _unpack: Callable[..., tuple[list[Record], int, int]] = staticmethod(parse.unpack)

    def __init__(self) -> None:
        self._time = Rfc3339()

    def unpack(self, batch: EncodedRecords, from_offset: int) -> Iterator[list[Record]]:
        """See `Codec.unpack`."""
        dense = self._check(batch.data, batch.start, batch.stop, batch.record_count, batch.last_offset_delta)
        return self._parts(batch, from_offset, dense)

    def _parts(self, batch: EncodedRecords, from_offset: int, dense: bool) -> Iterator[list[Record]]:
        at, delta = batch.start, 0
        for done in range(0, batch.record_count, PART_RECORDS):
            records, at, delta = self._unpack(
                batch.data,
                at,
                batch.stop,
                min(PART_RECORDS, batch.record_count - done),
                batch.base_offset,
                batch.base_timestamp,
                batch.log_append_time,
                from_offset,
                delta,
                dense,
            )
            if records:
                yield records

    def size_bytes(self, records: Sequence[Record]) -> int:
        """See `Codec.size_bytes`."""
        return sum(map(_size, records))

    def pack(self, key: bytes | None, value: bytes | None, headers: Headers, timestamp: int) -> Outgoing:
        """See `Codec.pack`."""
        return PlainRecord(key, value, headers, timestamp)

    def append(
        self, buffer: bytearray, records: Sequence[Outgoing], start: int, limit: int, now: int
    ) -> Appended:
        """See `Codec.append`."""
        size, count, first, latest = len(buffer), 0, 0, 0
        for record in islice(records, start, None):
            timestamp = record.timestamp if record.timestamp >= 0 else now
            if not count:
                first = latest = timestamp
            body = encode_body(record.key, record.value, record.headers)
            encoded = encode_record(timestamp - first, count, body)
            if count and size + len(encoded) > limit:
                break
            buffer += encoded
            size += len(encoded)
            latest = max(latest, timestamp)
            count += 1
        return Appended(count, first, latest)

    def json_texts(
        self, records: Sequence[Record], headers: frozenset[str], max_bytes: int
    ) -> list[str | None]:
        """See `Codec.json_texts`."""
        return [_json_text(record, headers, max_bytes) for record in records]

    def write_labels(
        self, form: LabelForm, events: Sequence[LabelledEvent], predictions: Sequence[EncodedPrediction]
    ) -> list[Outgoing]:
        """See `Codec.write_labels`."""
        write = self.label_writer(form)
        return [write(event, prediction) for event, prediction in zip(events, predictions, strict=True)]

    def replace_values(self, records: Sequence[Outgoing], values: Sequence[bytes]) -> list[Outgoing]:
        """See `Codec.replace_values`."""
        return [
            PlainRecord(record.key, value, record.headers, record.timestamp)
            for record, value in zip(records, values, strict=True)
        ]

    def label_writer(self, form: LabelForm) -> Callable[[LabelledEvent, EncodedPrediction], Outgoing]:
        """Return the function that writes the label record of one event."""
        templates = [
            b'{"id":%b,%b' + middle.replace(b"%", b"%%") + b'%d},"time":%b' + form.end.replace(b"%", b"%%")
            for middle in (form.inferred, form.cached)
        ]
        pack, dumps, to_json = self.pack, orjson.dumps, self._time.json
        id_header, added, replaced = form.id_header, form.headers, form.replaced

        def write(event: LabelledEvent, prediction: EncodedPrediction) -> Outgoing:
            record, event_id, (members, _, cached) = event.record, event.id, prediction
            timestamp = record.timestamp
            time = dumps(event.time) if event.time else to_json(timestamp)
            value = templates[cached] % (dumps(event_id), members, record.offset, time)
            kept = record.headers
            for name, _ in kept:
                if name in replaced:
                    headers = form.merge_headers(record, event_id)
                    break
            else:
                headers = [*kept, (id_header, event_id.encode()), *added]
            return pack(record.key, value, headers, timestamp)

        return write

    def sampled_traces(self, records: Sequence[Record]) -> list[int]:
        """See `Codec.sampled_traces`."""
        return [at for at, record in enumerate(records) if _is_sampled(record)]

    def with_trace(self, record: Record, traceparent: bytes) -> Record:
        """See `Codec.with_trace`."""
        headers = [*(header for header in record.headers if header[0] != TRACEPARENT)]
        headers.append((TRACEPARENT, traceparent))
        return ReadRecord(record.key, record.value, headers, record.offset, record.timestamp)

    def score_encoder(self, labels: Sequence[str], shown: int, kind: type[P]) -> ScoreEncoder[P]:
        """See `Codec.score_encoder`."""
        return PythonScoreEncoder(labels, shown, kind)


def _size(record: Record) -> int:
    size = len(record.key or b"") + len(record.value or b"")
    for name, value in record.headers:
        size += len(name.encode("utf-8", NAME_ERRORS)) + len(value or b"")
    return size


def _is_sampled(record: Record) -> bool:
    """Return True if the last header `traceparent` has the sampled flag."""
    for name, value in reversed(record.headers):
        if name == TRACEPARENT:
            # C reads the digit in the same way, so that both select the same records.
            return value is not None and len(value) >= TRACEPARENT_BYTES and _low_bit(value[54])
    return False


def _low_bit(digit: int) -> bool:
    return bool((digit - (ord("W") if ord("a") <= digit <= ord("f") else ord("0"))) & 1)


def _json_text(record: Record, headers: frozenset[str], max_bytes: int) -> str | None:
    value = record.value
    if value is None or len(value) > max_bytes or record.damaged:
        return None
    for name, _ in record.headers:
        if name in headers:
            return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    # Escapes hide where strings end, so in a value with escapes the check covers the strings as well.
    outside = text if "\\" in text else "".join(text.split('"')[::2])
    short = len(outside) <= MAX_DEPTH and "e" not in outside and "E" not in outside
    return text if short or _within_limits(outside) else None


def _within_limits(outside: str) -> bool:
    return not _UNUSUAL_NUMBER.search(outside) and outside.count("{") + outside.count("[") <= MAX_DEPTH


class PythonScoreEncoder(Generic[P]):
    """Encodes predictions with one call of orjson for the numbers of all rows.

    The numbers fill a template for each order of labels; most events of a stream have one of few orders.
    """

    def __init__(self, labels: Sequence[str], shown: int, kind: type[P]) -> None:
        """See `Codec.score_encoder`."""
        self._names = [orjson.dumps(label) for label in labels]
        self._shown = shown
        self._kind = kind
        self._template = lru_cache(_CACHED_ORDERS)(self._make_template)

    def __call__(self, scores: Scores, *, cached: bool) -> list[P]:
        """See `ScoreEncoder`."""
        if not len(scores):
            return []
        order = np.argsort(-scores.astype(np.int64), axis=1, kind="stable")[:, : self._shown]
        best = np.take_along_axis(scores, order, axis=1) / MILLIONTHS
        rows = orjson.dumps(best, option=orjson.OPT_SERIALIZE_NUMPY)[2:-2].split(b"],[")
        templates = map(self._template, map(tuple, order.tolist()))
        members = [
            template % (numbers[0], *numbers)
            for template, numbers in zip(templates, [row.split(b",") for row in rows], strict=True)
        ]
        new, kind = tuple.__new__, self._kind
        return [new(kind, fields) for fields in zip(members, row_bytes(scores), repeat(cached), strict=False)]

    def _make_template(self, order: tuple[int, ...]) -> bytes:
        names = [self._names[at].replace(b"%", b"%%") for at in order]
        return b'"label":%b,"score":%%b,"scores":{%b}' % (
            names[0],
            b",".join(name + b":%b" for name in names),
        )
