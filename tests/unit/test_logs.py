"""One line an event, in one format, and no library that shouts."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from stream.observe.logs import SeldomFilter, configure_logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


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
    assert seldom.filter(record("stream.app", "ours %s"))
    assert seldom.filter(record("stream.app", "ours %s"))
    now = 30.0
    assert seldom.filter(record("aiokafka", "no node %s"))
