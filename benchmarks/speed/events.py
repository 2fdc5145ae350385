"""Events as bytes: 200 of them around a text that no other event has, or around given texts."""

from collections.abc import Iterator, Sequence

import orjson

BYTES = 200
_STEM = b"my card was charged twice for the same order and nobody has answered my message since last week"


def small_event(number: int) -> bytes:
    """A JSON event of exactly 200 bytes; id and text hold the number."""
    head = b'{"id":"e-%09d","text":"%09d %s' % (number, number, _STEM)
    end = b'","metadata":{"channel":"email"}}'
    return head + b"." * (BYTES - len(head) - len(end)) + end


def small_events(count: int) -> Iterator[bytes]:
    """Events of 200 bytes, every text unique."""
    return map(small_event, range(count))


def few_texts(count: int, texts: int) -> Iterator[bytes]:
    """Events of 200 bytes that repeat so many texts in turn; ids stay unique."""
    for number in range(count):
        head, tail = b'{"id":"f-%09d"' % number, small_event(number % texts)
        yield head + tail[len(head) :]


def text_events(texts: Sequence[str]) -> Iterator[bytes]:
    """An event around each text."""
    for number, text in enumerate(texts):
        yield orjson.dumps({"id": f"e-{number:09d}", "text": text})
