"""Quantiles of what a histogram counted."""

from collections.abc import Sequence


def quantile(cumulated: Sequence[float], share: float, bounds: Sequence[float]) -> float | None:
    """A quantile of what a histogram counted, as if evenly spread within each bucket.

    Args:
        cumulated: counts up to each bound, and last of everything.
        share: 0..1.
        bounds: upper bounds of the buckets, ascending.

    Returns:
        In the bounds' unit; None when it lies beyond the last bound.
    """
    rank = share * cumulated[-1]
    low, below = 0.0, 0.0
    for bound, count in zip(bounds, cumulated, strict=False):
        if count >= rank and count > below:
            return low + (bound - low) * (rank - below) / (count - below)
        low, below = bound, count
    return None
