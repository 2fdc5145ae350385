"""Headers of published records: those of the input in order, then those that the worker adds."""

from collections.abc import Iterable

from stream.codec import Headers, Record


def add_headers(record: Record, added: Iterable[tuple[str, bytes]]) -> Headers:
    """Return the record's headers followed by added ones, which replace headers of the same name."""
    new = [*added]
    names = {name for name, _ in new}
    return [(name, value) for name, value in record.headers if name not in names] + new
