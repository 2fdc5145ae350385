"""Records as Kafka writes them, and what is read from and written into them."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, final

from typing_extensions import Buffer

T = TypeVar("T", bound=tuple[Any, ...])

@final
class Record:
    """A record's bytes; key, value and headers become objects when they are asked for."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> list[tuple[str, bytes]]: ...
    @property
    def offset(self) -> int:
        """-1 for a record that was not read."""
    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch."""

def pack(
    key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]], timestamp: int, /
) -> Record:
    """A record to be written."""

def unpack(
    batch: bytes,
    start: int,
    stop: int,
    count: int,
    base_offset: int,
    base_timestamp: int,
    appended: bool,
    from_offset: int,
    /,
) -> list[Record]:
    """The records of a batch, from an offset on; they keep the batch's bytes.

    Args:
        batch: holds the records, not compressed, between `start` and `stop`.
        start: where the first begins.
        stop: where the last ends.
        count: how many there are.
        base_offset: what their offsets are counted from.
        base_timestamp: what their timestamps are counted from.
        appended: whether `base_timestamp` is the timestamp of all of them, the time of appending to the log.
        from_offset: records before it are left out.

    Raises:
        ValueError: these are no such records.
    """

def append(
    buffer: bytearray, records: list[Record], start: int, limit: int, now: int, /
) -> tuple[int, int, int]:
    """Append records from `start` on to a batch of the log's format that has none yet.

    Args:
        buffer: gets them behind what it holds, which is as long as a batch's header.
        records: none but packed ones.
        start: the first to be appended.
        limit: most bytes of the buffer; a first record that is longer goes all the same.
        now: milliseconds since the epoch, for records with a timestamp before it.

    Returns:
        How many were appended; the timestamp of the first; the latest timestamp.

    Raises:
        TypeError: one is not packed.
    """

def size_bytes(records: list[Record], /) -> int:
    """Bytes of all keys and values.

    Raises:
        TypeError: one is not packed.
    """

def timestamps(records: list[Any], /) -> bytes:
    """The timestamps, int64 [records].

    Raises:
        TypeError: one is not packed.
    """

def read_events(
    records: list[Any], event: type[T], id_stem: str, max_event_bytes: int, max_text_chars: int, /
) -> tuple[list[T | None], int]:
    """Plain JSON events of records, each (record, id, text, None, metadata as JSON or None, time or None).

    Args:
        records: packed ones; of others it is not clear what they hold.
        event: a subclass of tuple.
        id_stem: what an event that has no id is called, before its offset.
        max_event_bytes: larger values are not looked into.
        max_text_chars: of an event's text.

    Returns:
        Events, None in place of what needs a closer look; and how many need it.
    """

def write_labels(
    events: list[T],
    predictions: list[Any],
    inferred: bytes,
    known: bytes,
    end: bytes,
    id_name: bytes,
    ours: bytes,
    ours_count: int,
    replaced: tuple[bytes, ...],
    closer: Callable[[T, Any], Any],
    /,
) -> list[Any]:
    """Label records of events, in order.

    Args:
        events: what `read_events` gives, or tuples like it.
        predictions: for each (members, stored form, whether it was cached).
        inferred: what follows a prediction's members in the value, up to the offset.
        known: the same for predictions out of a cache.
        end: what follows the event's time.
        id_name: the name of the header with the id, as Kafka writes it.
        ours: our other headers, as Kafka writes them.
        ours_count: how many these are.
        replaced: names of headers that ours take the place of.
        closer: writes the record of an event that has one of those, or that is not packed.
    """

def encode_scores(
    scores: Buffer, labels: tuple[bytes, ...], shown: int, kind: type[T], cached: bool, /
) -> list[T]:
    """Predictions, (members, scores, cached), of a single-label model.

    Args:
        scores: uint32 [rows, labels], millionths.
        labels: as JSON.
        shown: how many labels have their score named.
        kind: a subclass of tuple.
        cached: of every prediction.

    Raises:
        ValueError: the scores are not that many, or `shown` is less than one.
    """
