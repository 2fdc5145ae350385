"""docker-compose.yml, Dockerfile and .env.example agree with the code and each other; without an engine."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from stream.settings import Settings
from stream.settings_errors import ENV_PREFIX
from stream.worker.faust_app import EXIT_GRACE_S
from tests.real.jars import kafka_version

PROJECT = Path(__file__).parents[2]
TEXT = (PROJECT / "docker-compose.yml").read_text(encoding="utf-8")
STACK: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = STACK["services"]
HOST: dict[str, Any] = yaml.safe_load(
    (PROJECT / "deploy/compose/host-network.yml").read_text(encoding="utf-8")
)
DOCKERFILE = (PROJECT / "deploy/Dockerfile").read_text(encoding="utf-8")
EXAMPLE = (PROJECT / ".env.example").read_text(encoding="utf-8")
# The image and the override set these; routes need a settings file.
NOT_PASSED = {"bundle_store", "web_host", "web_port", "routes"}


def settings_of(service: str) -> set[str]:
    """Return the settings that a service passes on, by their names in the code."""
    names = SERVICES[service]["environment"]
    return {name.removeprefix(ENV_PREFIX).lower() for name in names if name.startswith(ENV_PREFIX)}


def test_the_worker_takes_every_setting() -> None:
    expected = set(Settings.model_fields) - NOT_PASSED | {"config"}
    assert settings_of("topics") == expected, "docker-compose.yml, x-settings"
    assert settings_of("worker") == settings_of("worker-gpu") == expected | {"web_port"}


def test_the_file_contains_no_secret() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert not (re.search("PASSWORD|TOKEN|SECRET", name) and value), name


def test_redis_asks_for_the_password_that_its_clients_send() -> None:
    (password,) = re.findall(r"^#STACK_REDIS_PASSWORD=(.+)$", EXAMPLE, re.MULTILINE)
    variable = f"${{STACK_REDIS_PASSWORD:-{password}}}"
    for stack in (STACK, HOST):
        command = stack["services"]["redis"]["command"]
        assert command[command.index("--requirepass") + 1] == variable
    assert SERVICES["redis"]["environment"]["REDISCLI_AUTH"] == variable
    for address in (
        SERVICES["worker"]["environment"]["LABELSTREAM_REDIS_URL"],
        SERVICES["tests"]["environment"]["LABELSTREAM_TEST_REDIS"],
    ):
        assert f"-redis://:{password}@redis:6379/0" in address
    for service, name in (("worker", "LABELSTREAM_REDIS_URL"), ("tests", "LABELSTREAM_TEST_REDIS")):
        assert HOST["services"][service]["environment"][name].startswith(f"redis://:{variable}@redis:")


def test_a_stop_may_take_as_long_as_the_worker_takes() -> None:
    needed = Settings.model_fields["drain_deadline_s"].default + EXIT_GRACE_S
    for name in ("worker", "worker-gpu"):
        grace_period = re.search(r":-(\d+)s", SERVICES[name]["stop_grace_period"])
        assert grace_period
        assert int(grace_period[1]) > needed


def test_the_worker_can_be_scaled() -> None:
    assert "ports" not in SERVICES["worker"]
    assert "container_name" not in SERVICES["worker"]


def test_ports_are_published_on_loopback_only() -> None:
    published = yaml.safe_load((PROJECT / "docker-compose.override.yml").read_text(encoding="utf-8"))
    ports = [port for service in published["services"].values() for port in service["ports"]]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("ports" in service for service in SERVICES.values())


def test_the_host_network_covers_every_service() -> None:
    assert HOST["services"].keys() == SERVICES.keys()
    assert all(service["network_mode"] == "host" for service in HOST["services"].values())


def test_every_service_is_limited_and_ours_are_confined() -> None:
    for name, service in SERVICES.items():
        assert service["mem_limit"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert name == "kafka" or service["read_only"], name


def test_kafka_has_the_version_of_the_tests() -> None:
    assert SERVICES["kafka"]["image"].endswith(f":-apache/kafka:{kafka_version()}}}")


def test_the_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(re.findall(r"STACK_VERSION:-([\d.]+)}", TEXT)) == {project["version"]}
    assert set(re.findall(r"^ARG VERSION=(.*)$", DOCKERFILE, re.MULTILINE)) == {project["version"]}


def test_the_base_images_are_the_same_in_both_files() -> None:
    for name in ("PYTHON_IMAGE", "CUDA_IMAGE"):
        (image,) = re.findall(rf"^ARG {name}=(.*)$", DOCKERFILE, re.MULTILINE)
        assert f"${{STACK_{name}:-{image}}}" in TEXT


def test_the_example_lists_every_variable_with_its_default() -> None:
    used = dict(re.findall(r"\$\{((?:STACK|LABELSTREAM)_[A-Z_]+):-([^}]*)\}", TEXT))
    ports = (PROJECT / "docker-compose.override.yml").read_text(encoding="utf-8")
    used |= dict(re.findall(r"\$\{(STACK_[A-Z_]+):-([^}]*)\}", ports))
    del used["LABELSTREAM_TEST_WEB"]
    # The CUDA image's own default differs from the worker's.
    used["LABELSTREAM_DEVICE"] = Settings.model_fields["device"].default
    listed = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    ours = {name: value for name, value in listed.items() if name in used}
    assert ours == used
    assert set(listed) - set(used) <= {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
