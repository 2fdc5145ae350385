"""A real Apache Kafka with one node that tests stop, kill, pause and restart on the same data and port."""

from tests.real.api_versions import release
from tests.real.client import BrokerClient
from tests.real.components import Notify, unavailable
from tests.real.kafka_sources import Container, Existing, Jars, KafkaSource, Runner, find_kafka
from tests.real.process import EndedError, Folder, free_ports
from tests.real.retry import DEADLINE_S

START_S = 60.0


class ApacheKafka(BrokerClient):
    """Apache Kafka in KRaft mode, or the existing broker that the environment names.

    Topics and committed offsets survive `stop`, `kill` and `restart`; `close` removes them. Auto-creation of
    topics is off, and the first rebalance of a group is not delayed.
    """

    def __init__(
        self,
        source: KafkaSource | None = None,
        notify: Notify = lambda line: None,
        ports: tuple[int, int] | None = None,
    ) -> None:
        """Find Apache Kafka without starting it.

        Args:
            source: the source of the broker; by default the first one available on this machine.
            notify: receives progress messages.
            ports: the ports of broker and controller; by default free ones.

        Raises:
            MissingComponentError: no source is available on this machine.
        """
        self._source = source or find_kafka(notify)
        self._ports = ports
        self._runner: Runner | None = None
        self._folder: Folder | None = None
        self.origin = self._source.origin

    @property
    def version(self) -> str:
        """The installed release, or the release that an existing broker reports."""
        return release(self.address) if isinstance(self._source, Existing) else self._source.version

    @property
    def alive(self) -> bool:
        """Whether the broker is running or paused."""
        return self._runner is None or self._runner.alive

    @property
    def owned(self) -> bool:
        """Whether tests may stop and kill the broker."""
        return not isinstance(self._source, Existing)

    def start(self) -> None:
        """Start or restart the broker and wait until it answers a metadata request."""
        if isinstance(self._source, Existing):
            self.address = self._source.address
            self._await_metadata(START_S)
            return
        if self._runner is not None:
            self._run(self._runner)
            return
        for attempt in range(3):
            try:
                self._first_start(self._source)
                break
            except EndedError as error:
                # Another process may bind the port before the broker does.
                self.close()
                if attempt == 2 or "Address already in use" not in str(error):
                    raise

    def stop(self) -> None:
        """Send SIGTERM for an orderly shutdown."""
        self.drop_connections()
        self._owned_runner().stop()

    def kill(self) -> None:
        """Send SIGKILL: like a power failure, except that the operating system still flushes its cache."""
        self.drop_connections()
        self._owned_runner().kill()

    def restart(self) -> None:
        """Stop the broker and start it on the same data and port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Send SIGSTOP: connections stay open but nothing answers."""
        self._owned_runner().pause()

    def resume(self) -> None:
        """Send SIGCONT; does nothing if the broker is not paused."""
        self._owned_runner().resume()

    def revive(self) -> None:
        """Undo what a test did: resume a paused broker, start an ended one."""
        if not self.owned:
            return
        runner = self._owned_runner()
        if runner.alive:
            runner.resume()
        else:
            self.start()

    def close(self) -> None:
        """Stop the broker and remove its data."""
        self.drop_connections()
        if self._runner is not None:
            self._runner.remove()
            self._runner = None
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    def delete_topics(self, *names: str) -> None:
        """Delete topics; the broker frees their space a little later."""
        if names:
            for future in (
                self._admin_client().delete_topics(list(names), operation_timeout=DEADLINE_S).values()
            ):
                future.result(DEADLINE_S)

    def _first_start(self, source: Container | Jars) -> None:
        port, controller = self._ports or free_ports(2)
        self.address = f"127.0.0.1:{port}"
        self._folder = Folder("kafka")
        self._runner = source.runner(self._folder.path, port, controller)
        self._run(self._runner)

    def _run(self, runner: Runner) -> None:
        runner.start()
        self._await_metadata(START_S, runner.check)

    def _owned_runner(self) -> Runner:
        if not self.owned:
            unavailable(
                f"the broker {self.address} was not started by the tests, which therefore may not stop it"
            )
        assert self._runner is not None, "Apache Kafka was not started"
        return self._runner
