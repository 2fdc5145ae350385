"""What makes or times a load has to be on time, however busy the worker keeps the cores."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

NICENESS = -5


@contextmanager
def punctual() -> Iterator[None]:
    """Raise the priority of this thread, and of those that it starts meanwhile, where that is permitted."""
    thread = threading.get_native_id()
    before = os.getpriority(os.PRIO_PROCESS, thread)
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, thread, NICENESS)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, thread, before)
