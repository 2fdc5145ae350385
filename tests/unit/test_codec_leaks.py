"""The compiled functions keep no memory and no reference, whether they return or raise."""

import gc
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from stream.codec.rfc3339 import LATEST_MS
from tests.real.components import unavailable
from tests.unit.record_path import NOT_BUILT

try:
    from stream.codec import _records
except ImportError:
    _records = None  # type: ignore[assignment]

CALLS = 3_000
# A leaked object is at least 16 bytes a call. Caches and free lists of the interpreter need some room.
ALLOWED_BYTES = 4 * CALLS
ALLOWED_REFERENCES = CALLS // 10

RECORD = b"\0\0\0" + b"\x08key1" + b'\x14{"text":1}' + b"\x02\x02h\x021"
DATA = bytes([2 * len(RECORD)]) + RECORD
SIZE = len(DATA)
LABELS = (b'"ham"', b'"spam"')
SCORES = np.array([[1, 999_999], [700_000, 300_000]], dtype="<u4")
PREDICTION = (b'"label":"ham"', b"stored", True)


class Prediction(NamedTuple):
    """A prediction of a type of its own, because the free list of plain tuples looks like a leak."""

    members: bytes
    stored: bytes
    cached: bool


class Case(NamedTuple):
    """A call that returns, or raises the error."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    error: type[Exception] | None = None


def unpacked(data: bytes = DATA) -> list[Any]:
    records: list[Any] = _records.unpack(3 * data, 0, 3 * len(data), 3, 7, 1_000, False, 7, 0, True)[0]
    return records


def append(*arguments: Any) -> Any:
    """Append to a new buffer."""
    return _records.append(bytearray(61), *arguments)


def refuse(_event: Any, _prediction: Any) -> Any:
    raise RuntimeError("refused")


def keep(event: Any, _prediction: Any) -> Any:
    return event


def labels(fallback: Callable[[Any, Any], Any], replaced: bytes, prediction: Any = PREDICTION) -> Any:
    events = [
        (record, "id-1", "text", None, None, time) for record, time in zip(unpacked(), "abc", strict=True)
    ]
    form = (b"inferred", b"cached", b"end", b"\x04id", b"\x02n\x02v", 1, (replaced,), LATEST_MS, fallback)
    return events, [prediction] * len(events), *form


def cases() -> dict[str, Case]:
    """Return the calls by name."""
    check, unpack, texts = _records.check, _records.unpack, _records.json_texts
    write, encode = _records.write_labels, _records.encode_scores
    bad_name, bad_value = DATA.replace(b"\x02h", b"\x02\xff"), DATA.replace(b"text", b"te\xff\xfe")
    damaged = DATA.replace(b"\x02h", b"\x09h")
    traced = [_records.with_trace(unpacked()[0], b"0" * 54 + b"1")]
    return {
        "check": Case(check, (3 * DATA, 0, 3 * SIZE, 3, 2)),
        "check, truncated": Case(check, (3 * DATA, 0, 3 * SIZE - 1, 3, 2), ValueError),
        "check, too few": Case(check, (3 * DATA, 0, 3 * SIZE, 2, 1), ValueError),
        "check, out of order": Case(check, (3 * DATA, 0, 3 * SIZE, 3, 9), ValueError),
        "unpack": Case(unpack, (3 * DATA, 0, 3 * SIZE, 3, 7, 1_000, False, 7, 0, True)),
        "unpack, skipping": Case(unpack, (3 * DATA, 0, 3 * SIZE, 3, 7, 1_000, True, 99, 0, True)),
        "unpack, outside": Case(unpack, (DATA, 0, SIZE + 1, 1, 7, 1_000, False, 7, 0, True), ValueError),
        "unpack, truncated": Case(
            unpack, (3 * DATA, 0, 3 * SIZE - 1, 3, 7, 1_000, False, 7, 0, True), ValueError
        ),
        "unpack, fewer": Case(unpack, (3 * DATA, 0, 3 * SIZE, 2, 7, 1_000, False, 7, 0, True)),
        "unpack, bad length": Case(
            unpack, (b"\x09" + DATA[1:], 0, SIZE, 1, 7, 0, False, 7, 0, True), ValueError
        ),
        "unpack, damaged": Case(unpack, (damaged, 0, SIZE, 1, 7, 0, False, 7, 0, True)),
        "unpack, no bytes": Case(unpack, ("text", 0, SIZE, 1, 7, 1_000, False, 7, 0, True), TypeError),
        "headers, name not UTF-8": Case(getattr, (unpacked(bad_name)[0], "headers")),
        "size_bytes": Case(_records.size_bytes, (unpacked(),)),
        "size_bytes, no record": Case(_records.size_bytes, ([*unpacked(), object()],), TypeError),
        "append": Case(append, (unpacked(), 0, 1 << 20, 5)),
        "append, no room": Case(append, (unpacked(), 1, 1, 5)),
        "append, no record": Case(append, ([*unpacked(), object()], 0, 1 << 20, 5), TypeError),
        "json_texts": Case(texts, (unpacked(), (b"content-type",), 99)),
        "json_texts, too long": Case(texts, (unpacked(), (b"content-type",), 1)),
        "json_texts, header": Case(texts, (unpacked(), (b"h",), 99)),
        "json_texts, no record": Case(texts, ([object(), None], (b"h",), 99)),
        "json_texts, not UTF-8": Case(texts, (unpacked(bad_value), (b"content-type",), 99)),
        "json_texts, name no bytes": Case(texts, (unpacked(), ("h",), 99), TypeError),
        "write_labels": Case(write, labels(refuse, b"other")),
        "write_labels, fallback": Case(write, labels(keep, b"h")),
        "write_labels, fallback raises": Case(write, labels(refuse, b"h"), RuntimeError),
        "write_labels, no prediction": Case(write, labels(refuse, b"other", ()), TypeError),
        "write_labels, text": Case(write, labels(refuse, b"other", ("text", b"", False)), TypeError),
        "write_labels, numbers differ": Case(write, ([], [1], *labels(refuse, b"h")[2:]), ValueError),
        "sampled_traces": Case(_records.sampled_traces, ([*traced, *unpacked(), object()],)),
        "sampled_traces, no list": Case(_records.sampled_traces, ((),), TypeError),
        "with_trace": Case(_records.with_trace, (unpacked()[0], b"0" * 55)),
        "with_trace, replaced": Case(_records.with_trace, (traced[0], b"0" * 55)),
        "with_trace, no record": Case(_records.with_trace, (object(), b"0" * 55), TypeError),
        "replace_values": Case(_records.replace_values, (unpacked(), [b"a", b"", b"c" * 300])),
        "replace_values, no record": Case(_records.replace_values, ([object()], [b"a"]), TypeError),
        "replace_values, damaged": Case(
            _records.replace_values,
            (_records.unpack(damaged, 0, SIZE, 1, 7, 0, False, 7, 0, True)[0], [b"a"]),
            TypeError,
        ),
        "replace_values, text": Case(_records.replace_values, (unpacked(), ["a", "b", "c"]), TypeError),
        "replace_values, numbers differ": Case(_records.replace_values, (unpacked(), []), ValueError),
        "encode_scores": Case(encode, (SCORES.data, LABELS, 5, Prediction, False)),
        "encode_scores, no rows": Case(encode, (SCORES[:0].data, LABELS, 5, Prediction, False)),
        "encode_scores, part of a row": Case(encode, (b"12345", LABELS, 5, Prediction, False), ValueError),
        "encode_scores, text": Case(encode, (SCORES.data, (b'""', "spam"), 5, Prediction, False), TypeError),
        "encode_scores, no tuple": Case(encode, (SCORES.data, LABELS, 5, list, False), ValueError),
    }


CASES = cases() if _records else {}


def call(case: Case) -> None:
    if case.error is None:
        case.function(*case.arguments)
        return
    try:
        case.function(*case.arguments)
    except case.error:
        return
    raise AssertionError("no error")


def objects(arguments: tuple[Any, ...]) -> list[Any]:
    """Return every object that a function may keep a reference to."""
    collected: list[Any] = [_records.Record, Prediction, list]
    for argument in arguments:
        collected.append(argument)
        if isinstance(argument, list | tuple):
            collected += objects(tuple(argument))
    return collected


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    if _records is None:
        unavailable(NOT_BUILT)


@pytest.mark.parametrize("name", CASES or ["not built"])
def test_no_call_leaks(name: str) -> None:
    case = CASES[name]
    for _ in range(100):
        call(case)
    held = objects(case.arguments)
    # Garbage of other tests would change the counts.
    gc.collect()
    gc.disable()
    references = [sys.getrefcount(one) for one in held]
    tracemalloc.start()
    try:
        call(case)
        start = tracemalloc.get_traced_memory()[0]
        for _ in range(CALLS):
            call(case)
        grown = tracemalloc.get_traced_memory()[0] - start
    finally:
        tracemalloc.stop()
        gc.enable()
    assert grown < ALLOWED_BYTES
    for one, before in zip(held, references, strict=True):
        assert abs(sys.getrefcount(one) - before) < ALLOWED_REFERENCES, one


def test_a_record_keeps_its_bytes_and_nothing_else() -> None:
    data = bytes(bytearray(DATA))
    before = sys.getrefcount(data)
    for _ in range(CALLS):
        (record,) = _records.unpack(data, 0, SIZE, 1, 7, 1_000, False, 7, 0, True)[0]
        assert sys.getrefcount(data) == before + 1
        assert (record.key, record.value, record.headers) == (b"key1", b'{"text":1}', [("h", b"1")])
        assert (record.offset, record.timestamp, repr(record)) == (7, 1_000, "<Record offset=7>")
        del record
    assert sys.getrefcount(data) == before
