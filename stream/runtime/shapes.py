"""Shapes that come again, for a runtime that prepares a plan for each."""

from collections.abc import Iterator

import numpy as np

from stream.runtime.base import Whole

SMALL_TOKENS = 256
SMALL_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
SMALL_WIDTHS = (8, 16, 24, 32, 48, 64)

LARGE_TOKENS = 512
ROWS_MULTIPLE = 4
WIDTH_MULTIPLE = 2


class Shapes:
    """What batches are filled up to: few shapes for small ones, finer steps for those that cost more.

    Attributes:
        small: the shapes (rows, tokens) of small batches.
    """

    def __init__(self, max_length: int) -> None:
        """
        Args:
            max_length: most tokens of a row.
        """
        self._max_length = max_length
        widths = sorted({min(width, max_length) for width in SMALL_WIDTHS})
        self.small = [
            (rows, width) for width in widths for rows in SMALL_ROWS if rows * width <= SMALL_TOKENS
        ]
        self._filled_up = np.multiply.outer(np.arange(LARGE_TOKENS + 1), np.arange(max_length + 1))
        for rows, width in self._within_budget():
            self._filled_up[rows, width] = np.prod(self.fitting(rows, width))

    def _within_budget(self) -> Iterator[tuple[int, int]]:
        for rows in range(1, LARGE_TOKENS + 1):
            for width in range(1, min(LARGE_TOKENS // rows, self._max_length) + 1):
                yield rows, width

    def padded_cost(self, rows: Whole, widths: Whole) -> Whole:
        """Tokens of the shapes that batches of so many rows and tokens a row are filled up to."""
        known = self._filled_up[np.minimum(rows, LARGE_TOKENS), np.minimum(widths, self._max_length)]
        return np.maximum(rows * widths, known)

    def fitting(self, rows: int, width: int) -> tuple[int, int]:
        """The shape that so many rows of that width are filled up to.

        Above 512 tokens, and where filling up would go past them, it is that very shape: a full batch has one
        number of rows for each width anyway.
        """
        for shape in self.small:
            if shape[0] >= rows and shape[1] >= width:
                return shape
        wider = min(_up(width, WIDTH_MULTIPLE), self._max_length)
        more = min(_up(rows, ROWS_MULTIPLE), LARGE_TOKENS // wider)
        return (more, wider) if more >= rows else (rows, width)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
