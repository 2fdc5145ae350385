"""Reconciliation of input ids with output ids, the core of every delivery test."""

from collections import Counter
from collections.abc import Iterable, Iterator

import orjson

from tests.real.client import Record


def label_ids(records: Iterable[Record]) -> Counter[str]:
    """Count each id on a label topic; tombstones have no id."""
    return Counter(orjson.loads(record.value)["id"] for record in records if record.value is not None)


def dead_ids(records: Iterable[Record]) -> Counter[str]:
    """Count each id on a dead-letter topic."""
    return Counter((dict(record.headers)["labelstream-id"] or b"").decode() for record in records)


def missing(expected: Iterable[str], counts: Counter[str]) -> list[str]:
    """Return the expected ids that are missing, sorted."""
    return sorted(set(expected) - set(counts))


def repeated(counts: Counter[str]) -> int:
    """Return the number of records in excess of one per id."""
    return counts.total() - len(counts)


def sources(records: Iterable[Record]) -> Iterator[tuple[int, int, int]]:
    """Yield (output partition, source partition, source offset) of labels and dead letters, in order."""
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
    """Return the `sources` that do not follow all earlier ones of their partition; repeats count as such."""
    latest: dict[tuple[int, int], int] = {}
    out_of_order_sources = []
    for output_partition, partition, offset in sources(records):
        if offset <= latest.get((output_partition, partition), -1):
            out_of_order_sources.append((output_partition, partition, offset))
        latest[output_partition, partition] = max(offset, latest.get((output_partition, partition), -1))
    return out_of_order_sources
