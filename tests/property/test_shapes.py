"""A bucket holds its batch, adds little padding, and is one of few."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.runtime.shapes import LARGE_TOKENS, ROWS_MULTIPLE, SMALL_TOKENS, WIDTH_MULTIPLE, ShapeBuckets

LONGEST = st.integers(1, 512)


@given(LONGEST, st.integers(1, 256), st.data())
def test_a_bucket_holds_its_batch_within_the_maximum_length(
    longest: int, rows: int, data: st.DataObject
) -> None:
    width = data.draw(st.integers(1, longest))
    more, wider = ShapeBuckets(longest).bucket(rows, width)
    assert more >= rows
    assert width <= wider <= longest
    small = more * wider <= SMALL_TOKENS
    assert small or (more < rows + ROWS_MULTIPLE and wider < width + WIDTH_MULTIPLE)
    assert (more, wider) == (rows, width) or more * wider <= LARGE_TOKENS


@given(LONGEST, st.integers(1, 256), st.data())
def test_a_bucket_is_its_own_bucket(longest: int, rows: int, data: st.DataObject) -> None:
    buckets = ShapeBuckets(longest)
    bucket = buckets.bucket(rows, data.draw(st.integers(1, longest)))
    assert buckets.bucket(*bucket) == bucket


@given(LONGEST, st.lists(st.integers(1, 600), min_size=1, max_size=5), st.data())
def test_the_padded_cost_of_arrays_is_that_of_each_bucket(
    longest: int, rows: list[int], data: st.DataObject
) -> None:
    widths = data.draw(st.lists(st.integers(1, longest), min_size=1, max_size=5))
    buckets = ShapeBuckets(longest)
    padded_cost = buckets.padded_cost(np.array(rows)[:, None], np.array(widths))
    expected = [[math.prod(buckets.bucket(count, width)) for width in widths] for count in rows]
    np.testing.assert_array_equal(padded_cost, expected)


def test_there_are_few_buckets() -> None:
    buckets = ShapeBuckets(256)
    batches = [(rows, width) for width in range(4, 65) for rows in range(1, LARGE_TOKENS // width + 1)]
    small = [batch for batch in batches if batch[0] * batch[1] <= SMALL_TOKENS]
    assert len({buckets.bucket(*batch) for batch in small}) < 100 < len(small)
    assert len({buckets.bucket(*batch) for batch in batches}) < len(batches) / 4
