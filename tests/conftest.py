"""Fixtures for real components, started on first use, stopped and reported at the end of the run.

After each test, components that the test stopped, killed or paused are revived for the next one. Each worker
of pytest-xdist starts its own components, so a test that stops one does not disturb the tests beside it.
"""

import os
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest

from tests.real.components import (
    COMPONENTS,
    REQUIRE_VARIABLE,
    MissingComponentError,
    Notify,
    add_components,
    describe_components,
    library_versions,
    required,
    unavailable,
)

if TYPE_CHECKING:
    from tests.page.browser import Chromium
    from tests.real.asyncapi_parser import AsyncapiParser
    from tests.real.embedded import EmbeddedBroker
    from tests.real.kafka import ApacheKafka
    from tests.real.mlflow import MlflowServer
    from tests.real.prometheus import PrometheusServer
    from tests.real.redis import RedisServer
    from tests.real.registry import ApicurioRegistry
    from tests.real.secured import SecuredKafka


class RunningComponent(Protocol):
    """The interface of a real component."""

    origin: str

    @property
    def version(self) -> str: ...
    def start(self) -> None: ...
    def revive(self) -> None: ...
    def close(self) -> None: ...


C = TypeVar("C", bound=RunningComponent)
RUNNING = pytest.StashKey[dict[str, RunningComponent]]()
COMPONENTS_KEY = "components"
WAITING = ("broker", "contract", "fault", "observe")
"""The folders whose tests spend most of their time waiting for brokers and workers."""


def pytest_configure(config: pytest.Config) -> None:
    """Create the registry of running components, and configure Hypothesis."""
    config.stash[RUNNING] = {}
    # The image of the integration tests does not contain Hypothesis.
    if find_spec("hypothesis"):
        from hypothesis import HealthCheck, settings

        # Both checks fail only because the machine is busy.
        settings.register_profile("labelstream", deadline=None, suppress_health_check=[HealthCheck.too_slow])
        settings.load_profile("labelstream")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Add the marker of each real component to its tests, for `-m "not apache"`, and order the files.

    Files that wait for a broker alternate with files that compute: processes of pytest-xdist share the CPUs.
    """
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "apache_kafka" in names or "secured_kafka" in names:
            item.add_marker("apache")
        if "redis_server" in names:
            item.add_marker("redis")
    yield
    files: dict[bool, dict[Path, list[pytest.Item]]] = {True: {}, False: {}}
    for item in items:
        files[item.path.parent.name in WAITING].setdefault(item.path, []).append(item)
    waiting, computing = files[True].values(), files[False].values()
    items[:] = [item for pair in zip_longest(waiting, computing) for file in pair for item in file or ()]


def _component(config: pytest.Config, fixture: str, create: Callable[[Notify], C]) -> Iterator[C]:
    entry, started = COMPONENTS[fixture], time.monotonic()
    reporter = config.pluginmanager.getplugin("terminalreporter")

    def notify(message: str) -> None:
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"[{entry.name}] {message}")

    try:
        component = create(notify)
    except (MissingComponentError, ModuleNotFoundError) as error:
        entry.missing = str(error)
        unavailable(f"{entry.name} is missing: {error}. Fix: {entry.fix}")
    try:
        try:
            component.start()
        except Exception as error:
            entry.missing = f"it did not start ({str(error).splitlines()[0]})"
            raise
        entry.origin, entry.version = component.origin, component.version
        entry.start_s = time.monotonic() - started
        config.stash[RUNNING][fixture] = component
        yield component
    finally:
        config.stash[RUNNING].pop(fixture, None)
        component.close()


@pytest.fixture(scope="session")
def apache_kafka(request: pytest.FixtureRequest) -> "Iterator[ApacheKafka]":
    """A real Apache Kafka; without one the test is skipped, or fails if real components are required."""

    def create(notify: Notify) -> "ApacheKafka":
        from tests.real.kafka import ApacheKafka

        return ApacheKafka(notify=notify)

    yield from _component(request.config, "apache_kafka", create)


@pytest.fixture(scope="session")
def secured_kafka(request: pytest.FixtureRequest) -> "Iterator[SecuredKafka]":
    """A real Apache Kafka on which a user may do what the test grants."""

    def create(notify: Notify) -> "SecuredKafka":
        from tests.real.secured import SecuredKafka

        return SecuredKafka(notify)

    yield from _component(request.config, "secured_kafka", create)


@pytest.fixture(scope="session")
def embedded_broker(request: pytest.FixtureRequest) -> "Iterator[EmbeddedBroker]":
    """librdkafka's mock cluster, with the limits described in tests/real/embedded.py."""

    def create(notify: Notify) -> "EmbeddedBroker":
        from tests.real.embedded import EmbeddedBroker

        return EmbeddedBroker()

    yield from _component(request.config, "embedded_broker", create)


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest) -> "Iterator[RedisServer]":
    """A real Redis or Valkey."""

    def create(notify: Notify) -> "RedisServer":
        from tests.real.redis import RedisServer

        return RedisServer()

    yield from _component(request.config, "redis_server", create)


@pytest.fixture(scope="session")
def schema_registry(request: pytest.FixtureRequest) -> "Iterator[ApicurioRegistry]":
    """A real Apicurio Registry, which has the interface of Confluent's registry."""

    def create(notify: Notify) -> "ApicurioRegistry":
        from tests.real.registry import ApicurioRegistry

        return ApicurioRegistry(notify)

    yield from _component(request.config, "schema_registry", create)


@pytest.fixture(scope="session")
def prometheus_server(request: pytest.FixtureRequest) -> "Iterator[PrometheusServer]":
    """A real Prometheus with the project's rules."""

    def create(notify: Notify) -> "PrometheusServer":
        from tests.real.prometheus import PrometheusServer

        return PrometheusServer()

    yield from _component(request.config, "prometheus_server", create)


@pytest.fixture(scope="session")
def mlflow_server(request: pytest.FixtureRequest) -> "Iterator[MlflowServer]":
    """A real MLflow server with SQLite, from an environment of its own."""

    def create(notify: Notify) -> "MlflowServer":
        from tests.real.mlflow import MlflowServer

        return MlflowServer(notify)

    yield from _component(request.config, "mlflow_server", create)


@pytest.fixture(scope="session")
def asyncapi_parser(request: pytest.FixtureRequest) -> "Iterator[AsyncapiParser]":
    """The official parser of AsyncAPI documents."""

    def create(notify: Notify) -> "AsyncapiParser":
        from tests.real.asyncapi_parser import AsyncapiParser

        return AsyncapiParser(notify)

    yield from _component(request.config, "asyncapi_parser", create)


@pytest.fixture(scope="module")
def chromium(request: pytest.FixtureRequest) -> "Iterator[Chromium]":
    """A real browser, per module because the thread has an event loop while the browser is running."""

    def create(notify: Notify) -> "Chromium":
        from tests.page.browser import Chromium

        return Chromium()

    yield from _component(request.config, "chromium", create)


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("embedded_broker", id="embedded"),
        pytest.param("apache_kafka", id="apache", marks=pytest.mark.apache),
    ],
)
def broker(request: pytest.FixtureRequest) -> "EmbeddedBroker | ApacheKafka":
    """Runs a test on both brokers."""
    selected: EmbeddedBroker | ApacheKafka = request.getfixturevalue(request.param)
    return selected


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Restore the environment variables; a training in this process sets HF_HUB_OFFLINE, for example."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@pytest.fixture(autouse=True)
def _real_components(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    used = set(request.fixturenames)
    if "broker" in used:
        used.add(request.node.callspec.params["broker"])
    for fixture, component in request.config.stash[RUNNING].items():
        if fixture in used:
            COMPONENTS[fixture].tests.add(request.node.nodeid)
            component.revive()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the components of a worker of pytest-xdist to the main process."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[COMPONENTS_KEY] = describe_components()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add the components of a worker of pytest-xdist to the report."""
    add_components(getattr(node, "workeroutput", {}).get(COMPONENTS_KEY, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report the real components of the run, because passing without Apache Kafka means less."""
    terminalreporter.section("real components")
    for entry in COMPONENTS.values():
        terminalreporter.write_line(entry.summary_line(), red=bool(entry.missing))
    if required():
        terminalreporter.write_line(f"{REQUIRE_VARIABLE} is set: tests fail if their component is missing")
    terminalreporter.write_line(library_versions())
