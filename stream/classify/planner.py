"""Which rows are inferred together: a pure function, no clock and no input or output in it."""

from collections.abc import Sequence


def plan(lengths: Sequence[int], *, max_rows: int, max_tokens: int) -> list[list[int]]:
    """Group rows of similar length, so that little arithmetic is spent on padding.

    A batch costs its longest row times its rows, as a padded runtime computes it (the charge that
    text-embeddings-inference makes in its queue). Rows of equal length keep their order.

    Args:
        lengths: tokens of each row.
        max_rows: most rows of a batch.
        max_tokens: most padded tokens of a batch; a single longer row still gets a batch of its own.

    Returns:
        Batches of row numbers, shortest first; every row is in exactly one.
    """
    batches: list[list[int]] = []
    current: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if current and (len(current) == max_rows or lengths[row] * (len(current) + 1) > max_tokens):
            batches.append(current)
            current = []
        current.append(row)
    if current:
        batches.append(current)
    return batches
