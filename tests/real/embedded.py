"""The development broker (librdkafka's mock cluster) as a process of the tests, which starts at once.

Its limits, for which tests need Apache Kafka:

- Persistence: `kill`, `stop` and `restart` lose topics, records and committed offsets; the address changes.
- Rebalances: the first join of a group takes 3 s; timing and newer protocols differ from the real broker.
- Transactions: they run, but read_committed consumers see records of aborted transactions, and offsets sent
  within a transaction are not stored.
- Volume: a partition drops its oldest records above 5 MB or 100,000 batches.
- Topics: a metadata request for a name creates the topic with 4 partitions; CreateTopics, other partition
  counts, topic settings, retention and compaction do not exist.
"""

import sys

from confluent_kafka import libversion

from tests.real.client import BrokerClient
from tests.real.process import Child, Folder
from tests.real.wait import until

PARTITIONS = 4
START_S = 20.0


class EmbeddedBroker(BrokerClient):
    """The embedded broker, with the interface of ApacheKafka and the limits above."""

    def __init__(self) -> None:
        self._folder = Folder("embedded")
        self._address_file = self._folder.path / "address"
        command = [sys.executable, "-m", "stream.demo.broker", "--address-file", str(self._address_file)]
        self._child = Child("embedded broker", command, self._folder.path / "log")
        self.origin = "librdkafka's mock cluster, from confluent-kafka"
        self.version = f"librdkafka {libversion()[0]}"

    @property
    def alive(self) -> bool:
        """Whether the broker is running or paused."""
        return self._child.alive

    def start(self) -> None:
        """Start an empty broker on a port of its own choice."""
        self._address_file.unlink(missing_ok=True)
        self._child.start()

        def address() -> str:
            self._child.check()
            return self._address_file.read_text().strip() if self._address_file.exists() else ""

        self.address = until(address, START_S, "the embedded broker's address file")
        self._await_metadata(START_S, self._child.check)

    def stop(self) -> None:
        """Send SIGTERM."""
        self.drop_connections()
        self._child.stop()

    def kill(self) -> None:
        """Send SIGKILL."""
        self.drop_connections()
        self._child.kill()

    def restart(self) -> None:
        """Stop and start: the broker is empty and has another address."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Send SIGSTOP: connections stay open but nothing answers."""
        self._child.pause()

    def resume(self) -> None:
        """Send SIGCONT; does nothing if the broker is not paused."""
        self._child.resume()

    def revive(self) -> None:
        """Undo what a test did: resume a paused broker, start an ended one (empty)."""
        if self.alive:
            self.resume()
        else:
            self.start()

    def close(self) -> None:
        """Stop the broker and remove its folder."""
        self.drop_connections()
        self._child.kill()
        self._folder.remove()

    def create_topic(self, name: str, partitions: int = PARTITIONS, **config: object) -> str:
        """Create a topic by a metadata request and return its name; `config` has no effect.

        Raises:
            ValueError: the number of partitions is not 4.
        """
        if partitions != PARTITIONS:
            raise ValueError(
                f"the embedded broker creates topics of {PARTITIONS} partitions, not {partitions}"
            )
        until(lambda: len(self.partitions(name)) == PARTITIONS, START_S, f"4 partitions of {name}")
        return name
