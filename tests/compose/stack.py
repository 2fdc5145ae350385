"""The stack as an operator runs it: docker-compose in a folder, and the state of its containers."""

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.real.client import BrokerClient
from tests.real.components import MissingComponentError
from tests.real.process import EndedError, free_ports
from tests.real.wait import until

PROJECT = Path(__file__).parents[2]
# On loopback, which works on every machine.
FILES = "docker-compose.yml:deploy/compose/host-network.yml"
ONE_SHOTS = ("topics", "trainer")
HEALTHY_S = 300.0
REDIS_PASSWORD = "of-the-compose-tests"
BUILD_S = 1800.0


def compose_command() -> list[str]:
    """Return the Compose command: $LABELSTREAM_TEST_COMPOSE, docker-compose or `docker compose`.

    Raises:
        MissingComponentError: there is no engine that answers, or no Compose.
    """
    if shutil.which("docker") is None or run(["docker", "info"], check=False).returncode:
        raise MissingComponentError("no container engine answers `docker info`")
    if configured := os.environ.get("LABELSTREAM_TEST_COMPOSE"):
        return [configured]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if run(["docker", "compose", "version"], check=False).returncode == 0:
        return ["docker", "compose"]
    raise MissingComponentError("there is neither docker-compose nor `docker compose`")


def run(
    command: list[str],
    *,
    check: bool = True,
    timeout_s: float = 300,
    folder: Path | None = None,
    environment: dict[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a command, and return its merged stdout and stderr.

    Raises:
        EndedError: it failed; with the end of what it wrote.
    """
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout_s,
    )
    if check and done.returncode:
        end = "\n".join(done.stdout.splitlines()[-60:])
        raise EndedError(f"{' '.join(command)} ended with {done.returncode}:\n{end}")
    return done


class StackBroker(BrokerClient):
    """The stack's Kafka, for clients on this machine."""

    def __init__(self, address: str) -> None:
        self.address = address

    def _config(self, **more: object) -> dict[str, Any]:
        # The limit of the topics, which is higher than the default of the client.
        return super()._config(**{"message.max.bytes": 2 * 2**20}, **more)


class Stack:
    """A Compose project with its own ports, names and volumes."""

    def __init__(self, command: list[str], project: str, folder: Path = PROJECT) -> None:
        self.command = command
        self.project = project
        self.folder = folder
        kafka, controller, redis, prometheus = free_ports(4)
        self.broker = StackBroker(f"127.0.0.1:{kafka}")
        self.redis_url = f"redis://:{REDIS_PASSWORD}@127.0.0.1:{redis}/0"
        self.prometheus_url = f"http://127.0.0.1:{prometheus}"
        self.environment = {
            "COMPOSE_PROJECT_NAME": project,
            "COMPOSE_FILE": FILES,
            "STACK_KAFKA_PORT": str(kafka),
            "STACK_CONTROLLER_PORT": str(controller),
            "STACK_REDIS_PORT": str(redis),
            "STACK_REDIS_PASSWORD": REDIS_PASSWORD,
            "STACK_PROMETHEUS_PORT": str(prometheus),
        }

    def compose(self, *words: str, timeout_s: float = 300, check: bool = True) -> str:
        """Run docker-compose with these arguments, and return its output."""
        done = run(
            [*self.command, *words],
            check=check,
            timeout_s=timeout_s,
            folder=self.folder,
            environment=self.environment,
        )
        return done.stdout

    def containers(self, service: str, *, ended: bool = False) -> list[str]:
        """Return the ids of a service's containers, running or all, without those of `run`."""
        labels = (f"project={self.project}", f"service={service}", "oneoff=False")
        filters = [word for at in labels for word in ("--filter", f"label=com.docker.compose.{at}")]
        return sorted(docker("ps", "-q", *(["-a"] if ended else []), *filters).split())

    def state(self, container: str) -> dict[str, Any]:
        """Return the state of a container with its RestartCount."""
        (inspected,) = json.loads(docker("inspect", container))
        state: dict[str, Any] = {**inspected["State"], "RestartCount": inspected["RestartCount"]}
        return state

    def healthy(self, service: str, count: int = 1) -> bool:
        """Return whether exactly this number of containers of the service run, all healthy."""
        states = [self.state(container) for container in self.containers(service)]
        return len(states) == count and all(s.get("Health", {}).get("Status") == "healthy" for s in states)

    def await_healthy(self, service: str, count: int = 1) -> None:
        """Wait until this number of containers of the service are healthy."""
        until(lambda: self.healthy(service, count), HEALTHY_S, f"{count} healthy {service}")

    def await_ready(self, workers: int = 1) -> None:
        """Wait until Kafka, Redis and this number of workers are healthy."""
        for service, count in (("kafka", 1), ("redis", 1), ("worker", workers)):
            self.await_healthy(service, count)

    def logs(self, container: str, lines: str = "all") -> str:
        """Return the output of all runs of a container."""
        return docker("logs", "--tail", lines, container)

    def web_address(self, container: str) -> str:
        """Return a worker's web address, the last one in its log."""
        address = ""
        for line in self.logs(container).splitlines():
            if '"listening"' in line:
                address = json.loads(line)["url"]
        if not address:
            raise EndedError(f"worker {container} does not listen:\n{self.logs(container, '30')}")
        return address

    def web_addresses(self) -> list[str]:
        """Return the web addresses of all workers."""
        return [self.web_address(container) for container in self.containers("worker")]

    def crash(self, container: str) -> None:
        """Send SIGKILL to every process in the container except its init.

        The engine regards `docker kill` as a stop by the operator. After this crash the restart policy acts.
        """
        run(["docker", "exec", container, "sh", "-c", "kill -9 -1"], check=False)


def docker(*words: str) -> str:
    """Run the engine's command, and return its output."""
    return run(["docker", *words]).stdout


def get(url: str) -> str:
    """Return the body of a response; raise an error for any status but 2xx."""
    with urllib.request.urlopen(url, timeout=10) as response:
        body: str = response.read().decode()
        return body


def metric(urls: list[str], name: str, **labels: str) -> float:
    """Return the sum of the samples with this name and these labels over all workers."""
    return sum(
        sample.value
        for url in urls
        for family in text_string_to_metric_families(get(f"{url}/metrics"))
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


AWAY = (urllib.error.URLError, ConnectionError, TimeoutError, EndedError)
"""The errors of a request to a worker that is down."""
