"""The interface of a codec, and the data that crosses it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

# A score is an integer that counts millionths: the six digits that a label event shows.
MILLIONTHS = 1_000_000
SCORE_BYTES = 4
Scores = npt.NDArray[np.uint32]

Headers = Sequence[tuple[str, bytes]]
# The header of W3C Trace Context: version-trace-span-flags in hexadecimal digits, at least so many bytes.
TRACEPARENT = "traceparent"
TRACEPARENT_BYTES = 55
# The maximum number of records in a part of `Codec.unpack`.
PART_RECORDS = 8_192
# Each header becomes several Python objects, so a record with more of them counts as damaged.
MAX_HEADERS = 100_000
P = TypeVar("P", bound=tuple[Any, ...])


class Outgoing(Protocol):
    """A Kafka record to write: raw bytes, and a timestamp in milliseconds since the epoch."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def timestamp(self) -> int: ...


class Record(Outgoing, Protocol):
    """A Kafka record that was read.

    The record does not hold its topic and partition: records are passed by partition, as a `Source` and a
    list. The bytes of a header name that are not UTF-8 are surrogates (PEP 383), and are written unchanged.
    """

    @property
    def offset(self) -> int: ...
    @property
    def damaged(self) -> bool:
        """True if the record has no key, value and headers that can be separated, or over 100,000 headers.

        Such a record has neither key nor headers. Its value is the bytes of the record after its length, or
        None if the bytes cannot be read.
        """


class ReadRecord(NamedTuple):
    """A record whose parts are Python objects. See `Record`."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    offset: int
    timestamp: int
    damaged: bool = False


def row_bytes(scores: Scores) -> list[bytes]:
    """Return the bytes of each row of scores, uint32 [rows, labels]: the form that a cache stores."""
    rows: list[bytes] = (
        np.ascontiguousarray(scores).view(f"V{SCORE_BYTES * scores.shape[1]}").ravel().tolist()
    )
    return rows


class EncodedRecords(NamedTuple):
    """The uncompressed records of one batch in record format 2.

    Attributes:
        data: bytes that hold the records between `start` and `stop`.
        start: the position of the first record in `data`.
        stop: the position after the last record in `data`.
        record_count: the number of records.
        base_offset: the number that the records' offsets are relative to.
        base_timestamp: the number that the records' timestamps are relative to, milliseconds.
        log_append_time: True if `base_timestamp` is the timestamp of every record.
        last_offset_delta: the last offset of the batch, relative to `base_offset`. The batch may end before
            it, because compaction removes records.
    """

    data: bytes
    start: int
    stop: int
    record_count: int
    base_offset: int
    base_timestamp: int
    log_append_time: bool
    last_offset_delta: int


class Appended(NamedTuple):
    """The records that `Codec.append` has appended; timestamps in milliseconds since the epoch."""

    record_count: int
    first_timestamp: int
    latest_timestamp: int


class LabelForm(NamedTuple):
    """The parts that all label records of a batch share.

    Attributes:
        inferred: the JSON between a prediction's members and the offset.
        cached: the same for a prediction from a cache.
        end: the JSON after the time.
        id_header: the name of the header that holds the event's id.
        headers: the other headers that every label record gets.
        replaced: the names of the input's headers that are not copied unchanged.
        merge_headers: returns the headers of the label record for an input record with a replaced header.
    """

    inferred: bytes
    cached: bytes
    end: bytes
    id_header: str
    headers: Headers
    replaced: frozenset[str]
    merge_headers: Callable[[Record, str], Headers]


class LabelledEvent(Protocol):
    """The event of a label record: a tuple of six, with the record at 0, the id at 1 and the time at 5."""

    @property
    def record(self) -> Record: ...
    @property
    def id(self) -> str: ...
    @property
    def time(self) -> str | None: ...


EncodedPrediction = tuple[bytes, bytes, bool]
"""JSON members without braces, the form that a cache stores, and whether a cache supplied the prediction."""


class ScoreEncoder(Protocol[P]):
    """Encodes the predictions of one single-label model."""

    def __call__(self, scores: Scores, *, cached: bool) -> list[P]:
        """Return a prediction for each row of scores, uint32 millionths [rows, labels].

        The members name the label with the highest score, its score, and the best labels with theirs, best
        first; of equal scores the earlier label comes first. The stored form is the row's bytes.
        """


class Codec(Protocol):
    """Reads and writes the bytes of records, a batch at a time.

    Both implementations give equal results, except for the type of the records. Records of one codec are not
    passed to the other.
    """

    name: str

    def unpack(self, batch: EncodedRecords, from_offset: int) -> Iterator[list[Record]]:
        """Return the records of a batch whose offset is not less than `from_offset`, in parts.

        A part holds at most `PART_RECORDS` records, so that a batch of many small records needs little more
        memory than its bytes. A record whose parts do not fill it is damaged.

        Raises:
            ValueError: the records do not fill the batch, or their offsets are out of order.
        """

    def size_bytes(self, records: Sequence[Record]) -> int:
        """Return the bytes of all keys, values and headers."""

    def pack(self, key: bytes | None, value: bytes | None, headers: Headers, timestamp: int) -> Outgoing:
        """Return a record that `append` accepts."""

    def append(
        self, buffer: bytearray, records: Sequence[Outgoing], start: int, limit: int, now: int
    ) -> Appended:
        """Append records to an empty batch of record format 2, as many as fit.

        Args:
            buffer: the batch, which holds no more than its header.
            records: records of `pack` or `write_labels`.
            start: the index of the first record to append.
            limit: the maximum size of the buffer in bytes; a first record that exceeds it is appended anyway.
            now: the timestamp for records whose own is negative, milliseconds since the epoch.
        """

    def json_texts(
        self, records: Sequence[Record], headers: frozenset[str], max_bytes: int
    ) -> list[str | None]:
        """Return the values of records as text, None for each value that the JSON fast path must not read.

        The fast path must not read null, values that are not UTF-8, and values that JSON parsers may disagree
        on: with deep nesting, or with numbers that may not fit a double. The syntax is not checked, and an
        implementation may give None for further values.

        Args:
            records: records of `unpack`.
            headers: names of headers that change how a value is read; a record with one of them gives None.
            max_bytes: the maximum length of a value.
        """

    def write_labels(
        self, form: LabelForm, events: Sequence[LabelledEvent], predictions: Sequence[EncodedPrediction]
    ) -> list[Outgoing]:
        """Return the label record of each event, given one prediction for each.

        Raises:
            ValueError: events and predictions differ in number.
        """

    def sampled_traces(self, records: Sequence[Record]) -> list[int]:
        """Return the indexes of records whose last header `traceparent` has the sampled flag.

        Only the length of the header and its flags are checked.
        """

    def with_trace(self, record: Record, traceparent: bytes) -> Record:
        """Return a copy of a record in which one header `traceparent` replaces those of that name.

        Args:
            record: a record of `unpack` that is not damaged.
            traceparent: the value of the header, which comes last.
        """

    def replace_values(self, records: Sequence[Outgoing], values: Sequence[bytes]) -> list[Outgoing]:
        """Return records of `write_labels` with other values.

        Raises:
            ValueError: records and values differ in number.
        """

    def score_encoder(self, labels: Sequence[str], shown: int, kind: type[P]) -> ScoreEncoder[P]:
        """Return the encoder for a model with these labels.

        Args:
            labels: the labels in the order of the scores.
            shown: the maximum number of labels that `scores` names, at least one.
            kind: the type of a prediction, a tuple of members, stored form and whether it is cached.
        """
