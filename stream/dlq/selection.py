"""The selection of dead letters by reason, time, partition, id, position and fields of the value."""

from dataclasses import dataclass

import orjson

from stream.dlq.filters import Condition
from stream.dlq.letters import Position, StoredLetter


@dataclass(frozen=True, slots=True)
class Selection:
    """The conditions on a dead letter, all of which have to hold; an empty set is no condition.

    Attributes:
        reasons: the reasons.
        partitions: the partitions of the dead-letter topic.
        ids: the ids of events.
        positions: the positions in the dead-letter topic.
        input_topics: the topics of the original records.
        since: the earliest timestamp of the original record, in milliseconds since the epoch.
        until: the timestamp before which the original record has to be.
        where: conditions on fields of the value. A value that is not JSON, or was cut, meets none.
    """

    reasons: frozenset[str] = frozenset()
    partitions: frozenset[int] = frozenset()
    ids: frozenset[str] = frozenset()
    positions: frozenset[Position] = frozenset()
    input_topics: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None
    where: tuple[Condition, ...] = ()

    def matches(self, letter: StoredLetter) -> bool:
        """Return True if all conditions hold."""
        return (
            (not self.partitions or letter.partition in self.partitions)
            and (not self.positions or letter.position in self.positions)
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.ids or letter.id in self.ids)
            and (not self.input_topics or letter.input_topic in self.input_topics)
            and (self.since is None or letter.timestamp >= self.since)
            and (self.until is None or letter.timestamp < self.until)
            and (not self.where or self._holds(letter.record.value))
        )

    def wants(self, partition: int) -> bool:
        """Return True if a partition may have selected dead letters."""
        return (not self.partitions or partition in self.partitions) and (
            not self.positions or any(position.partition == partition for position in self.positions)
        )

    def _holds(self, value: bytes | None) -> bool:
        try:
            parsed = orjson.loads(value or b"")
        except orjson.JSONDecodeError:
            return False
        return all(condition.holds(parsed) for condition in self.where)
