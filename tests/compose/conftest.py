"""The stack of docker-compose.yml, built and started once for all tests that operate it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.journal import Journal
from tests.compose.stack import BUILD_S, ONE_SHOTS, Stack, compose_command, docker, run
from tests.real.components import MissingComponentError, unavailable, unique

SERVICES = ("worker", "trainer", "tests")
BASES = ("STACK_PYTHON_IMAGE", "STACK_KAFKA_IMAGE", "STACK_REDIS_IMAGE", "STACK_PROMETHEUS_IMAGE")
REMEDY = "apt-get install docker.io docker-compose, and a running dockerd"


@pytest.fixture(scope="session")
def journal() -> Iterator[Journal]:
    """The journal of the run, which is written to a document at the end on request."""
    kept = Journal()
    yield kept
    kept.write()


@pytest.fixture(scope="session")
def compose() -> list[str]:
    """The Compose command; without an engine the tests are skipped, or fail where they are required."""
    try:
        return compose_command()
    except MissingComponentError as error:
        unavailable(f"the stack cannot run: {error}. To get it: {REMEDY}")


@pytest.fixture(scope="session")
def images(compose: list[str], journal: Journal) -> dict[str, str]:
    """The images by service, built now."""
    stack = Stack(compose, "labelstream-build")
    with journal.step("`build`; what did not change comes from the engine's cache"):
        stack.compose("--profile", "test", "build", *SERVICES, timeout_s=BUILD_S)
    tags = {name: f"labelstream/{name}:0.1.0" for name in ("worker-cpu", "trainer", "tests")}
    for name in tags.values():
        journal.sizes[name] = int(docker("image", "inspect", "--format", "{{.Size}}", name))
    journal.versions += [
        "engine " + docker("version", "--format", "{{.Server.Version}}").strip(),
        "Compose " + run([*compose, "version", "--short"]).stdout.strip(),
        *(os.environ[name] for name in BASES if name in os.environ),
    ]
    return tags


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the base model `base` of random weights; the tests are about the stack."""
    from tests.real.tiny_bundle import save_tiny_base

    folder = tmp_path_factory.mktemp("data") / "data"
    save_tiny_base(folder / "base")
    # The trainer's container runs as another user, and saved weights are readable by their owner only.
    for file in (folder / "base").iterdir():
        file.chmod(0o644)
    return folder


@pytest.fixture(scope="session")
def stack(compose: list[str], images: dict[str, str], tiny_base: Path, journal: Journal) -> Iterator[Stack]:
    """The stack, started and healthy; removed with its volumes after the tests."""
    new_stack = Stack(compose, unique("labelstream-test"))
    new_stack.environment |= {
        "STACK_DATA": str(tiny_base),
        "STACK_SAMPLE_FLAGS": "--base-model data/base --max-length 64 --epochs 1",
    }
    try:
        with journal.step("`up -d`, until worker, Kafka and Redis are healthy") as step:
            new_stack.compose("up", "-d", timeout_s=900)
            new_stack.await_ready()
            step.result = "topics made, a tiny model trained on the sample, 1 worker ready"
        yield new_stack
    finally:
        for service in (*ONE_SHOTS, "worker"):
            for container in new_stack.containers(service, ended=True):
                print(f"--- the log of a container of {service} ends:\n{new_stack.logs(container, '40')}")
        new_stack.compose(
            "--profile", "observe", "--profile", "test", "down", "-v", "--remove-orphans", check=False
        )


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder of the project."""
    return Path(__file__).parents[2]
