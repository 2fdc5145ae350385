"""What makes a load is not late because the worker is busy."""

import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.speed.punctual import NICENESS, punctual


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def may_be_less_nice() -> bool:
    try:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(os.nice, NICENESS).result()
    except PermissionError:
        return False
    return True


@pytest.mark.skipif(
    sys.platform != "linux" or not may_be_less_nice(), reason="needs Linux and the right to raise a priority"
)
def test_a_punctual_thread_and_those_it_starts_go_first() -> None:
    before = niceness()
    with punctual():
        assert niceness() == NICENESS
        with ThreadPoolExecutor(1) as child:
            assert child.submit(niceness).result() == NICENESS
    assert niceness() == before


def test_where_it_is_not_permitted_all_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = niceness()

    def refused(*_: object) -> None:
        if _[2] != before:
            raise PermissionError

    monkeypatch.setattr(os, "setpriority", refused)
    with punctual():
        assert niceness() == before


@pytest.mark.parametrize("collected", [True, False])
def test_no_garbage_collection_stops_a_punctual_thread(collected: bool) -> None:
    (gc.enable if collected else gc.disable)()
    try:
        with punctual():
            assert not gc.isenabled()
        assert gc.isenabled() is collected
    finally:
        gc.enable()
