"""A stand-in for aiokafka's record, for tests that need no broker."""

from dataclasses import dataclass, field

from stream.records import Source

SOURCE = Source("texts", 3)


@dataclass(frozen=True)
class FakeRecord:
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = field(default_factory=tuple)
    offset: int = 1041
    timestamp: int = 1_763_632_800_000
