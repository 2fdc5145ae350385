"""One way for all logs: structlog for ours, and Faust's, aiokafka's and the rest through the same end."""

import logging
import sys
from collections.abc import Callable
from time import monotonic
from typing import Literal

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
# These repeat each heartbeat and metadata refresh at info, and an unreachable broker at error.
CHATTY = ("aiokafka", "faust", "mode", "kafka", "asyncio")
REPEAT_AFTER_S = 30.0
MOST_MESSAGES = 1_000


class SeldomFilter(logging.Filter):
    """Lets the libraries repeat a message every 30 s at most; a lost broker is told ten times a second."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record may pass; ours always may."""
        if record.name.partition(".")[0] not in CHATTY:
            return True
        key, now = (record.name, str(record.msg)), self._clock()
        if now - self._told.get(key, -REPEAT_AFTER_S) < REPEAT_AFTER_S:
            return False
        if len(self._told) >= MOST_MESSAGES:
            self._told.clear()
        self._told[key] = now
        return True


def configure_logs(level: str, fmt: Literal["auto", "json", "console"]) -> None:
    """Send all logs to standard error: coloured lines on a terminal, else a JSON object a line."""
    console = fmt == "console" or (fmt == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(SeldomFilter())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(LEVELS[level])
    for name in CHATTY:
        logging.getLogger(name).setLevel(
            max(LEVELS[level], logging.WARNING) if level != "debug" else logging.DEBUG
        )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
