"""Lowering a thread's priority affects that thread and the threads that it starts."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from stream.runtime import lower_thread_priority
from stream.runtime.cores import NICE_INCREMENT


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities per thread")
def test_only_the_thread_and_its_children_have_a_lower_priority() -> None:
    before = niceness()
    with ThreadPoolExecutor(1, initializer=lower_thread_priority) as executor:
        assert executor.submit(niceness).result() == before + NICE_INCREMENT

        def started() -> int:
            with ThreadPoolExecutor(1) as child:
                return child.submit(niceness).result()

        assert executor.submit(started).result() == before + NICE_INCREMENT
    assert niceness() == before
