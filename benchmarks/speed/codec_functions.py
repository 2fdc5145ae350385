"""The codec's functions in one process, without Kafka: a quick view of what each costs.

python -m benchmarks.speed.codec_functions

Each function runs on a batch of 200-byte events, in turns with the others. Its cost is the least CPU time of
the process over all turns, since other load on the machine only adds. `make bench BENCH=codec` measures the
worker as a whole.
"""

from collections.abc import Callable
from functools import partial
from time import process_time_ns
from typing import Any

import numpy as np
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from rich.console import Console

from benchmarks.speed.codec_twins import orjson_fast_path
from benchmarks.speed.events import small_event
from benchmarks.speed.report import Table
from stream.bundle import Manifest
from stream.classify.heads.single_label import SingleLabelHead
from stream.codec import Codec, EncodedRecords
from stream.codec.compiled import CompiledCodec
from stream.codec.python import PythonCodec
from stream.kafka.faust.packed_batch import HEADER
from stream.kafka.faust.wire_batch import RECORDS_AT
from stream.records import Decoder, LabelEncoder, Source, timestamps
from stream.records.decode import READ_HEADERS
from stream.routes import RouteOptions

EVENTS, CALLS, TURNS = 500, 5, 40
SOURCE = Source("texts", 3)
MAX_BYTES, MAX_CHARS = 65_536, 10_000
NOW_MS = 1_763_632_800_000


def fetched_batch() -> EncodedRecords:
    """Return a fetched batch of 200-byte events, each with a key and a header."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 22)
    for at in range(EVENTS):
        builder.append(at, NOW_MS + at, b"key-%06d" % at, small_event(at), [("source", b"bench")])
    data = bytes(builder.build())
    return EncodedRecords(data, RECORDS_AT, len(data), EVENTS, 0, NOW_MS, False, EVENTS - 1)


def calls(codec: Codec) -> dict[str, Callable[[], Any]]:
    """Return each function of a codec, and what is built upon it, ready to be called on a batch."""
    fields: dict[str, Any] = {"labels": ["ham", "spam"], "temperature": 1.0}
    batch, manifest = fetched_batch(), Manifest.model_construct(**fields)
    decoder = Decoder(RouteOptions(), max_event_bytes=MAX_BYTES, max_text_chars=MAX_CHARS)
    head = SingleLabelHead(manifest, 5)
    encoder = LabelEncoder(name="free", version="1", digest=f"sha256:{'0' * 64}", variant="fp32")
    decoder._codec = encoder._codec = codec
    encode = codec.score_encoder(manifest.labels, 5, type(head.restore([bytes(8)])[0]))
    (records,) = codec.unpack(batch, 0)
    events: Any = decoder.decode_all(SOURCE, records)
    scores = np.tile(np.array([[119_203, 880_797]], dtype="<u4"), (EVENTS, 1))
    predictions = encode(scores, cached=False)
    labels = encoder.write(SOURCE, NOW_MS, events, predictions)
    return {
        "unpack": lambda: [*codec.unpack(batch, 0)],
        "json_texts": partial(codec.json_texts, records, READ_HEADERS, MAX_BYTES),
        "decoding: json_texts and msgspec": partial(decoder.decode_all, SOURCE, records),
        "decoding: json_texts and orjson": partial(orjson_fast_path, decoder, SOURCE, records),
        "encode_scores": partial(encode, scores, cached=False),
        "write_labels": partial(encoder.write, SOURCE, NOW_MS, events, predictions),
        "append": lambda: codec.append(bytearray(HEADER.size), labels, 0, 1 << 22, NOW_MS),
        "pack": lambda: [codec.pack(r.key, r.value, r.headers, r.timestamp) for r in records],
        "size_bytes": partial(codec.size_bytes, records),
        "timestamps, Python for both": partial(timestamps, records),
    }


def measure() -> Table:
    """Measure all functions of both codecs in turns."""
    codecs = {"C": calls(CompiledCodec()), "Python": calls(PythonCodec())}
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(TURNS):
        for kind, functions in codecs.items():
            for name, function in functions.items():
                began = process_time_ns()
                for _ in range(CALLS):
                    function()
                spent = (process_time_ns() - began) / CALLS / EVENTS / 1000
                found.setdefault((name, kind), []).append(spent)
    cost = {at: min(values) for at, values in found.items()}
    rows = [[name, f"{cost[name, 'C']:.2f}", f"{cost[name, 'Python']:.2f}"] for name in codecs["C"]]
    return Table(f"µs of CPU per event, least of {TURNS} turns", ["function", "compiled", "Python"], rows)


if __name__ == "__main__":
    measure().show(Console(width=100))
