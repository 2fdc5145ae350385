"""The size of the wire batches for topics that refuse larger ones."""

# A larger size is tried again after so many batches: a refusal costs one request to the broker.
BATCHES_BEFORE_GROWTH = 64


class FillLimits:
    """The size in bytes before compression to which the wire batches of a topic are filled.

    A topic has no limit until it refuses a batch of several records. Only refusals reveal the limit reliably:
    `max.message.bytes` may change while the worker runs, the user may not be allowed to read it, and
    `segment.bytes` is a limit as well.
    """

    def __init__(self) -> None:
        self._limits: dict[str, int] = {}
        self._confirmed: dict[str, int] = {}

    def of(self, topic: str) -> int | None:
        """Return the limit of a topic, None if it has none."""
        return self._limits.get(topic)

    def set(self, topic: str, limit: int) -> None:
        """Set the limit of a topic: the size at which it accepted the records of a refused batch."""
        self._limits[topic] = limit
        self._confirmed[topic] = 0

    def confirmed(self, topic: str) -> None:
        """Count a confirmed batch; after `BATCHES_BEFORE_GROWTH` of them the limit is doubled."""
        if topic in self._limits:
            self._confirmed[topic] += 1
            if self._confirmed[topic] >= BATCHES_BEFORE_GROWTH:
                self.set(topic, 2 * self._limits[topic])
