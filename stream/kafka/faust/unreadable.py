"""Batches that cannot be read: the limits of reading, the error, and the records in place of their own."""

from collections.abc import Iterator

from aiokafka.structs import TopicPartition

from stream.codec import PART_RECORDS, ReadRecord, Record
from stream.errors import UnreadableBatchError
from stream.kafka.faust.decompress import TooLargeError, decompress
from stream.quarantine import Quarantine, format_offsets


class UnpackLimits:
    """The limits on decompressed records, and the offsets to skip.

    Attributes:
        quarantine: the quarantined offsets.
    """

    def __init__(
        self,
        batch_bytes: int = 128 * 2**20,
        poll_bytes: int = 64 * 2**20,
        quarantine: Quarantine | None = None,
    ) -> None:
        """
        Args:
            batch_bytes: the maximum size of the decompressed records of one batch.
            poll_bytes: the decompressed bytes after which a poll unpacks no further batch.
            quarantine: the quarantined offsets.
        """
        self.quarantine = quarantine or Quarantine()
        self._batch_bytes = batch_bytes
        self._poll_bytes = poll_bytes
        self._expanded = 0

    def begin_poll(self) -> None:
        """Forget the bytes of the previous poll."""
        self._expanded = 0

    @property
    def reached(self) -> bool:
        """True if this poll unpacks no further batch."""
        return self._expanded >= self._poll_bytes

    def expand(self, compression: int, data: bytes) -> bytes:
        """Decompress the records of a batch. See `decompress`."""
        expanded = decompress(compression, data, self._batch_bytes)
        self._expanded += len(expanded)
        return expanded


def pointers(offsets: range, timestamp: int) -> Iterator[list[Record]]:
    """Yield a record without key, value and headers for each offset, in parts."""
    for at in range(0, len(offsets), PART_RECORDS):
        yield [
            ReadRecord(None, None, [], offset, timestamp, damaged=True)
            for offset in offsets[at : at + PART_RECORDS]
        ]


def unreadable_error(
    tp: TopicPartition, offsets: range, gaps: list[range], cause: BaseException
) -> UnreadableBatchError:
    """Return the error that names a batch, and the way past it."""
    named = format_offsets(offsets)
    where = f"{'offsets' if len(offsets) > 1 else 'offset'} {named}"
    quarantined = sum(map(len, gaps)) < len(offsets)
    gap = f"; quarantine does not name {', '.join(map(format_offsets, gaps))}" if quarantined else ""
    raising = "raise max_decompressed_bytes, or " if isinstance(cause, TooLargeError) else ""
    return UnreadableBatchError(
        f"the record batch of topic {tp.topic}, partition {tp.partition}, {where} cannot be read",
        cause=f"{describe(cause)}{gap}",
        fix=f"{raising}make dead letters of its records: labelstream worker "
        f"--quarantine {tp.topic}:{tp.partition}:{named}",
    )


def describe(cause: BaseException) -> str:
    """Return the cause in one line."""
    if isinstance(cause, TooLargeError):
        return f"{cause} (max_decompressed_bytes)"
    return " ".join(str(cause).split()) or type(cause).__name__
