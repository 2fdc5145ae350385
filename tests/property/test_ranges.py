"""The safe offset is always the end of the contiguous prefix of acknowledged ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.kafka.ranges import PartitionRanges


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]], list[int]]:
    """A start offset, ranges with gaps as compaction leaves them, and an order of acknowledgement."""
    base = offset = draw(st.integers(0, 10**6))
    ranges_read = []
    for _ in range(draw(st.integers(1, 12))):
        first = offset + draw(st.integers(0, 5))
        offset = first + draw(st.integers(1, 500))
        ranges_read.append((first, offset))
    order = draw(st.permutations(range(len(ranges_read))))
    return base, ranges_read, order[: draw(st.integers(0, len(order)))]


@given(histories())
def test_the_safe_offset_is_the_end_of_the_contiguous_prefix(
    history: tuple[int, list[tuple[int, int]], list[int]],
) -> None:
    base, ranges_read, order = history
    ranges = PartitionRanges(base, committed=base)
    opened = [ranges.open(first, after) for first, after in ranges_read]
    done: set[int] = set()
    for at in order:
        ranges.acknowledge(opened[at])
        done.add(at)
        prefix = next((i for i in range(len(ranges_read)) if i not in done), len(ranges_read))
        assert ranges.base == (ranges_read[prefix - 1][1] if prefix else base)
        assert ranges.uncommitted == (ranges.base > base)


def test_a_new_group_commits_before_its_first_record() -> None:
    assert PartitionRanges(0, committed=None).uncommitted
    assert not PartitionRanges(0, committed=0).uncommitted


@pytest.mark.parametrize(("first", "after"), [(9, 12), (12, 12), (13, 12)])
def test_a_range_that_overlaps_or_is_empty_is_refused(first: int, after: int) -> None:
    ranges = PartitionRanges(10, committed=10)
    with pytest.raises(ValueError, match="cannot follow"):
        ranges.open(first, after)
