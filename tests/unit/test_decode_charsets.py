"""Plain text is decoded by the charset of its content type."""

import codecs
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import Reason
from stream.records import Decoder, Event
from stream.records.content_type import CHARSETS
from stream.routes import RouteOptions
from tests.unit.decoding import BINARY, dead_letter, decode, event, typed
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

NO_CHARSETS = (
    "base64",
    "base64_codec",
    "bz2",
    "hex",
    "idna",
    "mbcs",
    "palmos",
    "punycode",
    "quoted-printable",
    "raw_unicode_escape",
    "rot13",
    "undefined",
    "unicode_escape",
    "unicode-escape",
    "utf-7",
    "uu",
    "zlib",
)


@pytest.mark.parametrize(
    ("content_type", "value", "text"),
    [
        (b"text/plain", "grüße".encode(), "grüße"),
        (b"text/plain; charset=utf-8", "grüße".encode(), "grüße"),
        (b"text/plain; charset=UTF8", "grüße".encode(), "grüße"),
        (b"text/plain; charset=", "grüße".encode(), "grüße"),
        (b"text/plain; charset", "grüße".encode(), "grüße"),
        (b"text/plain; charset=us-ascii", b"plain", "plain"),
        (b"text/plain; charset=iso-8859-1", "grüße".encode("latin-1"), "grüße"),
        (b"text/plain;charset=latin1", "grüße".encode("latin-1"), "grüße"),
        (b"text/plain; charset=windows-1252", "20 €".encode("cp1252"), "20 €"),
        (b"text/plain; charset=iso-8859-15", "20 €".encode("iso8859_15"), "20 €"),
        (b'text/plain; charset="Shift_JIS"', "返金".encode("shift_jis"), "返金"),
        (b"TEXT/PLAIN; CHARSET=SHIFT_JIS", "返金".encode("shift_jis"), "返金"),
        (b"text/plain; charset=ISO-2022-JP", "返金".encode("iso2022_jp"), "返金"),
        (b"text/plain; charset=euc-jp", "返金".encode("euc_jp"), "返金"),
        (b"text/plain; charset=GB18030", "退款".encode("gb18030"), "退款"),
        (b"text/plain; charset=big5", "退款".encode("big5"), "退款"),
        (b"text/plain; charset=euc-kr", "환불".encode("euc_kr"), "환불"),
        (b"text/plain; charset=KOI8-R", "возврат".encode("koi8_r"), "возврат"),
        (b"text/plain; charset=utf-16", "grüße".encode("utf-16"), "grüße"),
        (b"text/plain; charset=utf-16", codecs.BOM_UTF16_BE + "grüße".encode("utf-16-be"), "grüße"),
        (b"text/plain; charset=utf-16", "grüße".encode("utf-16-be"), "grüße"),
        (b"text/plain; charset=utf-16le", "grüße".encode("utf-16-le"), "grüße"),
        (b"text/plain; charset=UTF-16BE", "grüße".encode("utf-16-be"), "grüße"),
        (b"text/plain; charset=utf-32", "grüße".encode("utf-32"), "grüße"),
        (b"text/plain; charset=utf-32", "grüße".encode("utf-32-be"), "grüße"),
        # The byte order mark belongs to the charset, but not where the name states the byte order.
        (b"text/plain; charset=utf-8", codecs.BOM_UTF8 + b"hi", "hi"),
        (b"text/plain", codecs.BOM_UTF8 + b"hi", "hi"),
        (b"text/plain; charset=utf-16le", codecs.BOM_UTF16_LE + "hi".encode("utf-16-le"), "\ufeffhi"),
        (b'text/plain; format=flowed; charset="utf-16"; x=1', "hi".encode("utf-16"), "hi"),
        (b'text/plain; x="; charset=latin-1"; charset=utf-16', "hi".encode("utf-16"), "hi"),
        (b"text/plain ; charset = utf-16", "hi".encode("utf-16"), "hi"),
        (b"text/plain; charset='utf-16'", "hi".encode("utf-16"), "hi"),
        (b"text/plain; charset*=us-ascii'en'utf-16", "hi".encode("utf-16"), "hi"),
    ],
)
def test_a_text_is_decoded_by_its_charset(content_type: bytes, value: bytes, text: str) -> None:
    assert event(value, typed(content_type)).text == text
    assert event(value, typed(content_type), "text").text == text
    assert event(value, (*BINARY, *typed(content_type))).text == text


def test_a_value_without_a_content_type_is_utf_8_on_a_route_of_text() -> None:
    assert event("grüße".encode(), (), "text").text == "grüße"
    assert event(codecs.BOM_UTF8 + b"hi", (), "text").text == "hi"


def test_another_content_type_of_a_route_of_text_has_a_charset_too() -> None:
    assert event("grüße".encode("latin-1"), typed(b"text/html; charset=latin-1"), "text").text == "grüße"


@pytest.mark.parametrize(
    "charset", ["klingon", "utf-99", "x-unknown", "utf\xe98", "a" * 900, "ut\nf-8", *NO_CHARSETS]
)
def test_an_unknown_charset_is_a_dead_letter_that_names_it(charset: str) -> None:
    content_type = f'text/plain; charset="{charset}"'.encode("latin-1")
    dead = dead_letter(b"hi", typed(content_type), Reason.DECODE)
    assert dead.message.startswith("unknown charset '")
    assert ascii(charset)[1:-1][:40] in dead.message
    assert dead.message.isprintable()
    assert len(dead.message) < 120


@pytest.mark.parametrize(
    ("content_type", "value", "message"),
    [
        (b"text/plain", b"hi\xff", "not UTF-8 at byte 2"),
        (b"text/plain; charset=us-ascii", b"gr\xc3\xbc", "not US-ASCII at byte 2"),
        (b"text/plain; charset=utf-16", b"\xff\xfeh", "not UTF-16 at byte 2"),
        (b"text/plain; charset=utf-16le", b"\x00\xd8h\x00", "not UTF-16LE at byte 0"),
        (b"text/plain; charset=shift_jis", b"hi\x81", "not SHIFT_JIS at byte 2"),
        (b"text/plain; charset=iso-2022-jp", b"\x1b$B\xff", "not ISO-2022-JP at byte 3"),
    ],
)
def test_bytes_that_are_not_in_the_charset_are_a_dead_letter(
    content_type: bytes, value: bytes, message: str
) -> None:
    assert dead_letter(value, typed(content_type), Reason.DECODE).message == message


@pytest.mark.parametrize("charset", ["utf-16", "utf-16le", "utf-32"])
def test_json_is_utf_8_whatever_its_charset_says(charset: str) -> None:
    headers = typed(f"application/json; charset={charset}".encode())
    assert event(b'{"text":"hi"}', headers).text == "hi"
    dead_letter('{"text":"hi"}'.encode(charset), headers, Reason.DECODE)


def test_a_content_type_that_is_too_long_is_a_dead_letter() -> None:
    dead = dead_letter(b"hi", typed(b"text/plain; x=" + b"a" * 1100), Reason.SCHEMA)
    assert dead.message == "the content type has 1114 bytes, 1024 are allowed"


@pytest.mark.parametrize(
    "content_type",
    [b"text/plain; charset*0=iso-2022; charset*=-jp", b"text/plain; x*0=a; x*=b", b"text/plain; a*;a*0*=''x"],
)
def test_a_content_type_that_contradicts_itself_is_a_dead_letter(content_type: bytes) -> None:
    message = dead_letter(b"hi", typed(content_type), Reason.SCHEMA).message
    assert message == f"the content type {content_type.decode()!r} is malformed"


def test_every_charset_is_a_text_encoding_of_this_python() -> None:
    for name in CHARSETS:
        # `str.encode` and `bytes.decode` refuse codecs that are no text encoding.
        assert "a".encode(name).decode(name) == "a"


def test_unknown_charsets_leave_nothing_in_memory() -> None:
    before = len(sys.modules["encodings"]._cache)
    for number in range(300):
        decode(b"hi", typed(b"text/plain; charset=unknown-%d" % number))
        decode(b"hi", typed(b"text/plain; charset*=unknown-%d''utf-8" % number))
    assert len(sys.modules["encodings"]._cache) == before


@given(st.binary(max_size=60), st.sampled_from(sorted(CHARSETS)))
def test_no_bytes_raise_in_any_charset(value: bytes, charset: str) -> None:
    reader = Decoder(RouteOptions(), max_event_bytes=4096, max_text_chars=1000)
    record = FakeRecord(value, headers=typed(b"text/plain; charset=" + charset.encode()))
    (decoded,) = reader.decode_all(SOURCE, [record])
    if isinstance(decoded, Event):
        decoded.text.encode()


@given(st.binary(max_size=120))
def test_no_content_type_raises(content_type: bytes) -> None:
    reader = Decoder(RouteOptions(input_format="text"), max_event_bytes=4096, max_text_chars=1000)
    for value in (content_type, b"text/plain;" + content_type, b"text/plain;charset*" + content_type):
        (decoded,) = reader.decode_all(SOURCE, [FakeRecord(b"hi", headers=typed(value))])
        assert decoded.id
