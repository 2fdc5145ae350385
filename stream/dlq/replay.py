"""What a replay does with a dead letter, and the records that it writes."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from stream.codec import Outgoing
from stream.dlq.letters import MESSAGE, REASON, Position, StoredLetter
from stream.errors import Reason
from stream.records import Headers, pack_record
from stream.records.dead_letters import ATTEMPT, MAX_ATTEMPTS
from stream.records.events import ID_HEADER

DEFAULT_MAX_ATTEMPTS = 3


class Outcome(StrEnum):
    """The outcome of a selected dead letter; each one has exactly one."""

    REPLAYED = "replayed"
    PARKED = "parked"
    DONE_BEFORE = "done before"
    PARKED_BEFORE = "parked before"
    INCOMPLETE = "incomplete"
    NO_ORIGIN = "without origin"
    NO_TOPIC = "without topic"
    FOREIGN = "not dead letters"
    REFUSED = "refused"


EXPLANATIONS = {
    Outcome.REPLAYED: "sent, and confirmed by the broker",
    Outcome.PARKED: "reached the maximum number of attempts; written again with the reason attempts",
    Outcome.DONE_BEFORE: "replayed or parked by an earlier run; --again sends them again",
    Outcome.PARKED_BEFORE: "select them with --reason attempts and a larger --max-attempts",
    Outcome.INCOMPLETE: "do not hold the whole record, so they cannot be replayed; see labelstream dlq show",
    Outcome.NO_ORIGIN: "do not name their input topic; choose one with --to",
    Outcome.NO_TOPIC: "their input topic does not exist; create it, or choose one with --to",
    Outcome.FOREIGN: "have no header labelstream-error-reason",
    Outcome.REFUSED: "larger than the topic takes; raise its max.message.bytes",
}


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """The options of a replay.

    Attributes:
        dead_topic: the dead-letter topic, to which parked dead letters are written.
        topics: the topics that exist.
        max_attempts: a dead letter with this attempt is parked instead of replayed.
        to_topic: the topic of the events; empty for the input topic of each.
        parked_too: True to replay dead letters with the reason `attempts`.
    """

    dead_topic: str
    topics: Collection[str]
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    to_topic: str = ""
    parked_too: bool = False


class Event(NamedTuple):
    """A record to write, and the dead letter that it comes from.

    Attributes:
        position: the position of the dead letter.
        topic: the topic to write to.
        partition: the partition to write to if the topic has it.
        record: the record.
    """

    position: Position
    topic: str
    partition: int
    record: Outgoing


def decide(letter: StoredLetter, plan: ReplayPlan, *, done: bool) -> Outcome:
    """Return the outcome of a dead letter if the broker confirms its record.

    Args:
        letter: the dead letter.
        plan: the options of the replay.
        done: True if the dead letter was replayed before and is not to be sent again.
    """
    if not letter.is_dead_letter:
        return Outcome.FOREIGN
    if done:
        return Outcome.DONE_BEFORE
    if letter.incomplete:
        return Outcome.INCOMPLETE
    parked = letter.reason == Reason.ATTEMPTS
    if parked and (not plan.parked_too or letter.attempt >= plan.max_attempts):
        return Outcome.PARKED_BEFORE
    if letter.attempt >= plan.max_attempts:
        return Outcome.PARKED
    topic = plan.to_topic or letter.input_topic
    if not topic:
        return Outcome.NO_ORIGIN
    return Outcome.REPLAYED if topic in plan.topics else Outcome.NO_TOPIC


def replayed(letter: StoredLetter, plan: ReplayPlan) -> Event:
    """Return the original event of a dead letter, for its input topic or the topic of the plan.

    The id of the event stays, and the attempt, which the worker counts on from.
    """
    origin = letter.origin
    topic = plan.to_topic or letter.input_topic
    partition = origin.partition if origin else letter.partition
    headers = event_headers(letter.producer_headers, letter.id, letter.attempt)
    record = pack_record(letter.record.key, letter.record.value, headers, letter.timestamp)
    return Event(letter.position, topic, partition, record)


def parked(letter: StoredLetter, plan: ReplayPlan) -> Event:
    """Return a dead letter with the reason `attempts`; its message has the last reason and message."""
    message = f"processed {letter.attempt} times, the last time {letter.reason}: {letter.message}"
    changed = {REASON: Reason.ATTEMPTS.encode(), MESSAGE: message.encode()}
    headers = [(name, changed.get(name, data)) for name, data in letter.record.headers]
    record = pack_record(letter.record.key, letter.record.value, headers, letter.record.timestamp)
    return Event(letter.position, plan.dead_topic, letter.partition, record)


def event_headers(producer_headers: Headers, event_id: str, attempt: int) -> Headers:
    """Return the headers of a replayed event: those of the producer, its id and the attempts so far."""
    added = [(ATTEMPT, b"%d" % min(attempt, MAX_ATTEMPTS))]
    if event_id:
        added = [(ID_HEADER, event_id.encode("utf-8", "replace")), *added]
    return [*producer_headers, *added]
