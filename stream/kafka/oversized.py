"""Dead letters that are larger than their topic takes."""

from collections.abc import Awaitable, Callable

import structlog

from stream.deadline import Deadline
from stream.errors import BrokerError
from stream.kafka.partition_writer import Send
from stream.records import Outgoing
from stream.records.truncation import max_size, truncate

LIMIT_VALID_S = 10.0
# Below this size no dead letter fits, so that smaller forms need not be tried.
SMALLEST_LIMIT = 256
ERROR = "labelstream-error-"

log = structlog.get_logger(__name__)


class OversizedDeadLetters:
    """Cuts a dead letter to the size that its topic takes, or ends the worker.

    The size is the topic's `max.message.bytes`. If the user may not read it, or the broker refuses that size
    as well, the size is halved until the broker accepts it.
    """

    def __init__(
        self,
        read_limit: Callable[[str], Awaitable[int | None]],
        on_truncated: Callable[[], None],
        *,
        stop: bool = False,
    ) -> None:
        """
        Args:
            read_limit: returns the max.message.bytes of a topic, None if it cannot be read.
            on_truncated: called for each truncated dead letter, after its confirmation.
            stop: True if a dead letter that is too large ends the worker.
        """
        self._read_limit = read_limit
        self._on_truncated = on_truncated
        self._stop = stop
        self._limits: dict[str, tuple[int | None, Deadline]] = {}

    async def __call__(self, topic: str, record: Outgoing, send: Send) -> None:
        """See `stream.kafka.partition_writer.Fallback`."""
        if self._stop:
            raise _unwritable(topic, record, "on_unwritable_dead_letter is stop")
        size = max_size(record)
        limit = await self._limit(topic)
        if limit is None or limit >= size:
            limit = size // 2
        while True:
            shorter = truncate(record, limit)
            if await send(shorter):
                break
            limit = min(limit, max_size(shorter)) // 2
            if limit < SMALLEST_LIMIT:
                raise _unwritable(
                    topic, record, "the topic does not accept the headers without the value either"
                )
        self._on_truncated()
        log.error(
            "dead letter truncated",
            dead_topic=topic,
            **_pointer(record),
            bytes=len(record.value or b""),
            bytes_written=len(shorter.value or b""),
            cause=f"the dead letter is larger than max.message.bytes of {topic}",
            fix=f"raise max.message.bytes of {topic}, then read the original record again",
        )

    async def _limit(self, topic: str) -> int | None:
        known = self._limits.get(topic)
        if known is None or known[1].expired:
            known = await self._read_limit(topic), Deadline(LIMIT_VALID_S)
            self._limits[topic] = known
        return known[0]


def _pointer(record: Outgoing) -> dict[str, str]:
    """Return topic, partition and offset of the input record of a dead letter."""
    headers = {name.removeprefix(ERROR): value for name, value in record.headers if name.startswith(ERROR)}
    return {
        name: headers.get(name, b"?").decode("utf-8", "replace") for name in ("topic", "partition", "offset")
    }


def _unwritable(topic: str, record: Outgoing, reason: str) -> BrokerError:
    at = _pointer(record)
    return BrokerError(
        f"the dead letter of {at['topic']}, partition {at['partition']}, offset {at['offset']} "
        f"is too large for {topic}",
        cause=f"it is larger than max.message.bytes of {topic}, and {reason}",
        fix=f"raise max.message.bytes of {topic} (labelstream topics check shows it), or set "
        "on_unwritable_dead_letter to truncate; nothing was dropped",
    )
