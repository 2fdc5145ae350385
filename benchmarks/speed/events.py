"""Encoded events: events of 200 bytes with unique texts, and events of given texts."""

from collections.abc import Iterator, Sequence

import orjson

BYTES = 200
_STEM = b"my card was charged twice for the same order and nobody has answered my message since last week"


def small_event(number: int) -> bytes:
    """Return a JSON event of exactly 200 bytes whose id and text contain the number."""
    head = b'{"id":"e-%09d","text":"%09d %s' % (number, number, _STEM)
    end = b'","metadata":{"channel":"email"}}'
    return head + b"." * (BYTES - len(head) - len(end)) + end


def small_events(count: int) -> Iterator[bytes]:
    """Yield events of 200 bytes with unique texts."""
    return map(small_event, range(count))


def nested_event(number: int) -> bytes:
    """Return a JSON event of exactly 200 bytes whose fields have other places, with the number."""
    head = b'{"data":{"key":"e-%09d","body":{"content":"%09d %s' % (number, number, _STEM)
    end = b'"}},"channel":"email"}'
    return head + b"." * (BYTES - len(head) - len(end)) + end


def nested_events(count: int) -> Iterator[bytes]:
    """Yield events of 200 bytes with unique texts in other places than those of labelstream's own events."""
    return map(nested_event, range(count))


def few_texts(count: int, texts: int) -> Iterator[bytes]:
    """Yield events of 200 bytes with unique ids that cycle through a given number of texts."""
    for number in range(count):
        head, tail = b'{"id":"f-%09d"' % number, small_event(number % texts)
        yield head + tail[len(head) :]


def text_events(texts: Sequence[str]) -> Iterator[bytes]:
    """Yield an event for each text."""
    for number, text in enumerate(texts):
        yield orjson.dumps({"id": f"e-{number:09d}", "text": text})
