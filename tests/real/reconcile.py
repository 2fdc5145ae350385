"""Ids in against ids out: what every delivery test comes down to."""

from collections import Counter
from collections.abc import Iterable

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
