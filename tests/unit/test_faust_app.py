"""How a worker ends: with the code of its first error, and always."""

import subprocess
import sys

import pytest
from aiokafka.errors import KafkaConnectionError

from stream.errors import BrokerError, DeviceError, Fatal
from stream.worker.faust_app import exit_at_last, told

HANGS = """
import threading
from stream.worker.faust_app import exit_at_last
with exit_at_last(0.05, 5):
    threading.Event().wait(60)
"""


def test_a_stop_that_hangs_is_ended_with_its_own_code() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 5
    assert "did not stop within 0.05 s" in done.stderr


def test_a_stop_in_time_is_left_alone() -> None:
    with pytest.raises(KeyError), exit_at_last(3600, 5):
        raise KeyError


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (DeviceError("gone"), DeviceError, 7),
        (KafkaConnectionError("refused"), BrokerError, 4),
        (ZeroDivisionError("bug"), Fatal, 1),
    ],
)
def test_every_error_has_an_exit_code_and_a_mend(error: Exception, kind: type[Fatal], code: int) -> None:
    seen = told(error)
    assert type(seen) is kind
    assert seen.exit_code == code
    assert seen.fix or seen is error
