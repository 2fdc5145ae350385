"""Ids in against ids out: what every delivery test comes down to."""

from collections import Counter
from collections.abc import Iterable, Iterator

import orjson

from tests.real.client import Record


def label_ids(records: Iterable[Record]) -> Counter[str]:
    """How often each id stands on a label topic; tombstones have none."""
    return Counter(orjson.loads(record.value)["id"] for record in records if record.value is not None)


def dead_ids(records: Iterable[Record]) -> Counter[str]:
    """How often each id stands on a dead-letter topic."""
    return Counter((dict(record.headers)["labelstream-id"] or b"").decode() for record in records)


def missing(wanted: Iterable[str], found: Counter[str]) -> list[str]:
    """The ids that did not come back, sorted."""
    return sorted(set(wanted) - set(found))


def repeated(found: Counter[str]) -> int:
    """How many more records there are than ids."""
    return found.total() - len(found)


def sources(records: Iterable[Record]) -> Iterator[tuple[int, int, int]]:
    """(partition it stands on, partition it came from, offset there) of labels and dead letters, in order."""
    for record in records:
        headers = dict(record.headers)
        if "labelstream-error-offset" in headers:
            partition = int(headers["labelstream-error-partition"] or b"")
            offset = int(headers["labelstream-error-offset"] or b"")
        else:
            source = orjson.loads(record.value or b"")["source"]
            partition, offset = source["partition"], source["offset"]
        yield record.partition, partition, offset


def out_of_order(records: Iterable[Record]) -> list[tuple[int, int, int]]:
    """The `sources` that do not come after all earlier ones of their partition; a repeated one does not."""
    latest: dict[tuple[int, int], int] = {}
    late = []
    for home, partition, offset in sources(records):
        if offset <= latest.get((home, partition), -1):
            late.append((home, partition, offset))
        latest[home, partition] = max(offset, latest.get((home, partition), -1))
    return late
