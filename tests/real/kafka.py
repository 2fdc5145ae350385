"""A real Apache Kafka, one node: stopped, killed, frozen and started again on the same data and port."""

from confluent_kafka.admin import NewTopic

from tests.real.api_versions import release
from tests.real.client import BrokerClient
from tests.real.insist import DEADLINE_S
from tests.real.kafka_ways import Container, Existing, Jars, Runner, Way, find_kafka
from tests.real.parts import Tell, unavailable
from tests.real.process import EndedError, Folder, free_ports
from tests.real.wait import until

START_S = 60.0


class ApacheKafka(BrokerClient):
    """Apache Kafka in KRaft mode, or the existing broker that the environment names.

    Topics and committed offsets survive `stop`, `kill` and `restart`; `close` removes them. Topics are made
    by `create_topic` only (the broker creates none by itself), and a group's first rebalance is not delayed.
    """

    def __init__(
        self,
        way: Way | None = None,
        tell: Tell = lambda line: None,
        ports: tuple[int, int] | None = None,
    ) -> None:
        """Find it, without starting it.

        Args:
            way: where it comes from, if not from the first way that is open.
            tell: told of progress.
            ports: of broker and controller; by default free ones.

        Raises:
            MissingPartError: there is no way to one on this machine.
        """
        self._way = way or find_kafka(tell)
        self._ports = ports
        self._runner: Runner | None = None
        self._folder: Folder | None = None
        self.found = self._way.found

    @property
    def version(self) -> str:
        """The release that was installed; of an existing broker what it says of itself."""
        return release(self.address) if isinstance(self._way, Existing) else self._way.version

    @property
    def alive(self) -> bool:
        """Whether it runs (paused counts as running)."""
        return self._runner is None or self._runner.alive

    @property
    def owned(self) -> bool:
        """Whether tests may stop and kill it."""
        return not isinstance(self._way, Existing)

    def start(self) -> None:
        """Start it, or start it again; returns when it answers a metadata request."""
        if isinstance(self._way, Existing):
            self.address = self._way.address
            self._await_metadata(START_S)
            return
        if self._runner is not None:
            self._run(self._runner)
            return
        for attempt in range(3):
            try:
                self._first_start(self._way)
                break
            except EndedError as error:
                # Between our choosing a port and the broker's binding it somebody else may have taken it.
                self.close()
                if attempt == 2 or "Address already in use" not in str(error):
                    raise

    def stop(self) -> None:
        """SIGTERM: an orderly end."""
        self._forget()
        self._own().stop()

    def kill(self) -> None:
        """SIGKILL: the end of a power cut, but for what the operating system still writes."""
        self._forget()
        self._own().kill()

    def restart(self) -> None:
        """Stop and start on the same data and port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._own().pause()

    def resume(self) -> None:
        """SIGCONT; harmless when it is not paused."""
        self._own().resume()

    def revive(self) -> None:
        """Undo what a test did to it: resumed when paused, started when dead, untouched when well."""
        if not self.owned:
            return
        runner = self._own()
        if runner.alive:
            runner.resume()
        else:
            self.start()

    def close(self) -> None:
        """End it and remove its data."""
        self._forget()
        if self._runner is not None:
            self._runner.remove()
            self._runner = None
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    def create_topic(self, name: str, partitions: int = 4, **config: object) -> str:
        """Make a topic and return its name when every partition has a leader.

        Args:
            name: `parts.unique` makes one that no other test has.
            partitions: how many.
            config: the topic's settings with _ for a dot: `cleanup_policy="compact"`.
        """
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        topic = NewTopic(name, partitions, 1, config=settings)
        self._ask().create_topics([topic], operation_timeout=DEADLINE_S)[name].result(DEADLINE_S)

        def led() -> bool:
            found = self._ask().list_topics(name, timeout=DEADLINE_S).topics[name]
            leaders = [partition.leader for partition in found.partitions.values()]
            return found.error is None and len(leaders) == partitions and min(leaders) >= 0

        until(led, DEADLINE_S, f"leaders of the {partitions} partitions of {name}")
        return name

    def delete_topics(self, *names: str) -> None:
        """Have the broker delete topics; it frees their space a little later."""
        if names:
            for future in self._ask().delete_topics(list(names), operation_timeout=DEADLINE_S).values():
                future.result(DEADLINE_S)

    def _first_start(self, way: Container | Jars) -> None:
        port, controller = self._ports or free_ports(2)
        self.address = f"127.0.0.1:{port}"
        self._folder = Folder("kafka")
        self._runner = way.runner(self._folder.path, port, controller)
        self._run(self._runner)

    def _run(self, runner: Runner) -> None:
        runner.start()
        self._await_metadata(START_S, runner.check)

    def _own(self) -> Runner:
        if not self.owned:
            unavailable(f"the broker {self.address} is not the tests' own to stop")
        assert self._runner is not None, "Apache Kafka was not started"
        return self._runner
