"""The entries of the ledger: which dead letters were replayed, by which run.

The ledger is a topic with one partition, `texts.dead.replayed` for the dead letters in `texts.dead`. A run
writes an entry when it starts, and one after each batch that the broker has confirmed. A run that finds the
start of a later run behind one of its entries stops, so that two runs do not send the same events.

Committed offsets of a consumer group would not do: a filter leaves gaps, a broker deletes the offsets of an
idle group after `offsets.retention.minutes`, and a file would be known to one machine only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from stream.dlq.offset_set import OffsetSet, Ranges

SUFFIX = ".replayed"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the ledger.

    Attributes:
        run: the id of the run.
        number: the number of the entry in its run; 0 for the start.
        topic_id: the id of the dead-letter topic, None if the broker reports none.
        done: the replayed dead letters, as ranges of offsets by partition.
    """

    run: str
    number: int
    topic_id: str | None = None
    done: Mapping[int, Ranges] = field(default_factory=dict)

    def concerns(self, topic_id: str | None) -> bool:
        """Return False if the entry is about a deleted topic with the same name."""
        return self.topic_id is None or topic_id is None or self.topic_id == topic_id


def ledger_topic(dead_topic: str) -> str:
    """Return the name of the ledger of a dead-letter topic."""
    return f"{dead_topic}{SUFFIX}"


def encode_entry(entry: Entry, at: str) -> bytes:
    """Return the JSON of an entry.

    Args:
        entry: the entry.
        at: the current time, for readers of the topic.
    """
    done = [{"partition": partition, "offsets": ranges} for partition, ranges in entry.done.items()]
    members = {"run": entry.run, "number": entry.number, "topic_id": entry.topic_id, "at": at, "done": done}
    return orjson.dumps(members)


def decode_entry(value: bytes | None) -> Entry | None:
    """Return the entry in a record, None if the record is none."""
    try:
        members = orjson.loads(value or b"")
        done = {
            int(part["partition"]): [(int(first), int(last)) for first, last in part["offsets"]]
            for part in members["done"]
        }
        topic_id = members["topic_id"]
        return Entry(str(members["run"]), int(members["number"]), topic_id and str(topic_id), done)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def add_entry(done: OffsetSet, entry: Entry, topic_id: str | None) -> None:
    """Add the dead letters of an entry to a set, unless it is about a deleted topic."""
    if not entry.concerns(topic_id):
        return
    for partition, ranges in entry.done.items():
        for first, last in ranges:
            done.add_range(partition, first, last)
