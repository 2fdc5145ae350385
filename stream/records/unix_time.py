"""Unix times of producers as date-times of RFC 3339."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Up to the year 5138 a Unix time in one unit is less than the smallest time after March 1973 in the next one.
_UNITS = ((1e11, 1_000_000), (1e14, 1_000), (1e17, 1))
_NANOSECONDS = 1_000


def unix_time(value: float) -> str | None:
    """Return a Unix time as RFC 3339 in UTC, None for a time before 1970 or after the year 9999.

    Args:
        value: seconds, milliseconds, microseconds or nanoseconds since the epoch; the size tells the unit.
    """
    if not 0 <= value < 1e20:
        return None
    for limit, microseconds in _UNITS:
        if value < limit:
            return _format(round(value * microseconds))
    return _format(int(value) // _NANOSECONDS)


def _format(microseconds: int) -> str | None:
    try:
        moment = EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None
    return moment.isoformat().replace("+00:00", "Z")
