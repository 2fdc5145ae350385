"""Tests of the priority of load generators."""

import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.speed.punctual import NICENESS, punctual


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def may_raise_priority() -> bool:
    try:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(os.nice, NICENESS).result()
    except PermissionError:
        return False
    return True


@pytest.mark.skipif(
    sys.platform != "linux" or not may_raise_priority(),
    reason="needs Linux and the right to raise a priority",
)
def test_a_punctual_thread_and_its_child_threads_have_a_higher_priority() -> None:
    before = niceness()
    with punctual():
        assert niceness() == NICENESS
        with ThreadPoolExecutor(1) as child:
            assert child.submit(niceness).result() == NICENESS
    assert niceness() == before


def test_without_permission_the_priority_is_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    before = niceness()

    def refuse(*arguments: object) -> None:
        if arguments[2] != before:
            raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    with punctual():
        assert niceness() == before


@pytest.mark.parametrize("gc_enabled", [True, False])
def test_garbage_collection_is_disabled_in_a_punctual_block(gc_enabled: bool) -> None:
    (gc.enable if gc_enabled else gc.disable)()
    try:
        with punctual():
            assert not gc.isenabled()
        assert gc.isenabled() is gc_enabled
    finally:
        gc.enable()
