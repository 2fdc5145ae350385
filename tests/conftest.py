"""Real components as fixtures: started when a test first asks, ended with the run, reported at its end.

Whatever a test does to one (stop, kill, pause) is undone after it, so that the next test finds it running.
"""

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, TypeVar

import pytest

from tests.real.parts import PARTS, REQUIRE, MissingPartError, Tell, library_versions, required, unavailable

if TYPE_CHECKING:
    from tests.page.browser import Chromium
    from tests.real.embedded import EmbeddedBroker
    from tests.real.kafka import ApacheKafka
    from tests.real.prometheus import PrometheusServer
    from tests.real.redis import RedisServer


class Component(Protocol):
    """What the fixtures need of a real component."""

    found: str

    @property
    def version(self) -> str: ...
    def start(self) -> None: ...
    def revive(self) -> None: ...
    def close(self) -> None: ...


C = TypeVar("C", bound=Component)
RUNNING = pytest.StashKey[dict[str, Component]]()


def pytest_configure(config: pytest.Config) -> None:
    """Nothing runs yet."""
    config.stash[RUNNING] = {}
    # The image of the integration tests has no Hypothesis.
    if find_spec("hypothesis"):
        from hypothesis import HealthCheck, settings

        # Neither says anything but how busy the machine is.
        settings.register_profile("labelstream", deadline=None, suppress_health_check=[HealthCheck.too_slow])
        settings.load_profile("labelstream")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that ask for a real component carry its marker, so that `-m "not apache"` leaves them out."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "apache_kafka" in names:
            item.add_marker("apache")
        if "redis_server" in names:
            item.add_marker("redis")


def _component(config: pytest.Config, fixture: str, make: Callable[[Tell], C]) -> Iterator[C]:
    part, started = PARTS[fixture], time.monotonic()
    reporter = config.pluginmanager.getplugin("terminalreporter")

    def tell(line: str) -> None:
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"[{part.name}] {line}")

    try:
        component = make(tell)
    except (MissingPartError, ModuleNotFoundError) as error:
        part.missing = str(error)
        unavailable(f"{part.name} is missing: {error}. To get it: {part.remedy}")
    try:
        try:
            component.start()
        except Exception as error:
            part.missing = f"it did not start ({str(error).splitlines()[0]})"
            raise
        part.found, part.version = component.found, component.version
        part.start_s = time.monotonic() - started
        config.stash[RUNNING][fixture] = component
        yield component
    finally:
        config.stash[RUNNING].pop(fixture, None)
        component.close()


@pytest.fixture(scope="session")
def apache_kafka(request: pytest.FixtureRequest) -> "Iterator[ApacheKafka]":
    """A real Apache Kafka; if none can be had the test is skipped, or failed where they are required."""

    def make(tell: Tell) -> "ApacheKafka":
        from tests.real.kafka import ApacheKafka

        return ApacheKafka(tell=tell)

    yield from _component(request.config, "apache_kafka", make)


@pytest.fixture(scope="session")
def embedded_broker(request: pytest.FixtureRequest) -> "Iterator[EmbeddedBroker]":
    """librdkafka's mock cluster, for what tests/real/embedded.py says it can judge."""

    def make(tell: Tell) -> "EmbeddedBroker":
        from tests.real.embedded import EmbeddedBroker

        return EmbeddedBroker()

    yield from _component(request.config, "embedded_broker", make)


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest) -> "Iterator[RedisServer]":
    """A real Redis or Valkey."""

    def make(tell: Tell) -> "RedisServer":
        from tests.real.redis import RedisServer

        return RedisServer()

    yield from _component(request.config, "redis_server", make)


@pytest.fixture(scope="session")
def prometheus_server(request: pytest.FixtureRequest) -> "Iterator[PrometheusServer]":
    """A real Prometheus with our rules."""

    def make(tell: Tell) -> "PrometheusServer":
        from tests.real.prometheus import PrometheusServer

        return PrometheusServer()

    yield from _component(request.config, "prometheus_server", make)


@pytest.fixture(scope="module")
def chromium(request: pytest.FixtureRequest) -> "Iterator[Chromium]":
    """A real browser. While it runs the thread has an event loop, so it ends with the module that asked."""

    def make(tell: Tell) -> "Chromium":
        from tests.page.browser import Chromium

        return Chromium()

    yield from _component(request.config, "chromium", make)


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("embedded_broker", id="embedded"),
        pytest.param("apache_kafka", id="apache", marks=pytest.mark.apache),
    ],
)
def broker(request: pytest.FixtureRequest) -> "EmbeddedBroker | ApacheKafka":
    """The same test on both brokers."""
    chosen: EmbeddedBroker | ApacheKafka = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture(autouse=True)
def _real_components(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    used = set(request.fixturenames)
    if "broker" in used:
        used.add(request.node.callspec.params["broker"])
    for fixture, component in request.config.stash[RUNNING].items():
        if fixture in used:
            PARTS[fixture].tests.add(request.node.nodeid)
            component.revive()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the run's results rest on: a green run without Apache Kafka is a smaller claim."""
    terminalreporter.section("real components used")
    for part in PARTS.values():
        terminalreporter.write_line(part.line(), red=bool(part.missing))
    if required():
        terminalreporter.write_line(f"{REQUIRE} is set: tests whose component is missing fail")
    terminalreporter.write_line(library_versions())
