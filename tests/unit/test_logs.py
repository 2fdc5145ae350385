"""One line an event, in one format, and no library that shouts."""

import asyncio
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog

from stream.observe.logs import CHATTY, TELLTALE, SeldomFilter, configure_logs, debugging


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, on_fault = logging.getLogger(), threading.excepthook
    handlers = root.handlers
    levels = {name: logging.getLogger(name).level for name in ("root", *CHATTY, *TELLTALE)}
    yield
    root.handlers = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(False)
    threading.excepthook = on_fault
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What was logged since this was asked last."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_our_lines_and_the_libraries_are_json_with_the_same_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("info", "json")
    structlog.get_logger("stream.test").info("model loaded", rows=3)
    logging.getLogger("aiokafka.cluster").error("node %s is away", 1)
    ours, theirs = map(json.loads, capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["rows"], ours["level"], ours["logger"]) == (
        "model loaded",
        3,
        "info",
        "stream.test",
    )
    assert (theirs["event"], theirs["level"], theirs["logger"]) == (
        "node 1 is away",
        "error",
        "aiokafka.cluster",
    )
    assert ours.keys() - {"rows"} == theirs.keys()


def test_the_level_is_kept_and_libraries_are_a_level_quieter(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    structlog.get_logger("stream.test").debug("unseen")
    logging.getLogger("aiokafka").info("heartbeat")
    assert capsys.readouterr().err == ""


def record(name: str, message: str) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "file", 1, message, ("x",), None)


def test_a_library_repeats_itself_every_30_seconds_at_most() -> None:
    now = 0.0
    seldom = SeldomFilter(lambda: now)
    assert seldom.filter(record("aiokafka", "no node %s"))
    assert not seldom.filter(record("aiokafka", "no node %s"))
    assert seldom.filter(record("aiokafka", "another %s"))
    assert seldom.filter(record("stream.worker.faust_app", "ours %s"))
    assert seldom.filter(record("stream.worker.faust_app", "ours %s"))
    now = 30.0
    assert seldom.filter(record("aiokafka", "no node %s"))


def test_every_line_names_the_worker_and_what_its_task_is_bound_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("info", "json", {"worker": "host-7", "group": "g"})
    structlog.contextvars.bind_contextvars(route="mail", bundle="support@3")
    structlog.get_logger("stream.test").info("ours")
    logging.getLogger("mode").warning("theirs")
    for line in lines(capsys):
        bound = {name: line[name] for name in ("worker", "group", "route", "bundle")}
        assert bound == {"worker": "host-7", "group": "g", "route": "mail", "bundle": "support@3"}


def test_a_signal_switches_to_debug_and_back_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    level = configure_logs("error", "json")
    said = []
    for _ in range(2):
        level.toggle()
        structlog.get_logger("stream.test").debug("detail")
        logging.getLogger("aiokafka.cluster").debug("their detail")
        said.append([(line["event"], line.get("log_level")) for line in lines(capsys)])
        assert debugging("stream.test") is (len(said) == 1)
    assert said == [
        [("log level changed", "debug"), ("detail", None), ("their detail", None)],
        [("log level changed", "error")],
    ]


def test_a_worker_at_debug_goes_on_at_debug(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("debug", "json").toggle()
    assert debugging("stream.test")
    assert [line["log_level"] for line in lines(capsys)] == ["debug"]


def test_libraries_that_write_records_are_not_let_to_at_debug(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json").toggle()
    lines(capsys)
    for name in TELLTALE:
        logging.getLogger(name).debug("value=%s", b"a text")
        logging.getLogger(name).warning("of use")
    assert [line["event"] for line in lines(capsys)] == ["of use"] * len(TELLTALE)


def test_warnings_and_faults_of_threads_and_tasks_are_lines_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")

    def fail() -> None:
        raise ValueError("in a thread")

    async def forget() -> None:
        async def fault() -> None:
            raise ValueError("in a task")

        task = asyncio.create_task(fault())
        await asyncio.wait({task})
        del task

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("soon gone", DeprecationWarning, stacklevel=1)
    thread = threading.Thread(target=fail, name="infer_0")
    thread.start()
    thread.join()
    asyncio.run(forget())
    warned, fault, lost = lines(capsys)
    assert (warned["level"], warned["logger"]) == ("warning", "py.warnings")
    assert "soon gone" in warned["event"]
    assert (fault["level"], fault["thread_name"]) == ("error", "infer_0")
    assert "ValueError: in a thread" in fault["exception"]
    assert (lost["level"], lost["logger"]) == ("error", "asyncio")
    assert "ValueError: in a task" in lost["exception"]


class Terminal(io.StringIO):
    """Takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_has_colour_unless_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("NO_COLOR", no_color)
    configure_logs("info", "auto", {"worker": "host-7"})
    structlog.get_logger("stream.test").info("model loaded")
    assert "model loaded" in terminal.getvalue()
    assert ("\x1b[" in terminal.getvalue()) is coloured
    assert "host-7" not in terminal.getvalue()


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_a_traceback_shows_no_local_variables(
    capsys: pytest.CaptureFixture[str], fmt: Literal["json", "console"]
) -> None:
    configure_logs("info", fmt)
    text = "9 lives".replace("9", "x")
    try:
        int(text[:1])
    except ValueError:
        structlog.get_logger("stream.test").exception("failed")
    told = capsys.readouterr().err
    assert "ValueError: invalid literal" in told
    assert text not in told
