"""Timestamps in RFC 3339: formatting as JSON strings, and the check of those that producers send."""

import re
from calendar import monthrange
from datetime import UTC, datetime

# 9999-12-31T23:59:59.999Z: RFC 3339 has no later year. Producers that write microseconds exceed it.
LATEST_MS = 253_402_300_799_999

# RFC 3339 does not limit the digits of a fraction. A time is copied to the output, so it is limited here.
MAX_TIME_CHARS = 64
MINUTES_PER_DAY = 1440

_DATE_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)

COMMON_DATE_TIME = (
    r"\A[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])\Z"
)
"""A pattern for most date-times of RFC 3339. It leaves 29 February and leap seconds to `is_rfc3339`."""


def is_rfc3339(time: str) -> bool:
    """Return True for a date-time of RFC 3339 (section 5.6) with at most 64 characters.

    The day must exist. A leap second is accepted in the last minute of a month in UTC.
    """
    found = _DATE_TIME.fullmatch(time) if len(time) <= MAX_TIME_CHARS else None
    if found is None:
        return False
    year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
    offset_hour, offset_minute = int(found[8] or 0), int(found[9] or 0)
    if not 1 <= month <= 12 or max(hour, offset_hour) > 23 or max(minute, offset_minute) > 59:
        return False
    last_day = monthrange(year, month)[1]
    if not 1 <= day <= last_day or second > 60:
        return False
    if second < 60:
        return True
    offset = (60 * offset_hour + offset_minute) * (-1 if found[7] == "-" else 1)
    days, minute_of_day = divmod(60 * hour + minute - offset, MINUTES_PER_DAY)
    # Day 0 is the last day of the month before.
    return minute_of_day == MINUTES_PER_DAY - 1 and day + days in (0, last_day)


class Rfc3339:
    """Formats milliseconds since the epoch as JSON strings.

    The last second is cached, because neighbouring records share it.
    """

    def __init__(self) -> None:
        self._ends = tuple(b'.%03dZ"' % ms for ms in range(1000))
        self._second = -1
        self._start = b""

    def json(self, timestamp: int) -> bytes:
        """Return a JSON string such as `"2026-11-20T10:00:00.123Z"`, quotes included.

        A time before the epoch becomes the epoch, and a time after the year 9999 its last millisecond.
        """
        second, ms = divmod(min(max(timestamp, 0), LATEST_MS), 1000)
        if second != self._second:
            self._second = second
            self._start = b'"' + datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
        return self._start + self._ends[ms]
