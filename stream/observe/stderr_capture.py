"""Capture of native libraries' writes to standard error, as log lines."""

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

STDERR = 2
READ_BYTES = 65_536
JOIN_S = 5.0
LEVELS = {
    "V": logging.DEBUG,
    "I": logging.INFO,
    "W": logging.WARNING,
    "E": logging.ERROR,
    "F": logging.CRITICAL,
}
# A line of ONNX Runtime, in colour: date time [E:onnxruntime:session, file.cc:7 Function] message
ONNX_RUNTIME = re.compile(r"^\S+ \S+ \[([VIWEF]):onnxruntime:([^\]]*)\] ?(.*)$")
COLOUR = re.compile(r"\x1b\[[\d;]*m")


@contextmanager
def captured_stderr() -> Iterator[None]:
    """Capture the process's standard error inside the context, and log the lines at its end.

    ONNX Runtime reports only on standard error why a provider could not be loaded. Contexts must not
    overlap, because the file descriptor belongs to the whole process. A log handler that writes inside the
    context needs a descriptor of its own, see `uncaptured`.
    """
    real = os.dup(STDERR)
    reading, writing = os.pipe()
    os.dup2(writing, STDERR)
    os.close(writing)
    captured = bytearray()
    reader = threading.Thread(target=_read, args=(reading, captured), name="stderr-capture", daemon=True)
    reader.start()
    try:
        yield
    finally:
        # This closes the last write end of the pipe, unless a child process has inherited one.
        os.dup2(real, STDERR)
        os.close(real)
        reader.join(JOIN_S)
        for line in bytes(captured).decode(errors="replace").splitlines():
            log_native_line(line)


def _read(reading: int, captured: bytearray) -> None:
    while part := os.read(reading, READ_BYTES):
        captured += part
    os.close(reading)


def log_native_line(line: str) -> None:
    """Log a line with the level that it names, or as a warning of the logger `stderr` if it names none."""
    plain = COLOUR.sub("", line).strip()
    if not plain:
        return
    if found := ONNX_RUNTIME.match(plain):
        level, where, message = found.groups()
        logging.getLogger("onnxruntime").log(LEVELS[level], "%s", message, extra={"where": where})
    else:
        logging.getLogger("stderr").warning("%s", plain)


def uncaptured(stream: IO[str]) -> IO[str]:
    """Return a stream to the same destination that `captured_stderr` does not redirect."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        # The stream is in memory, without a file descriptor.
        return stream
    if number != STDERR:
        return stream
    return cast(IO[str], os.fdopen(os.dup(STDERR), "w", encoding="utf-8", errors="backslashreplace"))
