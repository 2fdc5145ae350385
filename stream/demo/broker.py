"""The development broker: a Kafka broker inside a Python process that keeps nothing.

It is librdkafka's mock cluster, started through confluent_kafka's public options: for `labelstream demo` and
for tests, never for data. What to know of it:

 - A topic has 4 partitions; a partition forgets its oldest records past 5 MB.
 - CreateTopics and DescribeConfigs are unknown to it; a topic appears when it is asked for by name.
 - A group's first join takes 3 s, its initial rebalance delay, which the public options cannot change.
 - Offset commits are refused during a rebalance, and transactional offsets are not stored.
"""

import argparse
import importlib.util
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from stream.errors import BrokerError, UsageError

START_DEADLINE_S = 20.0
STOP_DEADLINE_S = 5.0
POLL_S = 0.05
PARENT_POLL_S = 0.3
METADATA_TIMEOUT_S = 10.0


class DevBroker:
    """A development broker in a process of its own, which ends with this one.

    As a context manager it is started on entry and stopped on exit.
    """

    def __init__(self, topics: Sequence[str] = ()) -> None:
        self.topics = tuple(topics)
        self.address = ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, deadline_s: float = START_DEADLINE_S) -> Self:
        """Start it and wait until it answers at `address`.

        Raises:
            UsageError: confluent_kafka is not installed.
            BrokerError: it gave no address within the deadline.
        """
        require_library()
        with tempfile.TemporaryDirectory(prefix="labelstream-") as folder:
            file = Path(folder) / "address"
            command = [sys.executable, "-m", "stream.demo.broker", "--address-file", str(file)]
            command += ["--parent", str(os.getpid()), *(f"--topic={topic}" for topic in self.topics)]
            # A session of its own: Ctrl-C is for the caller, who stops the broker last.
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
            )
            self._await(file, deadline_s)
            self.address = file.read_text(encoding="ascii").strip()
        return self

    def _await(self, file: Path, deadline_s: float) -> None:
        assert self.process is not None
        end = time.monotonic() + deadline_s
        while not file.exists():
            code = self.process.poll()
            if code is not None or time.monotonic() > end:
                self.stop()
                raise BrokerError(
                    "the development broker did not start",
                    cause=f"no address in {deadline_s:g} s" if code is None else f"it ended with code {code}",
                    fix="run it by itself: python -m stream.demo.broker",
                )
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End it; what it held is gone."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def require_library() -> None:
    """Make sure that confluent_kafka can be imported.

    Raises:
        UsageError: it is not installed.
    """
    if importlib.util.find_spec("confluent_kafka") is None:
        raise UsageError(
            "the development broker is not installed",
            cause="the Python module confluent_kafka is missing",
            fix="pip install 'labelstream[demo]'",
        )


def serve(topics: Sequence[str], address_file: Path | None, parent: int) -> None:
    """Run the broker in this process until SIGTERM, SIGINT or the end of the parent process."""
    from confluent_kafka import Producer

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    silent = logging.getLogger("labelstream.devbroker")
    silent.disabled = True
    # The client's own servers are ignored: the mock cluster puts itself in their place.
    client = Producer({"test.mock.num.brokers": 1, "log_level": 0}, logger=silent)
    (node,) = client.list_topics(timeout=METADATA_TIMEOUT_S).brokers.values()
    for topic in topics:
        client.list_topics(topic, timeout=METADATA_TIMEOUT_S)
    address = f"{node.host}:{node.port}"
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    if address_file is not None:
        waiting = address_file.with_name(f".{address_file.name}.{os.getpid()}")
        waiting.write_text(f"{address}\n", encoding="ascii")
        waiting.replace(address_file)
    while os.getppid() == parent and not ended.wait(PARENT_POLL_S):
        pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, serve, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m stream.demo.broker",
        description="A Kafka broker for development that keeps nothing.",
    )
    parser.add_argument("--topic", action="append", default=[], help="create this topic; may be repeated")
    parser.add_argument("--address-file", type=Path, help="write host:port there once it answers")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="end when this parent process does")
    given = parser.parse_args(arguments)
    try:
        require_library()
    except UsageError as exc:
        sys.stderr.write(f"error: {exc.message}\ncause: {exc.cause}\nfix:   {exc.fix}\n")
        return exc.exit_code
    serve(given.topic, given.address_file, given.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
