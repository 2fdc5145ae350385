"""The compiled functions. `stream.codec.base.Codec` describes their arguments and results."""

from collections.abc import Callable
from typing import Any, TypeVar, final

from typing_extensions import Buffer

P = TypeVar("P", bound=tuple[Any, ...])

MILLIONTHS: int
MAX_HEADERS: int

@final
class Record:
    """An encoded record; the attributes create Python objects on demand."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> list[tuple[str, bytes]]: ...
    @property
    def offset(self) -> int:
        """The offset; -1 for a record to write."""
    @property
    def timestamp(self) -> int: ...
    @property
    def damaged(self) -> bool: ...

def check(data: bytes, start: int, stop: int, count: int, last_offset_delta: int, /) -> bool:
    """See `stream.codec.parse.check`."""

def unpack(
    data: bytes,
    start: int,
    stop: int,
    count: int,
    base_offset: int,
    base_timestamp: int,
    log_append_time: bool,
    from_offset: int,
    delta: int,
    dense: bool,
    /,
) -> tuple[list[Any], int, int]:
    """See `stream.codec.parse.unpack`. The records keep `data` alive, except for damaged ones."""

def size_bytes(records: list[Any], /) -> int:
    """Return the bytes of all keys, values and headers.

    Raises:
        TypeError: an object is not a `Record`.
    """

def append(
    buffer: bytearray, records: list[Any], start: int, limit: int, now: int, /
) -> tuple[int, int, int]:
    """Append records, a list of `Record`.

    Raises:
        TypeError: an object is not a `Record`.
    """

def json_texts(records: list[Any], headers: tuple[bytes, ...], max_bytes: int, /) -> list[str | None]:
    """Return the values for the JSON fast path; None for an object that is not a `Record`."""

def write_labels(
    events: list[Any],
    predictions: list[Any],
    inferred: bytes,
    cached: bytes,
    end: bytes,
    id_name: bytes,
    headers: bytes,
    header_count: int,
    replaced: tuple[bytes, ...],
    latest_ms: int,
    fallback: Callable[[Any, Any], Any],
    /,
) -> list[Any]:
    """Return the label record of each event.

    Args:
        events: tuples with the record at 0, the id at 1 and the time at 5.
        predictions: tuples of members, stored form and whether the prediction is cached.
        inferred: see `LabelForm`.
        cached: see `LabelForm`.
        end: see `LabelForm`.
        id_name: the name of the id's header, encoded.
        headers: the other headers that every label record gets, encoded.
        header_count: the number of these headers.
        replaced: the names of the headers that the fallback handles.
        latest_ms: the latest timestamp that can be written.
        fallback: writes the record of an event that has a replaced header or an unusual length, or whose
            record is no `Record`.
    """

def sampled_traces(records: list[Any], /) -> list[int]:
    """Return the indexes of the records with a sampled trace; an object that is not a `Record` is skipped."""

def with_trace(record: Any, traceparent: bytes, /) -> Any:
    """Return a copy of a record with another `traceparent`.

    Raises:
        TypeError: the object is not a `Record`.
    """

def replace_values(records: list[Any], values: list[bytes], /) -> list[Any]:
    """Return records with other values.

    Raises:
        TypeError: an object is not a `Record`, or not one that was written.
        ValueError: records and values differ in number.
    """

def encode_scores(
    scores: Buffer, labels: tuple[bytes, ...], shown: int, kind: type[P], cached: bool, /
) -> list[P]:
    """Return a prediction for each row of scores, uint32 [rows, labels]; the labels are JSON strings.

    Raises:
        ValueError: the scores are not whole rows, no label is shown, or `kind` is not a tuple.
    """
