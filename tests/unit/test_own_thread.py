"""Calls are made one after the other in one thread, and whoever waits is told how they ended."""

import asyncio
import subprocess
import sys
import threading

import pytest

from stream.classify.own_thread import OwnThread


async def test_calls_are_made_in_order_in_one_thread_that_began_as_told() -> None:
    made: list[tuple[int, str]] = []
    began: list[str] = []
    thread = OwnThread("own", lambda: began.append(threading.current_thread().name))

    def note(number: int) -> int:
        made.append((number, threading.current_thread().name))
        return number * 10

    assert await asyncio.gather(*(thread.call(note, number) for number in range(5))) == [0, 10, 20, 30, 40]
    assert made == [(number, "own") for number in range(5)]
    assert began == ["own"]
    thread.close()


async def test_what_a_call_raises_comes_out_and_the_thread_goes_on() -> None:
    thread = OwnThread("own")
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda: 1 / 0)
    with pytest.raises(SystemExit):
        await thread.call(exit, 3)
    assert await thread.call(str, 5) == "5"
    thread.close()


async def test_a_call_that_nobody_waits_for_any_more_harms_nobody() -> None:
    thread = OwnThread("own")
    go_on = threading.Event()
    given_up = [thread.call(go_on.wait, 10), thread.call(lambda: 1 / 0)]
    for result in given_up:
        result.cancel()
    go_on.set()
    assert await thread.call(str, 5) == "5"
    thread.close()


async def test_after_the_end_no_call_is_made() -> None:
    thread = OwnThread("own")
    go_on, running = threading.Event(), threading.Event()
    made: list[int] = []

    def first() -> str:
        running.set()
        go_on.wait(10)
        return "done"

    answer = thread.call(first)
    never = thread.call(made.append, 1)
    await asyncio.to_thread(running.wait, 10)
    thread.close()
    go_on.set()
    assert await answer == "done"
    await asyncio.to_thread(_ended, "own")
    assert made == []
    assert not never.done()


def test_a_loop_that_is_gone_does_not_end_in_a_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    go_on = threading.Event()

    async def leave() -> None:
        thread = OwnThread("left behind")
        thread.call(go_on.wait, 10)
        thread.close()

    asyncio.run(leave())
    go_on.set()
    _ended("left behind")
    assert capfd.readouterr().err == ""


def test_the_interpreter_ends_after_the_call_that_runs() -> None:
    code = """
import asyncio, threading
from stream.classify.own_thread import OwnThread

async def leave():
    running = threading.Event()
    OwnThread("own").call(lambda: (running.set(), threading.main_thread().join(), print("finished")))
    running.wait()

asyncio.run(leave())
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "finished\n", "")


def _ended(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(10)
