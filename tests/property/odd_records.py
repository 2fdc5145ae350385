"""Random Kafka records: valid events, valid records that are no events, and bytes that are no records."""

import json
from collections.abc import Callable, Sequence
from random import Random

from stream.codec.wire import varint

Header = tuple[bytes, bytes | None]

INT64 = (-(2**63), 2**63 - 1)
CONTENT_TYPES = (
    b"application/json",
    b"application/json; charset=utf-16",
    b"text/plain",
    b"TEXT/PLAIN; charset=latin-1",
    b'text/plain; charset="utf-16"',
    b"text/plain; charset=iso-2022-jp; format=flowed",
    b"text/plain; charset=base64",
    b"text/plain; charset=\xff",
    b"application/cloudevents+json",
    b"application/cloudevents; charset=utf-8",
    b"application/octet-stream",
    b"avro/binary",
    b"\xff\xfe",
    b"",
    b";" * 50,
)
HEADER_NAMES = (
    b"labelstream-id",
    b"labelstream-error-attempt",
    b"labelstream-error-reason",
    b"labelstream-schema",
    b"content-type",
    b"traceparent",
    b"ce_specversion",
    b"ce_id",
    b"ce_type",
    b"ce_source",
    b"ce_time",
    b"ce_datacontenttype",
    b"ce_",
    b"",
    b"h",
    b"\xff\xfe name",
    "naïve".encode(),
)
HEADER_VALUES = (
    None,
    b"",
    b"1.0",
    b"1",
    b"-1",
    b"9" * 5_000,
    "٣".encode(),
    b"id-1",
    b"i" * 1_025,
    b"\xff",
    b"\xed\xa0\x80",
    b"2026-11-20T10:00:00Z",
    b"9999-12-31T24:00:00Z",
    b"0000-00-00T99:99:99+99:99",
    b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"decode",
)
TEXTS = (
    "where is my refund",
    "",
    " \t\u3000",
    "\0",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "e\u0301" * 20,
    "a" * 60 + "b",
    "x" * 3_000,
    '"\\\b\f\n\r\t\x1f',
)
SCALARS: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    2**53 + 1,
    2**64,
    10**400,
    1.5,
    -0.0,
    "",
    "id",
    "i" * 1_024,
    "i" * 1_025,
    [],
    {},
    ["a"],
    {"k": [1, {"n": None}]},
    "2026-11-20T10:00:00+01:00",
    "2026-11-20",
    "yesterday",
)
RAW_VALUES = (
    b"",
    b"[" * 3_000,
    b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
    b"null",
    b"[]",
    b'"text"',
    b'{"text":"\\ud800"}',
    b'{"text":"\xff","text":"ok"}',
    b'{"text":"a","metadata":{"n":1e400}}',
    b'{"text":"a","id":1e5}',
    b'{"text":"a","id":"\\ud800"}',
    b'{"text":"a"}garbage',
    b"\xef\xbb\xbf{}",
    b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"text":"ok"}}',
    b'{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"eyJ0ZXh0IjoiYSJ9"}',
    b'{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"!","datacontenttype":"text/plain"}',
    b'{"specversion":"1.0","id":1,"source":"s","type":"t","time":"9999-12-31T24:00:00Z","data":"x"}',
)


def random_body(rng: Random) -> bytes:
    """Return the body of a record: encoded key, value and headers, sometimes damaged."""
    chance = rng.random()
    if chance < 0.02:
        return rng.randbytes(rng.randrange(40))
    body = encode_body(_key(rng), _value(rng), _headers(rng))
    if chance < 0.08:
        return _damaged(rng, body)
    return body


def encode_body(key: bytes | None, value: bytes | None, headers: Sequence[Header]) -> bytes:
    """Encode a key, a value and headers in record format 2."""
    parts = [_nullable(key), _nullable(value), varint(len(headers))]
    parts += [varint(len(name)) + name + _nullable(data) for name, data in headers]
    return b"".join(parts)


def random_timestamp(rng: Random) -> int:
    """Return a timestamp: usually a recent one, sometimes any 64-bit integer."""
    return rng.randint(*INT64) if rng.random() < 0.1 else 1_763_632_800_000 + rng.randrange(10**9)


def _nullable(data: bytes | None) -> bytes:
    return b"\x01" if data is None else varint(len(data)) + data


def _damaged(rng: Random, body: bytes) -> bytes:
    damaged = bytearray(body)
    for _ in range(rng.randint(1, 3)):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    if rng.random() < 0.3:
        del damaged[rng.randrange(len(damaged)) :]
    return bytes(damaged)


def _key(rng: Random) -> bytes | None:
    return None if rng.random() < 0.3 else rng.randbytes(rng.randrange(8))


def _headers(rng: Random) -> list[Header]:
    if rng.random() < 0.7:
        return []
    return [_header(rng) for _ in range(rng.randint(1, 5))]


def _header(rng: Random) -> Header:
    name = rng.choice(HEADER_NAMES) if rng.random() < 0.9 else rng.randbytes(rng.randrange(6))
    if name in (b"content-type", b"ce_datacontenttype") and rng.random() < 0.9:
        return name, rng.choice(CONTENT_TYPES)
    value = rng.choice(HEADER_VALUES) if rng.random() < 0.9 else rng.randbytes(rng.randrange(20))
    return name, value


def _value(rng: Random) -> bytes | None:
    make = rng.choices(VALUES, WEIGHTS)[0]
    return make(rng)


def _event(rng: Random) -> bytes:
    members: dict[str, object] = {"text": rng.choice(TEXTS)}
    for name in ("id", "text_pair", "metadata", "time", "text", "other"):
        if rng.random() < 0.15:
            members[name] = rng.choice(SCALARS) if name != "text" or rng.random() < 0.5 else rng.choice(TEXTS)
    return json.dumps(members, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def _cloud_event(rng: Random) -> bytes:
    envelope: dict[str, object] = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    for name in ("specversion", "id", "source", "time", "data", "data_base64", "datacontenttype", "x"):
        if rng.random() < 0.3:
            envelope[name] = rng.choice(SCALARS)
    if rng.random() < 0.5:
        envelope["data"] = {"text": rng.choice(TEXTS), "id": rng.choice(SCALARS)}
    if rng.random() < 0.3:
        envelope["datacontenttype"] = rng.choice(CONTENT_TYPES).decode("latin-1")
    return json.dumps(envelope).encode()


def _flipped(rng: Random) -> bytes:
    return _damaged(rng, _event(rng))


VALUES: tuple[Callable[[Random], bytes | None], ...] = (
    lambda _: None,
    lambda rng: rng.randbytes(rng.randrange(60)),
    lambda rng: rng.choice(RAW_VALUES),
    lambda rng: rng.choice(TEXTS).encode(rng.choice(("utf-8", "utf-16", "utf-16-be", "utf-32"))),
    _event,
    _cloud_event,
    _flipped,
)
WEIGHTS = (1, 1, 3, 2, 12, 3, 3)
