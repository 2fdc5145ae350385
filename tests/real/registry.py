"""A real Apicurio Registry with Confluent's interface, from Maven Central, and a proxy in front of it.

The archive is stored in Maven's local repository and unpacked in ~/.cache, so each machine downloads it once.
"""

import fcntl
import importlib.util
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient

from tests.real.components import MissingComponentError, Notify
from tests.real.jars import find_java
from tests.real.process import Child, Folder, free_ports
from tests.real.wait import until

VERSION = "3.3.3"
INTERFACE = "/apis/ccompat/v7"
START_S = 90.0
# Options for a fast start and a small heap, at the cost of throughput.
QUICK_START = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def unpack_registry(notify: Notify) -> Path:
    """Return the program of the registry, and download it if it is missing on this machine.

    Raises:
        MissingComponentError: the archive cannot be fetched.
    """
    if importlib.util.find_spec("jgo") is None:
        raise MissingComponentError("the PyPI package jgo, which fetches its archive, is not installed")
    from jgo import maven

    cache = Path.home() / ".cache" / "labelstream-tests"
    cache.mkdir(parents=True, exist_ok=True)
    folder, complete = cache / f"apicurio-{VERSION}", cache / f"apicurio-{VERSION}.complete"
    with (cache / "apicurio.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            notify(f"fetching Apicurio Registry {VERSION} from Maven Central, once per machine (160 MB)")
            project = maven.MavenContext(timeout=60).project("io.apicurio", "apicurio-registry-app")
            archive = project.at_version(VERSION).artifact(classifier="all", packaging="tar.gz")
            try:
                with tarfile.open(archive.resolve()) as opened:
                    opened.extractall(folder, filter="data")
            except Exception as error:
                raise MissingComponentError(f"its archive could not be fetched ({error})") from error
            complete.touch()
    return next(folder.rglob("quarkus-run.jar"))


class ApicurioRegistry:
    """A registry that keeps its schemas in memory, and that tests may stop and start."""

    origin = "archive from Maven Central"
    version = VERSION

    def __init__(self, notify: Notify = lambda line: None) -> None:
        """Fetch the registry if that is necessary, without starting it.

        Raises:
            MissingComponentError: the registry or a Java cannot be had on this machine.
        """
        program, java = unpack_registry(notify), find_java()
        self._folder = Folder("registry")
        port, management = free_ports(2)
        self.url = f"http://127.0.0.1:{port}{INTERFACE}"
        command = [
            *(java, *QUICK_START, "-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}"),
            *("-Dquarkus.management.host=127.0.0.1", f"-Dquarkus.management.port={management}"),
            *("-jar", str(program)),
        ]
        self._child = Child("Apicurio Registry", command, self._folder.path / "log")
        # Without a timeout the client waits for ever for a connection that the registry has forgotten.
        self.client = SchemaRegistryClient({"url": self.url, "timeout": 10, "max.retries": 3})

    def start(self) -> None:
        """Start the registry and wait until it answers."""
        self._child.start()
        until(self._answers, START_S, "the registry's answer")

    def _answers(self) -> bool:
        self._child.check()
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=5):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def register(self, subject: str, text: str, kind: str, references: tuple[str, ...] = ()) -> int:
        """Register a schema, and return its id.

        Args:
            subject: the subject.
            text: the schema.
            kind: AVRO, JSON or PROTOBUF.
            references: the subjects of the schemas that it refers to, each by the name of its subject.
        """
        named = [SchemaReference(name, name, 1) for name in references]
        found: int = self.client.register_schema(subject, Schema(text, kind, named))
        return found

    def pause(self) -> None:
        """Send SIGSTOP: connections stay open but nothing answers."""
        self._child.pause()

    def revive(self) -> None:
        """Resume a paused registry."""
        self._child.resume()

    def close(self) -> None:
        """Stop the registry."""
        self._child.kill()
        self._folder.remove()
