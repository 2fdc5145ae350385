"""The codec in Python: the fallback where the compiled codec was not built, and its reference in tests."""

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import islice, repeat
from struct import Struct
from typing import Any, Generic, NamedTuple

import numpy as np
import orjson

from stream.codec.base import (
    MILLIONTHS,
    Appended,
    EncodedPrediction,
    FetchedBatch,
    Headers,
    LabelForm,
    LabelledEvent,
    Outgoing,
    P,
    Record,
    ScoreEncoder,
    Scores,
    row_bytes,
)
from stream.codec.rfc3339 import Rfc3339

# The header of a batch, and the first and the latest timestamp in it.
HEADER_SIZE = 61
TIMESTAMPS, TIMESTAMPS_AT = Struct(">qq"), 27
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

    def __init__(self) -> None:
        self._time = Rfc3339()

    def unpack(self, batch: FetchedBatch, from_offset: int) -> list[Record]:
        """See `Codec.unpack`."""
        return [record for record in batch if record.offset >= from_offset]

    def pack(self, key: bytes | None, value: bytes | None, headers: Headers, timestamp: int) -> Outgoing:
        """See `Codec.pack`."""
        return PlainRecord(key, value, headers, timestamp)

    def append(
        self, buffer: bytearray, records: Sequence[Outgoing], start: int, limit: int, now: int
    ) -> Appended:
        """See `Codec.append`."""
        builder = new_builder(limit)
        append, count = builder.append, 0
        for record in islice(records, start, None):
            timestamp = record.timestamp
            if timestamp < 0:
                timestamp = now
            if append(count, timestamp, record.key, record.value, record.headers) is None:
                break
            count += 1
        batch = builder.build()
        buffer += memoryview(batch)[HEADER_SIZE:]
        return Appended(count, *TIMESTAMPS.unpack_from(batch, TIMESTAMPS_AT))

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

    def score_encoder(self, labels: Sequence[str], shown: int, kind: type[P]) -> ScoreEncoder[P]:
        """See `Codec.score_encoder`."""
        return PythonScoreEncoder(labels, shown, kind)


def new_builder(max_bytes: int) -> Any:
    """Return aiokafka's encoder for an uncompressed batch; it accepts a first record of any size."""
    return _builder_type()(2, 0, 0, -1, -1, 0, max_bytes)


@cache
def _builder_type() -> Any:
    # The import is local because classification uses the codec without Kafka.
    from aiokafka.record.default_records import DefaultRecordBatchBuilder

    return DefaultRecordBatchBuilder


def _json_text(record: Record, headers: frozenset[str], max_bytes: int) -> str | None:
    value = record.value
    if value is None or len(value) > max_bytes:
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
