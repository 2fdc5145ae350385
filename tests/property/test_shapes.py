"""A batch's shape holds it, wastes little, and is one of few."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.runtime.shapes import LARGE_TOKENS, ROWS_MULTIPLE, SMALL_TOKENS, WIDTH_MULTIPLE, Shapes

LONGEST = st.integers(1, 512)


@given(LONGEST, st.integers(1, 256), st.data())
def test_a_shape_holds_its_batch_and_no_row_is_longer_than_the_model_reads(
    longest: int, rows: int, data: st.DataObject
) -> None:
    width = data.draw(st.integers(1, longest))
    more, wider = Shapes(longest).fitting(rows, width)
    assert more >= rows
    assert width <= wider <= longest
    small = more * wider <= SMALL_TOKENS
    assert small or (more < rows + ROWS_MULTIPLE and wider < width + WIDTH_MULTIPLE)
    assert (more, wider) == (rows, width) or more * wider <= LARGE_TOKENS


@given(LONGEST, st.integers(1, 256), st.data())
def test_a_shape_is_its_own(longest: int, rows: int, data: st.DataObject) -> None:
    shapes = Shapes(longest)
    shape = shapes.fitting(rows, data.draw(st.integers(1, longest)))
    assert shapes.fitting(*shape) == shape


@given(LONGEST, st.lists(st.integers(1, 600), min_size=1, max_size=5), st.data())
def test_what_is_computed_for_many_batches_at_once_are_their_shapes(
    longest: int, rows: list[int], data: st.DataObject
) -> None:
    widths = data.draw(st.lists(st.integers(1, longest), min_size=1, max_size=5))
    shapes = Shapes(longest)
    padded_cost = shapes.padded_cost(np.array(rows)[:, None], np.array(widths))
    expected = [[math.prod(shapes.fitting(count, width)) for width in widths] for count in rows]
    np.testing.assert_array_equal(padded_cost, expected)


def test_there_are_few() -> None:
    shapes = Shapes(256)
    batches = [(rows, width) for width in range(4, 65) for rows in range(1, LARGE_TOKENS // width + 1)]
    small = [batch for batch in batches if batch[0] * batch[1] <= SMALL_TOKENS]
    assert len({shapes.fitting(*batch) for batch in small}) < 100 < len(small)
    assert len({shapes.fitting(*batch) for batch in batches}) < len(batches) / 4
