"""Quantiles estimated from a histogram."""

from collections.abc import Sequence


def quantile(cumulated: Sequence[float], share: float, bounds: Sequence[float]) -> float | None:
    """Estimate a quantile of a histogram by linear interpolation within the bucket.

    Args:
        cumulated: cumulative counts by bound; the last one counts every observation.
        share: the quantile, in 0..1.
        bounds: upper bounds of the buckets, ascending.

    Returns:
        The quantile in the unit of the bounds; None when it lies beyond the last bound.
    """
    rank = share * cumulated[-1]
    low, below = 0.0, 0.0
    for bound, count in zip(bounds, cumulated, strict=False):
        if count >= rank and count > below:
            return low + (bound - low) * (rank - below) / (count - below)
        low, below = bound, count
    return None
