"""Timestamps as JSON strings in RFC 3339."""

from datetime import UTC, datetime

# 9999-12-31T23:59:59.999Z: RFC 3339 has no later year. Producers that write microseconds exceed it.
LATEST_MS = 253_402_300_799_999


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
