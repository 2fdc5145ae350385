"""What native libraries write to standard error past Python, as log lines."""

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
# date time [E:onnxruntime:session, file.cc:7 Function] message, in colour
ONNX_RUNTIME = re.compile(r"^\S+ \S+ \[([VIWEF]):onnxruntime:([^\]]*)\] ?(.*)$")
COLOUR = re.compile(r"\x1b\[[\d;]*m")


@contextmanager
def native_lines() -> Iterator[None]:
    """Keep what is written to the process's standard error meanwhile, and log it afterwards.

    ONNX Runtime tells only there why a provider could not be loaded. One user at a time: the file belongs to
    the whole process. Whoever writes log lines meanwhile needs an end of its own, see `own_end`.
    """
    real = os.dup(STDERR)
    reading, writing = os.pipe()
    os.dup2(writing, STDERR)
    os.close(writing)
    told = bytearray()
    reader = threading.Thread(target=_read, args=(reading, told), name="native-lines", daemon=True)
    reader.start()
    try:
        yield
    finally:
        # The pipe's last writing end is closed with this, unless a child process has it.
        os.dup2(real, STDERR)
        os.close(real)
        reader.join(JOIN_S)
        for line in bytes(told).decode(errors="replace").splitlines():
            tell(line)


def _read(reading: int, told: bytearray) -> None:
    while part := os.read(reading, READ_BYTES):
        told += part
    os.close(reading)


def tell(line: str) -> None:
    """Log a line under the name and level that it gives itself, else as a warning of nobody known."""
    plain = COLOUR.sub("", line).strip()
    if not plain:
        return
    if found := ONNX_RUNTIME.match(plain):
        level, where, message = found.groups()
        logging.getLogger("onnxruntime").log(LEVELS[level], "%s", message, extra={"where": where})
    else:
        logging.getLogger("stderr").warning("%s", plain)


def own_end(stream: IO[str]) -> IO[str]:
    """A stream to where this one goes, which `native_lines` does not touch."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        # A double in memory.
        return stream
    if number != STDERR:
        return stream
    return cast(IO[str], os.fdopen(os.dup(STDERR), "w", encoding="utf-8", errors="backslashreplace"))
