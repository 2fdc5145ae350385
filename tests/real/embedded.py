"""The development broker, which is librdkafka's mock cluster, as a process of the tests: ready in an instant.

What it cannot judge, and Apache Kafka has to:

- Nothing survives it: after `kill`, `stop` or `restart` topics, records and committed offsets are gone and
  the address is another one.
- Rebalances: a group's first join takes 3 s, and neither timing nor newer protocols are the real broker's.
- Transactions: they run, but records of an aborted one are shown to read_committed readers as well, and
  offsets sent within one are not stored.
- Volume: a partition forgets its oldest records past 5 MB or 100,000 batches.
- Topics: they come into being with 4 partitions when a client asks for them by name; CreateTopics, other
  partition counts, topic settings, retention and compaction do not exist.
"""

import sys

from confluent_kafka import libversion

from tests.real.client import BrokerClient
from tests.real.process import Child, Folder
from tests.real.wait import until

PARTITIONS = 4
START_S = 20.0


class EmbeddedBroker(BrokerClient):
    """The same questions and the same ways to end it as ApacheKafka, within the limits above."""

    def __init__(self) -> None:
        self._folder = Folder("embedded")
        self._file = self._folder.path / "address"
        command = [sys.executable, "-m", "stream.demo.broker", "--address-file", str(self._file)]
        self._child = Child("embedded broker", command, self._folder.path / "log")
        self.found = "librdkafka's mock cluster, from confluent-kafka"
        self.version = f"librdkafka {libversion()[0]}"

    @property
    def alive(self) -> bool:
        """Whether it runs (paused counts as running)."""
        return self._child.alive

    def start(self) -> None:
        """Start it, empty, on a port of its own choice."""
        self._file.unlink(missing_ok=True)
        self._child.start()

        def address() -> str:
            self._child.check()
            return self._file.read_text().strip() if self._file.exists() else ""

        self.address = until(address, START_S, "the embedded broker's address file")
        self._await_metadata(START_S, self._child.check)

    def stop(self) -> None:
        """SIGTERM."""
        self._forget()
        self._child.stop()

    def kill(self) -> None:
        """SIGKILL."""
        self._forget()
        self._child.kill()

    def restart(self) -> None:
        """Stop and start: empty, and at another address."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._child.pause()

    def resume(self) -> None:
        """SIGCONT; harmless when it is not paused."""
        self._child.resume()

    def revive(self) -> None:
        """Resumed when paused, started (empty) when dead, untouched when well."""
        if self.alive:
            self.resume()
        else:
            self.start()

    def close(self) -> None:
        """End it and remove its folder."""
        self._forget()
        self._child.kill()
        self._folder.remove()

    def create_topic(self, name: str, partitions: int = PARTITIONS, **config: object) -> str:
        """Make a topic by asking for it, and return its name; `config` has no effect here.

        Raises:
            ValueError: for any other number of partitions than 4.
        """
        if partitions != PARTITIONS:
            raise ValueError(f"the embedded broker makes topics of {PARTITIONS} partitions, not {partitions}")
        until(lambda: len(self.partitions(name)) == PARTITIONS, START_S, f"4 partitions of {name}")
        return name
