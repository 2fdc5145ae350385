"""A thread that gives way is nicer than the others, and so are those that it starts."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from stream.runtime.priority import NICENESS, give_way


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: only it has priorities by thread")
def test_only_the_thread_that_gives_way_and_its_children_are_nicer() -> None:
    before = niceness()
    with ThreadPoolExecutor(1, initializer=give_way) as giving:
        assert giving.submit(niceness).result() == before + NICENESS

        def started() -> int:
            with ThreadPoolExecutor(1) as child:
                return child.submit(niceness).result()

        assert giving.submit(started).result() == before + NICENESS
    assert niceness() == before
