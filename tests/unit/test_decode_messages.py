"""The messages of dead letters: what a record has, and the setting that helps."""

import pytest

from stream.errors import Reason
from stream.records import DeadLetter, Decoder
from stream.routes import RouteOptions
from tests.unit.records import SOURCE, FakeRecord, as_read


def dead_letter(value: bytes, *, text_setting: str = "text_field", **options: str) -> DeadLetter:
    decoder = Decoder(
        RouteOptions(**options),
        max_event_bytes=4096,
        max_text_chars=1000,
        text_setting=text_setting,
    )
    (decoded,) = decoder.decode_all(SOURCE, [as_read(FakeRecord(value))])
    assert isinstance(decoded, DeadLetter)
    return decoded


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            b'{"body":"x","id":1}',
            "text is missing: the event has 'body', 'id'; text_field names another member",
        ),
        (b"{}", "text is missing: the event has no members; text_field names another member"),
        (b'{"text":null}', "text is null, not a string; text_field names another member"),
        (b'{"text":7}', "text is a number, not a string"),
        (b'{"text":"a","text_pair":[]}', "text_pair is an array, not a string"),
        (b'{"text":"a","metadata":"m"}', "metadata is a string, not an object"),
        (b'{"text":"a","time":true}', "time is a boolean, not a string"),
        (b"[]", "the value is an array, not a JSON object"),
    ],
)
def test_a_message_names_the_member_and_what_the_event_has(value: bytes, message: str) -> None:
    found = dead_letter(value)
    assert (found.reason, found.message) == (Reason.SCHEMA, message)


def test_rows_without_a_setting_for_the_text_get_no_hint() -> None:
    assert dead_letter(b'{"a":1}', text_setting="").message == "text is missing: the event has 'a'"


def test_the_names_of_many_members_are_cut() -> None:
    value = b"{" + b",".join(b'"%s%d":0' % (b"m" * 40, at) for at in range(6)) + b"}"
    message = dead_letter(value).message
    assert message.count("mmm'") == 0
    assert ", ...;" in message
    assert len(message) < 200


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "the value is empty, not JSON"),
        (b"hello", "not JSON at character 0"),
        (b'{"text":"a","n":01}', "not JSON at character 16"),
        (b'{"text":"a","n":-}', "not JSON at character 17"),
        (b'{"text":"a","n":1e999}', "the number at character 16 is beyond the range of a double"),
        (
            b'{"text":"a","n":-1%s}' % (b"0" * 400),
            "the number at character 16 is beyond the range of a double",
        ),
    ],
)
def test_a_value_that_is_not_json_differs_from_a_number_that_is_too_large(value: bytes, message: str) -> None:
    found = dead_letter(value)
    assert (found.reason, found.message) == (Reason.DECODE, message)


def test_an_empty_array_of_texts_is_named() -> None:
    found = dead_letter(b'{"comments":[]}', text_field="comments.*.body")
    assert (found.reason, found.message) == (Reason.EMPTY, "text_field comments.*.body: the array is empty")
