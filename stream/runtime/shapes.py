"""The shapes (rows, tokens) of batches: buckets that make shapes recur, and the shapes of the warm-up."""

from collections.abc import Iterator

import numpy as np

from stream.runtime.base import Integers

SMALL_TOKENS = 256
SMALL_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
SMALL_WIDTHS = (8, 16, 24, 32, 48, 64)

LARGE_TOKENS = 512
ROWS_MULTIPLE = 4
WIDTH_MULTIPLE = 2

# The widths of a short text, and of the shortest text.
SHORT_WIDTH = 16
MIN_WIDTH = 4


class ShapeBuckets:
    """The shapes to which a runtime that compiles for each shape pads its batches.

    Small batches have few shapes. Larger ones have finer steps, because their padding costs more.

    Attributes:
        small_shapes: the shapes (rows, tokens) of small batches.
    """

    def __init__(self, max_length: int) -> None:
        """
        Args:
            max_length: the maximum tokens of a row.
        """
        self._max_length = max_length
        widths = sorted({min(width, max_length) for width in SMALL_WIDTHS})
        self.small_shapes = [
            (rows, width) for width in widths for rows in SMALL_ROWS if rows * width <= SMALL_TOKENS
        ]
        self._cost = np.multiply.outer(np.arange(LARGE_TOKENS + 1), np.arange(max_length + 1))
        for rows, width in self._bucketed_shapes():
            self._cost[rows, width] = np.prod(self.bucket(rows, width))

    def _bucketed_shapes(self) -> Iterator[tuple[int, int]]:
        for rows in range(1, LARGE_TOKENS + 1):
            for width in range(1, min(LARGE_TOKENS // rows, self._max_length) + 1):
                yield rows, width

    def padded_cost(self, rows: Integers, widths: Integers) -> Integers:
        """Return the tokens of the buckets for numbers of rows and widths; arrays broadcast."""
        known = self._cost[np.minimum(rows, LARGE_TOKENS), np.minimum(widths, self._max_length)]
        return np.maximum(rows * widths, known)

    def bucket(self, rows: int, width: int) -> tuple[int, int]:
        """Return the shape to which a batch is padded.

        A batch keeps its shape if it has more than 512 tokens or padding would exceed these: a full batch has
        one number of rows for each width anyway.
        """
        for shape in self.small_shapes:
            if shape[0] >= rows and shape[1] >= width:
                return shape
        padded_width = min(_round_up(width, WIDTH_MULTIPLE), self._max_length)
        padded_rows = min(_round_up(rows, ROWS_MULTIPLE), LARGE_TOKENS // padded_width)
        return (padded_rows, padded_width) if padded_rows >= rows else (rows, width)


def warm_up_shapes(
    max_rows: int, max_tokens: int, max_length: int, pad_multiple: int
) -> list[tuple[int, int]]:
    """Return shapes (rows, width) for the warm-up that cover the batches of the queue, largest first.

    The largest shape comes first because it is the one that may exceed the memory; the shortest single row
    comes last. Between them are full batches of the longest rows and of a short and a medium width. A runtime
    that compiles for each shape (`pad_multiple` above 1) also gets a full batch of every power of two of the
    multiple.

    Args:
        max_rows: the maximum rows of a batch.
        max_tokens: the maximum padded tokens of a batch; a longer single row forms a batch of its own.
        max_length: the maximum tokens of a row.
        pad_multiple: the multiple to which widths are rounded up, within `max_length`.
    """
    widths = {min(width, max_length) for width in (SHORT_WIDTH, max_length // 4, max_length) if width}
    if pad_multiple > 1:
        width = pad_multiple
        while width < max_length:
            widths.add(width)
            width *= 2
    padded = {min(max_length, _round_up(width, pad_multiple)) for width in widths}
    full = {(max(1, min(max_rows, max_tokens // width)), width) for width in padded}
    shortest = (1, min(max_length, max(MIN_WIDTH, pad_multiple)))
    return [*sorted(full - {shortest}, key=lambda shape: (-shape[0] * shape[1], -shape[1])), shortest]


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
