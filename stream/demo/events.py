"""The events of the demo: the sample, repeated texts with new ids, and a few invalid records."""

import csv
import random
from dataclasses import dataclass
from pathlib import Path

import orjson

SEED = 7
REPEATS = 120
BROKEN: tuple[tuple[bytes, tuple[tuple[str, bytes], ...]], ...] = (
    (b'{"id": "x-1", "text": "the brace is missing"', ()),
    (b"\xff\xfe not UTF-8", (("content-type", b"text/plain"),)),
    (b'{"id": "x-3", "body": "no text field"}', ()),
    (b'{"id": "x-4", "text": 42}', ()),
    (b'{"id": "x-5", "text": "   "}', ()),
    (b'["a", "list"]', ()),
)


@dataclass(frozen=True, slots=True)
class DemoEvent:
    """A record to produce; `intent` is the label in the sample, None for an invalid record."""

    id: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    intent: str | None


def demo_events(sample: Path) -> list[DemoEvent]:
    """Return the events of a sample in order, with repeated texts and invalid records among them."""
    with sample.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    generator = random.Random(SEED)
    events = [_event(row, row["id"]) for row in rows]
    for number, at in enumerate(sorted(generator.sample(range(len(rows)), REPEATS))):
        position = generator.randrange(at + 1, len(rows)) if at + 1 < len(rows) else at + 1
        events.insert(position + number + 1, _event(rows[at], f"{rows[at]['id']}-again"))
    for number, (value, headers) in enumerate(BROKEN):
        broken = DemoEvent(f"broken-{number}", b"broken-%d" % number, value, headers, None)
        events.insert(generator.randrange(len(events)), broken)
    return events


def _event(row: dict[str, str], event_id: str) -> DemoEvent:
    value = orjson.dumps(
        {"id": event_id, "text": row["text"], "metadata": {"channel": row["channel"]}, "time": row["time"]}
    )
    return DemoEvent(event_id, row["channel"].encode() + event_id.encode(), value, (), row["intent"])


def held_out_ids(bundle: Path) -> frozenset[str]:
    """Return the ids of the test split in the bundle's splits.csv."""
    with (bundle / "splits.csv").open(encoding="utf-8", newline="") as file:
        return frozenset(row["id"] for row in csv.DictReader(file) if row["split"] == "test")
