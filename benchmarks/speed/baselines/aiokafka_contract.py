"""The plain aiokafka loop with our record contract: it validates events and writes complete label records.

Unlike a worker it has no Faust, tokenisation, batching, reordering or error handling.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from time import time_ns
from typing import Any

from benchmarks.speed.baselines.aiokafka_loop import main
from benchmarks.speed.baselines.job import Job
from stream.codec import PYTHON_ONLY, ReadRecord
from stream.records import Decoder, Event, LabelEncoder, Source
from stream.routes import RouteOptions

MEMBERS = b'"label":"spam","score":0.880797,"scores":{"spam":0.880797,"ham":0.119203}'


class Contract:
    """Our decoder and encoder, with the same prediction for every text."""

    def __init__(self) -> None:
        self._decoder = Decoder(RouteOptions(), max_event_bytes=2**20, max_text_chars=100_000)
        self._encoder = LabelEncoder(name="free", version="1", digest=f"sha256:{'0' * 64}", variant="fp32")

    def __call__(self, records: Sequence[Any]) -> Iterable[dict[str, Any]]:
        """Convert records as described by `Write`."""
        first = records[0]
        source = Source(first.topic, first.partition)
        # aiokafka's records do not say whether they are damaged.
        read = [ReadRecord(r.key, r.value, r.headers, r.offset, r.timestamp) for r in records]
        events = [e for e in self._decoder.decode_all(source, read) if isinstance(e, Event)]
        assert len(events) == len(records)
        predictions = [(MEMBERS, b"", False)] * len(events)
        for label in self._encoder.write(source, time_ns() // 1_000_000, events, predictions):
            yield {f: getattr(label, f) for f in ("key", "value", "headers", "timestamp")}


if __name__ == "__main__":
    # The compiled codec reads none but its own records.
    os.environ[PYTHON_ONLY] = "1"
    asyncio.run(main(Job.read(), Contract()))
