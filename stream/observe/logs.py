"""One way for all logs: structlog for ours, and Faust's, aiokafka's and the rest through the same end."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Literal

import structlog

from stream.observe.stderr_capture import own_end

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
# These repeat each heartbeat and metadata refresh at info, and an unreachable broker at error.
CHATTY = ("aiokafka", "faust", "mode", "kafka", "asyncio")
# At debug these write whole requests, responses and records: texts would be read in the log.
TELLTALE = ("aiokafka.conn", "aiokafka.producer.producer")
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


class LogLevel:
    """What is logged: from the configured level on, or everything while debug lines are wanted."""

    def __init__(self, configured: str) -> None:
        self._configured = configured
        self._level = configured
        self._set(configured)

    def toggle(self) -> None:
        """Switch between the configured level and debug, and say so."""
        self._set(self._configured if self._level == "debug" else "debug")
        # Told whatever the level, or else whoever turned debug off under `error` would see nothing.
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
        for name in CHATTY:
            logging.getLogger(name).setLevel(quieter)
        for name in TELLTALE:
            logging.getLogger(name).setLevel(max(quieter, logging.INFO))


class Ids:
    """A processor that adds what every line of this process has in common."""

    def __init__(self, ids: Mapping[str, str]) -> None:
        self._ids = ids

    def __call__(
        self, _logger: object, _method: str, fields: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        """The line with the ids, where it does not say otherwise itself."""
        return {**self._ids, **fields}


def debugging(name: str) -> bool:
    """Whether a module's debug lines are wanted; asked before one is put together."""
    return logging.getLogger(name).isEnabledFor(logging.DEBUG)


def configure_logs(
    level: str, fmt: Literal["auto", "json", "console"], ids: Mapping[str, str] | None = None
) -> LogLevel:
    """Send all logs, warnings and faults of threads to standard error.

    Args:
        level: debug, info, warning or error.
        fmt: json: an object a line; console: for people, in colour on a terminal unless NO_COLOR is set;
            auto: the latter on a terminal, else the former.
        ids: fields of every JSON line, such as the worker's name; a terminal shows one worker, without them.

    Returns:
        The level, which may be changed while the process runs.
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
                # The others show local variables, and so texts.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
        if console
        else [
            Ids(ids or {}),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )
    handler = logging.StreamHandler(own_end(sys.stderr))
    handler.addFilter(SeldomFilter())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        )
    )
    logging.getLogger().handlers = [handler]
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_fault
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


def _log_thread_fault(fault: threading.ExceptHookArgs) -> None:
    if fault.exc_value is None or isinstance(fault.exc_value, SystemExit):
        return
    name = fault.thread.name if fault.thread else "unknown"
    logging.getLogger(__name__).error(
        "a thread ended with an error", exc_info=fault.exc_value, extra={"thread_name": name}
    )
