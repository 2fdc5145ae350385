"""The identity of the input topics: whether a topic still is the one whose offsets the group has committed.

A topic that is deleted and created again has the same name and a new id, and its offsets start at 0 again. A
position or a committed offset of the old log means nothing in the new one.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from aiokafka.errors import TopicAuthorizationFailedError

from stream.errors import BrokerError
from stream.wording import CREATE_TOPICS

MARK = "topic-id:"


class TopicState(NamedTuple):
    """The state of a topic, as a broker reports it.

    Attributes:
        topic_id: the id of the topic, None if the broker does not report ids.
        partitions: the number of its partitions.
        missing: True if the broker does not know the topic.
        denied: True if the broker does not let the worker read the topic.
    """

    topic_id: str | None = None
    partitions: int = 0
    missing: bool = False
    denied: bool = False


def commit_metadata(topic_id: str | None) -> str:
    """Return the metadata that is committed with an offset of a topic."""
    return f"{MARK}{topic_id}" if topic_id else ""


def committed_topic_id(metadata: str | None) -> str | None:
    """Return the topic id in the metadata of a committed offset, None if it has none."""
    return metadata.removeprefix(MARK) if metadata and metadata.startswith(MARK) else None


class InputTopics:
    """The states of the input topics, compared with those at the start of the epoch.

    The consumer's thread calls the methods that change it. The event loop reads `error` and `problem`.

    Attributes:
        absent: the topics that were missing or denied at the start of the epoch; they are not read.
        recreated: the topics that the start of the epoch found deleted and created again.
    """

    def __init__(self, retry_s: float, clock: Callable[[], float]) -> None:
        """
        Args:
            retry_s: the seconds that a topic may be missing.
            clock: returns monotonic seconds.
        """
        self._retry_s = retry_s
        self._clock = clock
        self._states: Mapping[str, TopicState] = {}
        self._seen_at: dict[str, float] = {}
        self._ids: dict[str, str] = {}
        self._retired: set[str] = set()
        self._counts: dict[str, int] = {}
        self._known_counts: Mapping[str, int] = {}
        self.absent: frozenset[str] = frozenset()
        self.recreated: set[str] = set()

    def observe(self, found: Mapping[str, TopicState]) -> bool:
        """Record the states of topics, and return True if the epoch has to end.

        The epoch ends if a topic has another id than at its start, or was absent then and exists now. A
        broker that is behind the others may still report the id of a deleted topic; that state is ignored.
        """
        current = {topic: state for topic, state in found.items() if state.topic_id not in self._retired}
        now = self._clock()
        for topic, state in current.items():
            if not state.missing or topic not in self._seen_at:
                self._seen_at[topic] = now
        self._states = {**self._states, **current}
        return any(
            self._exists(topic) and (topic in self.absent or self.is_replaced(topic)) for topic in current
        )

    def start_epoch(self, found: Mapping[str, TopicState]) -> None:
        """Record the states of topics, and take their ids as those of the new epoch."""
        self.observe(found)
        self._known_counts = dict(self._counts)
        self.recreated = {topic for topic in self._states if self.is_replaced(topic)}
        self.absent = frozenset(topic for topic in self._states if not self._exists(topic))
        for topic, state in self._states.items():
            if not state.topic_id:
                continue
            if topic in self.recreated:
                self._retired.add(self._ids[topic])
            self._ids[topic] = state.topic_id
            self._counts[topic] = state.partitions

    def compare(self, topic: str, committed_ids: Iterable[str | None]) -> None:
        """Compare the id of a topic with those that were committed with its offsets."""
        topic_id = self._ids.get(topic)
        if topic_id and any(found not in (None, topic_id) for found in committed_ids):
            self.recreated.add(topic)

    def deny(self, topic: str) -> None:
        """Record that the broker has refused to let the worker read a topic."""
        self._states = {**self._states, topic: TopicState(denied=True)}

    def topic_id(self, topic: str) -> str | None:
        """Return the id of a topic at the start of the epoch."""
        return self._ids.get(topic)

    def is_current(self, topic: str) -> bool:
        """Return True if a topic exists and is, as far as known, the one of the start of the epoch."""
        return topic not in self.absent and self._exists(topic) and not self.is_replaced(topic)

    def is_replaced(self, topic: str) -> bool:
        """Return True if a topic has another id than at the start of the epoch."""
        old, new = self._ids.get(topic), self._states.get(topic, TopicState()).topic_id
        return old is not None and new is not None and old != new

    def is_new(self, topic: str, partition: int) -> bool:
        """Return True if a partition was created after the worker had read the topic's other partitions."""
        return topic in self.recreated or partition >= self._known_counts.get(topic, partition + 1)

    def _exists(self, topic: str) -> bool:
        state = self._states.get(topic)
        return state is None or not (state.missing or state.denied)

    @property
    def problem(self) -> str:
        """A topic that cannot be read at the moment, in words; empty if there is none."""
        for topic, state in self._states.items():
            if state.denied:
                return f"the broker does not let the worker read {topic}"
            if state.missing:
                return f"the broker has not listed {topic} for {self._missing_s(topic):.0f} s"
        return ""

    @property
    def error(self) -> BrokerError | None:
        """The error that ends the worker: a topic may not be read, or has been missing for too long."""
        for topic, state in self._states.items():
            if state.denied:
                return self._denied(topic)
            if state.missing and self._missing_s(topic) >= self._retry_s:
                return self._deleted(topic)
        return None

    def _missing_s(self, topic: str) -> float:
        return self._clock() - self._seen_at[topic]

    def _denied(self, topic: str) -> BrokerError:
        error = BrokerError(f"the broker does not let the worker read the input topic {topic}")
        # `stream.kafka.permissions` writes the cause, and the command that grants the permission.
        error.__cause__ = TopicAuthorizationFailedError(topic)
        return error

    def _deleted(self, topic: str) -> BrokerError:
        return BrokerError(
            f"the input topic {topic} was deleted",
            cause=f"UnknownTopicOrPartitionError: the broker has not listed it for {self._retry_s:g} s",
            fix=f"create it again: {CREATE_TOPICS}; or stop the worker",
        )
