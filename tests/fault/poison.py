"""Records that ended a worker once, or resemble one that did, with the outcome that each must have."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.property.odd_records import Header, encode_body, random_body

RANDOM_KINDS = 80
CLOUD: list[Header] = [
    (b"ce_specversion", b"1.0"),
    (b"ce_id", b"1"),
    (b"ce_source", b"s"),
    (b"ce_type", b"t"),
]
STRUCTURED: list[Header] = [(b"content-type", b"application/cloudevents+json")]
TEXT = b'{"text":"where is my refund"}'
LABEL, ANY = "label", "any"


@dataclass(frozen=True)
class Poison:
    """A record body and its outcome: a dead letter's reason, `label`, or `any`."""

    name: str
    body: bytes
    outcome: str


def poison_records() -> list[Poison]:
    """Return all kinds, each once."""
    named = [
        Poison(name, encode_body(key, value, headers), outcome)
        for name, outcome, key, value, headers in _named()
    ]
    framed = [Poison(name, body, outcome) for name, outcome, body in _framed()]
    rng = Random(16)
    drawn = [Poison(f"random {number}", random_body(rng), ANY) for number in range(RANDOM_KINDS)]
    return [*named, *framed, *drawn]


def _framed() -> Iterator[tuple[str, str, bytes]]:
    value = _nullable(TEXT)
    yield "a key length of -2", LABEL, b"\x03" + value + b"\0"
    yield "a key length of -2^31", LABEL, b"\xff\xff\xff\xff\x0f" + value + b"\0"
    yield "a value length of -2", ANY, b"\x01\x03\0"
    yield "more headers than bytes", ANY, b"\x01" + value + b"\x10"
    yield "a negative number of headers", ANY, b"\x01" + value + b"\x03"
    yield "a header value length of -2", ANY, b"\x01" + value + b"\x02\x02h\x03"
    yield "a header name length of -1", ANY, b"\x01" + value + b"\x02\x01\0"
    yield "bytes after the headers", ANY, b"\x01" + value + b"\0rest"
    yield "an empty body", ANY, b""


def _nullable(data: bytes) -> bytes:
    return encode_body(data, None, [])[:-2]


def _event(members: bytes) -> bytes:
    return b'{"text":"refund",' + members + b"}"


def _named() -> Iterator[tuple[str, str, bytes | None, bytes | None, list[Header]]]:
    attempt = b"labelstream-error-attempt"
    yield "an attempt of 5,000 digits", "decode", b"k", b"{", [(attempt, b"9" * 5_000)]
    yield "an attempt of Arabic digits", "decode", b"k", b"{", [(attempt, "٣".encode())]
    yield "a negative attempt", "decode", None, b"{", [(attempt, b"-7")]
    yield "an attempt that is null", "decode", None, b"{", [(attempt, None)]
    yield "a CloudEvent of 3,000 brackets", "decode", None, b"[" * 3_000, CLOUD
    yield "JSON of 3,000 brackets", "decode", None, b"[" * 3_000, []
    yield "JSON of 100,000 braces", "decode", None, b'{"a":' * 100_000, []
    nested = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + b'{"a":' * 1_000
    yield (
        "a structured CloudEvent nested 1,000 deep",
        "decode",
        None,
        nested + b"1" + b"}" * 1_001,
        STRUCTURED,
    )
    for time in (b"9999-12-31T24:00:00Z", b"0000-01-01T00:00:00Z", b"2026-13-45T99:99:99Z", b"\xff"):
        yield (
            f"ce_time {time!r}",
            ANY,
            None,
            TEXT,
            [*CLOUD, (b"ce_time", time), (b"content-type", b"application/json")],
        )
    yield "a header name that is not UTF-8", LABEL, b"k", TEXT, [(b"\xff\xfe", b"v")]
    yield "a header name that is not UTF-8 on a dead letter", "decode", b"k", b"{", [(b"\xff\xfe", b"v")]
    yield "a header name that is not UTF-8 on a tombstone", LABEL, b"k", None, [(b"\xff\xfe", b"v")]
    yield (
        "a header name that is not UTF-8 beside a trace",
        LABEL,
        b"k",
        TEXT,
        [(b"\xff", b"v"), (b"traceparent", b"x")],
    )
    yield (
        "null headers",
        LABEL,
        b"k",
        TEXT,
        [(b"h", None), (b"content-type", None), (b"labelstream-id", None)],
    )
    yield "an id of 1,024 characters", LABEL, None, _event(b'"id":"%b"' % (b"i" * 1_024)), []
    yield "an id of 1,025 characters", "schema", None, _event(b'"id":"%b"' % (b"i" * 1_025)), []
    yield "an id of 900 KB", "schema", None, _event(b'"id":"%b"' % (b"i" * 900_000)), []
    yield "a header id of 900 KB", "schema", None, TEXT, [(b"labelstream-id", b"i" * 900_000)]
    yield "a header id that is not UTF-8", "schema", None, TEXT, [(b"labelstream-id", b"\xff" * 900)]
    yield "an integer id of 400 digits", ANY, None, _event(b'"id":' + b"9" * 400), []
    yield "an integer id of 5,000 digits", ANY, None, _event(b'"id":' + b"9" * 5_000), []
    yield "a fractional id", "schema", None, _event(b'"id":1.5'), []
    yield "a lone surrogate in an id", ANY, None, _event(b'"id":"\\ud800"'), []
    yield "a lone surrogate in a text", "decode", None, b'{"text":"\\ud800"}', []
    yield "a number beyond a double", ANY, None, _event(b'"metadata":{"n":1e400}'), []
    yield "metadata of 5,000 digits", ANY, None, _event(b'"metadata":{"n":' + b"9" * 5_000 + b"}"), []
    yield "a label with headers beyond its topic", "too-large", b"k", TEXT, [(b"h", b"x" * 900_000)]
    yield "a label with a key beyond its topic", "too-large", b"x" * 900_000, TEXT, []
    yield "a tombstone beyond its topic", "too-large", b"k", None, [(b"h", b"x" * 900_000)]
    yield "a dead letter with a value beyond its topic", "decode", b"k", b"{" + b" " * 900_000, []
    yield "a dead letter with headers beyond its topic", "decode", b"k", b"{", [(b"h", b"x" * 900_000)]
    yield "a value beyond the limit", "too-large", b"k", b'{"text":"%b"}' % (b"x " * 600_000), []
    yield "a text beyond the limit", "too-large", b"k", b'{"text":"%b"}' % (b"x" * 200_000), []
    yield "a text that panics the tokenizer", "model", b"k", b'{"text":"%bb"}' % (b"a" * 60), []
    yield "a trace that is no trace", LABEL, None, TEXT, [(b"traceparent", b"\xff" * 55)]
    for charset in (b"utf-16", b"iso-2022-jp", b"latin-1"):
        encoded = "refund".encode(charset.decode())
        yield (
            f"text in {charset.decode()}",
            LABEL,
            None,
            encoded,
            [(b"content-type", b"text/plain; charset=" + charset)],
        )
    yield "an unknown charset", "decode", None, b"refund", [(b"content-type", b"text/plain; charset=klingon")]
    yield (
        "a charset that is no text",
        "decode",
        None,
        b"cmVmdW5k",
        [(b"content-type", b"text/plain; charset=base64")],
    )
    yield (
        "UTF-16 with half a character",
        "decode",
        None,
        b"\xff\xfea",
        [(b"content-type", b"text/plain; charset=utf-16")],
    )
    base64 = (
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"%b","data_base64":"%b"}'
    )
    yield (
        "JSON in data_base64",
        LABEL,
        None,
        base64 % (b"application/json", b"eyJ0ZXh0IjoicmVmdW5kIn0="),
        STRUCTURED,
    )
    yield "Avro in data_base64", "schema", None, base64 % (b"avro/binary", b"T2JqAQ=="), STRUCTURED
    yield "data_base64 that is no base64", ANY, None, base64 % (b"application/json", b"!!!"), STRUCTURED
    foreign = [*CLOUD, (b"x", None), (b"\xff", b"\xff"), (b"content-type", b"application/json")]
    yield "a binary CloudEvent with foreign headers", LABEL, None, TEXT, foreign
    yield "a binary CloudEvent with a null attribute", ANY, None, TEXT, [*CLOUD, (b"ce_subject", None)]
    yield "white space", "empty", None, '{"text":" \u3000\u2003"}'.encode(), []
    yield "JSON null", "schema", None, b"null", []
    yield "an empty value", ANY, None, b"", []
