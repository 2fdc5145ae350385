"""The compiled codec: `stream.codec._records` behind the interface `Codec`."""

from collections.abc import Sequence
from typing import Generic

import numpy as np
import orjson

from stream.codec import _records
from stream.codec.base import (
    MAX_HEADERS,
    MILLIONTHS,
    Appended,
    EncodedPrediction,
    Headers,
    LabelForm,
    LabelledEvent,
    Outgoing,
    P,
    Record,
    ScoreEncoder,
    Scores,
)
from stream.codec.python import PythonCodec
from stream.codec.rfc3339 import LATEST_MS
from stream.codec.wire import encode_body, encode_headers, encode_name, encode_record

if (_records.MILLIONTHS, getattr(_records, "MAX_HEADERS", None)) != (MILLIONTHS, MAX_HEADERS):
    raise ImportError("stream.codec._records was built from other sources")


class CompiledCodec(PythonCodec):
    """The codec with its per-record functions in C."""

    name = "compiled"
    _check = staticmethod(_records.check)
    _unpack = staticmethod(_records.unpack)

    def size_bytes(self, records: Sequence[Record]) -> int:
        """See `Codec.size_bytes`."""
        try:
            return _records.size_bytes(records if isinstance(records, list) else [*records])
        except TypeError:
            # Records of older formats, and records whose bytes cannot be read, are Python objects.
            return super().size_bytes(records)

    def pack(self, key: bytes | None, value: bytes | None, headers: Headers, timestamp: int) -> Outgoing:
        """See `Codec.pack`."""
        data = encode_record(0, 0, encode_body(key, value, headers))
        records, _, _ = _records.unpack(data, 0, len(data), 1, -1, timestamp, True, -1, 0, True)
        packed: Outgoing = records[0]
        return packed

    def append(
        self, buffer: bytearray, records: Sequence[Outgoing], start: int, limit: int, now: int
    ) -> Appended:
        """See `Codec.append`."""
        listed = records if isinstance(records, list) else [*records]
        return Appended(*_records.append(buffer, listed, start, limit, now))

    def json_texts(
        self, records: Sequence[Record], headers: frozenset[str], max_bytes: int
    ) -> list[str | None]:
        """See `Codec.json_texts`."""
        return _records.json_texts([*records], tuple(name.encode() for name in headers), max_bytes)

    def write_labels(
        self, form: LabelForm, events: Sequence[LabelledEvent], predictions: Sequence[EncodedPrediction]
    ) -> list[Outgoing]:
        """See `Codec.write_labels`."""
        return _records.write_labels(
            [*events],
            [*predictions],
            form.inferred,
            form.cached,
            form.end,
            encode_name(form.id_header),
            encode_headers(form.headers),
            len(form.headers),
            tuple(name.encode() for name in form.replaced),
            LATEST_MS,
            self.label_writer(form),
        )

    def sampled_traces(self, records: Sequence[Record]) -> list[int]:
        """See `Codec.sampled_traces`."""
        # Records of older formats are Python objects. Their wire batches have no headers.
        return _records.sampled_traces(records if isinstance(records, list) else [*records])

    def with_trace(self, record: Record, traceparent: bytes) -> Record:
        """See `Codec.with_trace`."""
        if not isinstance(record, _records.Record):
            return super().with_trace(record, traceparent)
        traced: Record = _records.with_trace(record, traceparent)
        return traced

    def replace_values(self, records: Sequence[Outgoing], values: Sequence[bytes]) -> list[Outgoing]:
        """See `Codec.replace_values`."""
        return _records.replace_values([*records], [*values])

    def score_encoder(self, labels: Sequence[str], shown: int, kind: type[P]) -> ScoreEncoder[P]:
        """See `Codec.score_encoder`."""
        return CompiledScoreEncoder(labels, shown, kind)


class CompiledScoreEncoder(Generic[P]):
    """Encodes predictions in C."""

    def __init__(self, labels: Sequence[str], shown: int, kind: type[P]) -> None:
        """See `Codec.score_encoder`."""
        self._names = tuple(orjson.dumps(label) for label in labels)
        self._shown = shown
        self._kind = kind

    def __call__(self, scores: Scores, *, cached: bool) -> list[P]:
        """See `ScoreEncoder`."""
        data = np.ascontiguousarray(scores).data
        return _records.encode_scores(data, self._names, self._shown, self._kind, cached)
