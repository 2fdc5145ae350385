"""Logging: one handler for the lines of structlog and those of the libraries."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Literal

import structlog

from stream.observe.stderr_capture import uncaptured

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
# These libraries log every heartbeat and metadata refresh at info, and every attempt to reach a lost broker
# at error.
LIBRARY_LOGGERS = ("aiokafka", "faust", "mode", "kafka", "asyncio", "opentelemetry")
# At debug these loggers write whole requests, responses and records, and with them the texts of events.
PAYLOAD_LOGGERS = ("aiokafka.conn", "aiokafka.producer.producer")
REPEAT_AFTER_S = 30.0
MAX_MESSAGES = 1_000


class RepeatFilter(logging.Filter):
    """Drops repeated messages of the libraries, which report a lost broker ten times a second.

    A message passes again after 30 s.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._logged_at: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if a record passes; records of labelstream always pass."""
        if record.name.partition(".")[0] not in LIBRARY_LOGGERS:
            return True
        key, now = (record.name, str(record.msg)), self._clock()
        if now - self._logged_at.get(key, -REPEAT_AFTER_S) < REPEAT_AFTER_S:
            return False
        if len(self._logged_at) >= MAX_MESSAGES:
            self._logged_at.clear()
        self._logged_at[key] = now
        return True


class LogLevel:
    """The log level of the process: the configured one, or debug while it is switched on."""

    def __init__(self, configured: str) -> None:
        self._configured = configured
        self._level = configured
        self._set(configured)

    def toggle(self) -> None:
        """Switch between the configured level and debug, and log the change."""
        self._set(self._configured if self._level == "debug" else "debug")
        # This line bypasses the level: under `error` the change would otherwise be invisible.
        logging.getLogger(__name__).handle(
            logging.makeLogRecord(
                {
                    "name": __name__,
                    "levelno": logging.INFO,
                    "levelname": "INFO",
                    "msg": "log level changed",
                    "log_level": self._level,
                }
            )
        )

    def _set(self, level: str) -> None:
        self._level = level
        logging.getLogger().setLevel(LEVELS[level])
        quieter = logging.DEBUG if level == "debug" else max(LEVELS[level], logging.WARNING)
        for name in LIBRARY_LOGGERS:
            logging.getLogger(name).setLevel(quieter)
        for name in PAYLOAD_LOGGERS:
            logging.getLogger(name).setLevel(max(quieter, logging.INFO))


class CommonFields:
    """A structlog processor that adds the fields common to all lines of this process."""

    def __init__(self, common: Mapping[str, str]) -> None:
        self._common = common

    def __call__(
        self, _logger: object, _method: str, fields: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        """Return the line with the common fields added; fields of the line itself take precedence."""
        return {**self._common, **fields}


def debug_enabled(name: str) -> bool:
    """Return True if debug lines of a module are logged; callers compose a line only in that case."""
    return logging.getLogger(name).isEnabledFor(logging.DEBUG)


def configure_logs(
    level: str, fmt: Literal["auto", "json", "console"], common: Mapping[str, str] | None = None
) -> LogLevel:
    """Send all logs, warnings and uncaught exceptions of threads to standard error.

    Args:
        level: debug, info, warning or error.
        fmt: "json" for one object per line; "console" for text, in colour on a terminal unless NO_COLOR is
            set; "auto" for text on a terminal and JSON elsewhere.
        common: fields of every JSON line, such as the worker's name; text lines leave them out.

    Returns:
        The level, which can be switched while the process runs.
    """
    terminal = sys.stderr.isatty()
    console = fmt == "console" or (fmt == "auto" and terminal)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[structlog.typing.Processor] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=terminal and not os.environ.get("NO_COLOR"),
                # The other formatters show local variables, and so the texts of events.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
        if console
        else [
            CommonFields(common or {}),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )
    handler = logging.StreamHandler(uncaptured(sys.stderr))
    handler.addFilter(RepeatFilter())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        )
    )
    logging.getLogger().handlers = [handler]
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_exception
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
    return LogLevel(level)


def _log_thread_exception(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or isinstance(args.exc_value, SystemExit):
        return
    name = args.thread.name if args.thread else "unknown"
    logging.getLogger(__name__).error(
        "thread ended with an exception", exc_info=args.exc_value, extra={"thread_name": name}
    )
