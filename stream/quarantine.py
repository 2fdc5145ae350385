"""The offsets that the operator skips: `texts:3:1041`, or `texts:3:1041-1050` for a range."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_OFFSETS = re.compile(
    r"(?P<topic>[A-Za-z0-9._-]{1,249}):(?P<partition>[0-9]{1,10})"
    r":(?P<first>[0-9]{1,18})(?:-(?P<last>[0-9]{1,18}))?"
)


class QuarantinedOffsets(NamedTuple):
    """Consecutive offsets of one partition."""

    topic: str
    partition: int
    offsets: range


def parse_offsets(text: str) -> QuarantinedOffsets:
    """Parse TOPIC:PARTITION:OFFSET or TOPIC:PARTITION:FIRST-LAST.

    Raises:
        ValueError: the text has another form, or the range ends before it begins.
    """
    found = _OFFSETS.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is not TOPIC:PARTITION:OFFSET or TOPIC:PARTITION:FIRST-LAST, such as texts:3:1041 or "
            "texts:3:1041-1050"
        )
    first = int(found["first"])
    last = int(found["last"] or first)
    if last < first:
        raise ValueError(f"the range of {text!r} ends before it begins, unlike texts:3:1041-1050")
    return QuarantinedOffsets(found["topic"], int(found["partition"]), range(first, last + 1))


class Quarantine:
    """The quarantined offsets of all partitions."""

    def __init__(self, named: Iterable[str] = ()) -> None:
        """
        Args:
            named: offsets in the form of `parse_offsets`.
        """
        self._ranges: dict[tuple[str, int], list[range]] = {}
        for topic, partition, offsets in map(parse_offsets, named):
            self._ranges.setdefault((topic, partition), []).append(offsets)
        for ranges in self._ranges.values():
            ranges.sort(key=lambda offsets: offsets.start)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def of(self, topic: str, partition: int) -> Sequence[range]:
        """Return the quarantined offsets of a partition, in order of their first offset."""
        return self._ranges.get((topic, partition), ())


def is_named(offset: int, named: Sequence[range]) -> bool:
    """Return True if one of the ranges holds an offset."""
    return any(offset in offsets for offsets in named)


def missing(offsets: range, named: Sequence[range]) -> list[range]:
    """Return the parts of `offsets` that no range in `named` covers.

    Args:
        offsets: consecutive offsets.
        named: ranges in order of their first offset.
    """
    gaps, at = [], offsets.start
    for covered in named:
        if covered.start > at:
            gaps.append(range(at, min(covered.start, offsets.stop)))
        at = max(at, covered.stop)
        if at >= offsets.stop:
            return gaps
    return [*gaps, range(at, offsets.stop)]


def format_offsets(offsets: range) -> str:
    """Return a range as `parse_offsets` reads it."""
    first, last = offsets.start, offsets.stop - 1
    return str(first) if first == last else f"{first}-{last}"
