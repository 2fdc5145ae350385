"""The codec's functions, in C and in Python."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stream.codec
from stream.codec import load_codec
from stream.codec.python import PythonCodec
from stream.codec.wire import varint
from stream.kafka.batches import size_bytes
from stream.records import timestamps
from tests.unit.record_path import record_path
from tests.unit.records import FakeRecord, as_read, contents

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

READ = frozenset(("content-type", "ce_specversion"))


def json_text(value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> str | None:
    (text,) = load_codec().json_texts([as_read(FakeRecord(value, headers=headers))], READ, 400)
    return text


def test_the_codec_is_chosen_once(record_path: str) -> None:
    assert load_codec() is load_codec()
    assert load_codec().name == record_path


def test_without_the_compiled_module_python_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "stream.codec.compiled", None)
    assert type(stream.codec.load_codec.__wrapped__()) is PythonCodec


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"[",
        '{"text":"日本語 🎉"}'.encode(),
        b'{"n":-1.25,"m":[1234567890,true,false,null]}',
        b'{"uuid":"12e4-7E3","brackets":"' + b"[{" * 80 + b'"}',
        b"[" * 100 + b"]" * 100,
        b"9" * 290,
    ],
)
def test_a_value_within_the_limits_is_text(value: bytes) -> None:
    assert json_text(value) == value.decode()
    assert json_text(value, (("other", b"1"),)) == value.decode()


@pytest.mark.parametrize(
    "value",
    [
        None,
        b" " * 401,
        b'{"text":"\xff"}',
        b"\xed\xa0\x80",
        b'{"n":1e5}',
        b'{"n":[-1.0E+2]}',
        b"9" * 301,
        b'{"n":0.' + b"1" * 301 + b"}",
        b"[" * 101 + b"]" * 101,
        b'{"":' * 60 + b"[" * 60,
    ],
)
def test_other_values_are_left_to_the_slow_path(value: bytes | None) -> None:
    assert json_text(value) is None


@pytest.mark.parametrize("name", sorted(READ))
def test_a_header_that_decides_the_reading_leaves_the_value_to_the_slow_path(name: str) -> None:
    assert json_text(b"{}", (("h", b"1"), (name, b""))) is None


@pytest.mark.parametrize(
    "value",
    [b'{"a":"\\\\"}', b'{"a":"\\\\\\"[[[","b":1}', b'{"a\\"":"1e5"}'],
)
def test_escapes_do_not_hide_where_strings_end(value: bytes, record_path: str) -> None:
    # Python may leave such a value to the slow path.
    assert json_text(value) in ([value.decode()] if record_path == "compiled" else [value.decode(), None])


@given(st.binary(max_size=60) | st.text('"\\[]{}e1.,:a', max_size=60).map(str.encode))
def test_any_value_is_its_text_or_left_to_the_slow_path(value: bytes) -> None:
    text = json_text(value)
    assert text is None or text.encode() == value


@given(st.integers(0, 2**31 - 1))
def test_varints_equal_those_of_aiokafka(number: int) -> None:
    from aiokafka.record.util import encode_varint_py

    expected = bytearray()
    encode_varint_py(number, expected.append)
    assert varint(number) == bytes(expected)


def test_the_size_of_records_counts_keys_and_values() -> None:
    records = [as_read(FakeRecord(b"12345", b"k")), as_read(FakeRecord(None)), as_read(FakeRecord(b""))]
    assert size_bytes(records) == 6


def test_timestamps_are_those_of_the_records() -> None:
    records = [as_read(FakeRecord(b"", timestamp=timestamp)) for timestamp in (5, 0, 2**40)]
    assert timestamps(records).tolist() == [5, 0, 2**40]


@pytest.mark.parametrize("timestamp", [-1, 0, 2**62])
def test_a_packed_record_keeps_its_parts(timestamp: int) -> None:
    record = load_codec().pack(None, b"value", [("h", b"1"), ("h", b"")], timestamp)
    assert contents(record) == (None, b"value", [("h", b"1"), ("h", b"")], timestamp)
