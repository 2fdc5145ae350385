"""Events of a route whose model compares two texts."""

import pytest

from stream.errors import Reason
from stream.records import DeadLetter, Decoder, Event
from stream.routes import RouteOptions
from tests.unit.records import SOURCE, FakeRecord

DECODER = Decoder(RouteOptions(), max_event_bytes=1000, max_text_chars=10, takes_pair=True)


def test_both_texts_make_an_event() -> None:
    (event,) = DECODER.decode_all(SOURCE, [FakeRecord(b'{"id":"a","text":"x","text_pair":"y"}')])
    assert isinstance(event, Event)
    assert (event.text, event.text_pair) == ("x", "y")


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (b'{"id":"a","text":"x"}', Reason.SCHEMA, "text_pair is missing; the model compares two texts"),
        (b'{"id":"a","text":"x","text_pair":null}', Reason.SCHEMA, "text_pair is missing"),
        (b'{"id":"a","text":"x","text_pair":7}', Reason.SCHEMA, "text_pair is a number, not a string"),
        (b'{"id":"a","text":"x","text_pair":" "}', Reason.EMPTY, "text_pair contains only white space"),
        (b'{"id":"a","text":" ","text_pair":"y"}', Reason.EMPTY, "text contains only white space"),
        (b'{"id":"a","text":"xxxxxx","text_pair":"yyyyyy"}', Reason.TOO_LARGE, "12 characters"),
    ],
)
def test_a_pair_without_both_texts_is_a_dead_letter(value: bytes, reason: Reason, message: str) -> None:
    (decoded,) = DECODER.decode_all(SOURCE, [FakeRecord(value)])
    assert isinstance(decoded, DeadLetter)
    assert decoded.reason is reason
    assert message in decoded.message
