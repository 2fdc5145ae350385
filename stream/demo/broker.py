"""The development broker: an in-memory Kafka broker for `labelstream demo` and for tests, not for production.

It is the mock cluster of librdkafka, started through the public options of confluent_kafka. Its limits:

 - A topic has 4 partitions, and a partition drops its oldest records beyond 5 MB.
 - CreateTopics and DescribeConfigs are not supported; a topic is created when a client asks for it by name.
 - The first join of a group takes 3 s, the initial rebalance delay, which the public options cannot change.
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

from stream.errors import BrokerError, UsageError, install_hint
from stream.output_files import write_file

START_DEADLINE_S = 20.0
STOP_DEADLINE_S = 5.0
POLL_S = 0.05
PARENT_POLL_S = 0.3
METADATA_TIMEOUT_S = 10.0


class DevBroker:
    """A development broker in a child process that ends with this process.

    The context manager starts the broker on entry and stops it on exit.
    """

    def __init__(self, topics: Sequence[str] = ()) -> None:
        self.topics = tuple(topics)
        self.address = ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, deadline_s: float = START_DEADLINE_S) -> Self:
        """Start the broker, and wait until it answers at `address`.

        Args:
            deadline_s: the seconds that the start may take.

        Raises:
            UsageError: confluent_kafka is not installed.
            BrokerError: the broker reported no address within the deadline.
        """
        require_library()
        with tempfile.TemporaryDirectory(prefix="labelstream-") as folder:
            file = Path(folder) / "address"
            command = [sys.executable, "-m", "stream.demo.broker", "--address-file", str(file)]
            command += ["--parent", str(os.getpid()), *(f"--topic={topic}" for topic in self.topics)]
            # In a session of its own the broker does not receive Ctrl-C; the caller stops it last.
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
                    cause=f"no address within {deadline_s:g} s" if code is None else f"exit code {code}",
                    fix="run `python -m stream.demo.broker` to see its error",
                )
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop the broker; its records are lost."""
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
    """Check that confluent_kafka is installed.

    Raises:
        UsageError: confluent_kafka is not installed.
    """
    if importlib.util.find_spec("confluent_kafka") is None:
        raise UsageError(
            "the development broker is not installed",
            cause="the Python module confluent_kafka is missing",
            fix=install_hint("demo"),
        )


def serve(topics: Sequence[str], address_file: Path | None, parent: int) -> None:
    """Run the broker in this process until SIGTERM, SIGINT or the end of the parent process.

    Args:
        topics: names of topics to create.
        address_file: file to write host:port to once the broker answers; None for none.
        parent: the id of the parent process.
    """
    from confluent_kafka import Producer

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    silent = logging.getLogger("labelstream.devbroker")
    silent.disabled = True
    # With this option librdkafka starts the mock cluster and uses it instead of bootstrap servers.
    client = Producer({"test.mock.num.brokers": 1, "log_level": 0}, logger=silent)
    (node,) = client.list_topics(timeout=METADATA_TIMEOUT_S).brokers.values()
    for topic in topics:
        client.list_topics(topic, timeout=METADATA_TIMEOUT_S)
    address = f"{node.host}:{node.port}"
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    if address_file is not None:
        write_file(address_file, f"{address}\n".encode("ascii"))
    while os.getppid() == parent and not ended.wait(PARENT_POLL_S):
        pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the broker, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m stream.demo.broker",
        description="An in-memory Kafka broker for development.",
    )
    parser.add_argument("--topic", action="append", default=[], help="topic to create; may be repeated")
    parser.add_argument(
        "--address-file", type=Path, help="file to write host:port to once the broker answers"
    )
    parser.add_argument(
        "--parent", type=int, default=os.getppid(), help="id of the process with which the broker ends"
    )
    given = parser.parse_args(arguments)
    try:
        require_library()
    except UsageError as exc:
        sys.stderr.write(f"error: {exc.message}\ncause: {exc.cause}\nfix: {exc.fix}\n")
        return exc.exit_code
    serve(given.topic, given.address_file, given.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
