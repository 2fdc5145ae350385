"""The log of the web port: one line every half minute at most for each kind of event."""

import logging
from collections.abc import Callable
from time import monotonic

from aiohttp.http_exceptions import HttpProcessingError

REPEAT_AFTER_S = 30.0
REFUSED = "the web port refused malformed requests"
FULL = "the web port has too many connections, the one that was idle longest is closed"


class RequestLog(logging.Logger):
    """The logger that aiohttp's server writes to.

    Anyone who reaches the port can send malformed requests, so they are counted, and logged without their
    content, which may contain a token. An error of a handler is logged with its traceback.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(__name__)
        # Not registered by name: a server has its own counts. The handlers and the level are the root's.
        self.parent = logging.getLogger()
        self.addFilter(self._condense)
        self._clock = clock
        self._logged_at: dict[str, float] = {}
        self._skipped: dict[str, int] = {}

    def connection_limit_reached(self) -> None:
        """Log that a connection was closed because there are too many."""
        self.warning(FULL)

    def _condense(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.msg, record.exc_info = REFUSED, None
            record.error = type(error).__name__
            record.client = str(*(record.args or ()))
            record.levelno, record.levelname, record.args = logging.WARNING, "WARNING", ()
        kind, now = str(record.msg), self._clock()
        if now - self._logged_at.get(kind, -REPEAT_AFTER_S) < REPEAT_AFTER_S:
            self._skipped[kind] = self._skipped.get(kind, 0) + 1
            return False
        self._logged_at[kind] = now
        record.skipped = self._skipped.pop(kind, 0)
        return True
