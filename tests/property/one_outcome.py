"""The record path from the bytes of a fetched batch to output records, and the checks on its output."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.classify import (
    BatchLimits,
    Classifier,
    KeyMaker,
    LocalCache,
    ModelParts,
    PredictionCache,
    Tokeniser,
    make_head,
)
from stream.codec import PYTHON_ONLY, EncodedRecords, load_codec
from stream.codec.wire import encode_record
from stream.errors import Poison, Reason
from stream.observe.metrics import Metrics
from stream.pipeline.outcomes import OutcomeWriter
from stream.records import DeadLetter, Decoder, Event, LabelEncoder, Source
from stream.routes import Route, RouteOptions
from stream.runtime import Logits, PaddedBatch
from tests.unit.records import contents
from tests.unit.small_bundle import small_bundle

SOURCE = Source("texts", 3)
FIRST_OFFSET = 1_041
NOW_MS = 1_763_632_800_250
MAX_ID_CHARS = 1_024
ROUTE = Route(name="r", input_topic="texts", output_topic="labels", bundle="b")
LIMITS = BatchLimits(64, 512)

Output = tuple[str, bytes | None, bytes | None, list[tuple[str, bytes]], int]
"""Topic, key, value, headers without the new trace, timestamp."""


def one_batch(bodies: Sequence[bytes], timestamps: Sequence[int]) -> EncodedRecords:
    """Return a fetched batch that holds these record bodies."""
    data = b"".join(
        encode_record(timestamp, at, body)
        for at, (body, timestamp) in enumerate(zip(bodies, timestamps, strict=True))
    )
    return EncodedRecords(data, 0, len(data), len(bodies), FIRST_OFFSET, 0, False, len(bodies) - 1)


class ConstantRuntime:
    """A session whose logits depend only on the first token of a row."""

    device = "cpu"
    provider = "constant"
    pad_multiple = 1
    bucket_shapes: Sequence[tuple[int, int]] = ()
    padded_cost: Callable[[Any, Any], Any] = np.multiply
    max_same_shape_batches = 1

    def infer(self, inputs: PaddedBatch) -> Logits:
        """Return float32 [rows, 2]."""
        first = inputs["input_ids"][:, 0].astype(np.float32)
        return np.stack([first, 1 - first], axis=1)


class RecordPath:
    """The steps of a route with one codec, a real tokenizer and a constant model."""

    def __init__(self, folder: Path, codec: str, *, takes_pair: bool = False) -> None:
        with pytest.MonkeyPatch.context() as patched:
            if codec == "python":
                patched.setenv(PYTHON_ONLY, "1")
            load_codec.cache_clear()
            self.codec = load_codec()
            bundle = small_bundle(folder)
            head = make_head(bundle.manifest)
            metrics = Metrics()
            cache = PredictionCache(KeyMaker(bundle, "fp32"), LocalCache(100), None, head)
            self._decoder = Decoder(
                RouteOptions(),
                max_event_bytes=4_000,
                max_text_chars=2_000,
                takes_pair=takes_pair,
            )
            self._classifier = Classifier(
                ModelParts([ConstantRuntime()], Tokeniser(bundle), head), cache, metrics, LIMITS, 4.0
            )
            encoder = LabelEncoder(name="b", version="1", digest="sha256:" + "0" * 64, variant="fp32")
            self._writer = OutcomeWriter(ROUTE, "g", encoder, metrics, lambda: NOW_MS)
        load_codec.cache_clear()

    def close(self) -> None:
        """Stop the threads of the classifier."""
        self._classifier.close()

    async def run(self, bodies: Sequence[bytes], timestamps: Sequence[int]) -> list[Output]:
        """Return the output records of a batch, by source offset."""
        parts = self.codec.unpack(one_batch(bodies, timestamps), FIRST_OFFSET)
        records = [record for part in parts for record in part]
        assert [record.offset for record in records] == [FIRST_OFFSET + at for at in range(len(bodies))]
        decoded = self._decoder.decode_all(SOURCE, records)
        texts = [item.text for item in decoded if type(item) is Event]
        classified = await self._classifier.classify(texts)
        output = self._writer.write(SOURCE, decoded, classified.results)
        dead = iter(output.records.get(ROUTE.dead_topic, ()))
        labels = iter(output.records.get(ROUTE.output_topic, ()))
        results = iter(classified.results)
        by_offset: list[Output] = []
        for item in decoded:
            is_dead = (
                isinstance(next(results), Poison) if type(item) is Event else isinstance(item, DeadLetter)
            )
            topic, written = (ROUTE.dead_topic, next(dead)) if is_dead else (ROUTE.output_topic, next(labels))
            by_offset.append((topic, *_comparable(written)))
        assert next(dead, None) is None
        assert next(labels, None) is None
        return by_offset


def check_outputs(outputs: Sequence[Output]) -> None:
    """Check that each output record is a valid label event, tombstone or dead letter."""
    for at, (topic, _, value, headers, _) in enumerate(outputs):
        named = dict(headers)
        if topic == ROUTE.dead_topic:
            assert named["labelstream-error-reason"].decode() in set(Reason)
            assert named["labelstream-error-offset"] == b"%d" % (FIRST_OFFSET + at)
            message = named["labelstream-error-message"].decode()
            assert 0 < len(message) <= 300
            assert "Error" not in message
            assert "Exception" not in message
            assert int(named["labelstream-error-attempt"]) >= 1
        elif value is not None:
            label = json.loads(value.decode())
            assert label["label"] in ("good", "bad")
            assert label["source"] == {"topic": "texts", "partition": 3, "offset": FIRST_OFFSET + at}
            assert label["id"] == named["labelstream-id"].decode()
        assert 0 < len(named["labelstream-id"].decode()) <= MAX_ID_CHARS


def outcome_of(output: Output) -> str:
    """Return `label`, `tombstone` or the reason of a dead letter."""
    topic, _, value, headers, _ = output
    if topic == ROUTE.dead_topic:
        return dict(headers)["labelstream-error-reason"].decode()
    return "label" if value is not None else "tombstone"


def check_both(
    paths: Sequence[RecordPath], bodies: Sequence[bytes], timestamps: Sequence[int]
) -> Sequence[Output]:
    """Check one batch on all codecs, and return its output: one for each record, the same on each codec."""
    outputs = [asyncio.run(path.run(bodies, timestamps)) for path in paths]
    check_outputs(outputs[0])
    for other in outputs[1:]:
        assert other == outputs[0]
    return outputs[0]


def _comparable(record: Any) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]], int]:
    key, value, headers, timestamp = contents(record)
    return key, value, [header for header in headers if header[0] != "traceparent"], timestamp
