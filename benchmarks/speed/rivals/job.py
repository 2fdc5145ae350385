"""What a rival is asked to do, from its command line, and the free model that stands for a real one."""

import sys
from dataclasses import dataclass

import orjson

SCORES = {"billing": 0.5, "bug": 0.1, "cancel": 0.1, "delivery": 0.1, "login": 0.1, "refund": 0.1}


@dataclass(frozen=True, slots=True)
class Job:
    """BROKER SOURCE TARGET GROUP COMPRESSION [MORE ...]"""

    broker: str
    source: str
    target: str
    group: str
    compression: str | None
    """None for none, as aiokafka spells it."""
    more: tuple[str, ...]

    @classmethod
    def read(cls) -> "Job":
        """The job on this process's command line."""
        broker, source, target, group, compression, *more = sys.argv[1:]
        return cls(broker, source, target, group, None if compression == "none" else compression, tuple(more))


def free_label(value: bytes) -> bytes:
    """The label event of an event: JSON in and out, the same answer to all."""
    event = orjson.loads(value)
    return orjson.dumps({"id": event["id"], "label": "billing", "score": 0.5, "scores": SCORES})
