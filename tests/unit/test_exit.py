"""A worker ends with the exit code of its first error, even if its shutdown hangs."""

import subprocess
import sys

import pytest
from aiokafka.errors import KafkaConnectionError

from stream.deadline import Deadline
from stream.errors import BrokerError, DeviceError, Fatal
from stream.settings import load_settings
from stream.worker.exit import as_labelstream_error, exit_when_expired

HANGS = """
import threading
from stream.deadline import Deadline
from stream.worker.exit import exit_when_expired
with exit_when_expired(Deadline(0.05), 5):
    threading.Event().wait(60)
"""
HANGS_AFTER_AN_ERROR = """
import threading
from stream.deadline import Deadline
from stream.errors import DeviceError
from stream.worker.exit import exit_when_expired
fatal = None
with exit_when_expired(Deadline(0.05), 5, lambda: fatal):
    fatal = DeviceError("the device failed", cause="it is unplugged", fix="plug it in")
    threading.Event().wait(60)
"""


def test_a_shutdown_that_hangs_is_killed_with_its_exit_code() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 5
    assert "did not stop within 0.05 s" in done.stderr


def test_a_shutdown_that_hangs_prints_the_first_error_and_exits_with_its_code() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS_AFTER_AN_ERROR], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 7
    assert done.stderr.splitlines()[:3] == [
        "error: the device failed",
        "cause: it is unplugged",
        "fix: plug it in",
    ]
    assert "did not stop within 0.05 s" in done.stderr.splitlines()[3]


def test_a_shutdown_in_time_is_not_killed() -> None:
    with pytest.raises(KeyError), exit_when_expired(Deadline(3600), 5):
        raise KeyError


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (DeviceError("gone"), DeviceError, 7),
        (KafkaConnectionError("refused"), BrokerError, 4),
        (ZeroDivisionError("bug"), Fatal, 1),
    ],
)
def test_every_error_has_an_exit_code_and_a_fix(error: Exception, kind: type[Fatal], code: int) -> None:
    seen = as_labelstream_error(error, load_settings())
    assert type(seen) is kind
    assert seen.exit_code == code
    assert seen.fix or seen is error
