"""The errors of `worker` and `doctor`: message, cause, fix and exit code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stream.bundle import Bundle
from tests.pipeline import make_route, tiny_bundle
from tests.real.embedded import EmbeddedBroker
from tests.real.process import free_ports

__all__ = ["tiny_bundle"]


def labelstream(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in its own process, as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "stream", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def refused(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """Assert the exit code and all parts of the message, without a traceback."""
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    assert "Traceback" not in output
    for part in parts:
        assert part in output, output


@pytest.fixture
def unused_address() -> str:
    """Return an address that nothing listens on."""
    (port,) = free_ports(1)
    return f"127.0.0.1:{port}"


def test_worker_with_the_broker_down(tiny_bundle: Bundle, unused_address: str) -> None:
    done = labelstream(
        "worker",
        "--broker",
        unused_address,
        "--bundle",
        tiny_bundle.path,
        "--web-port",
        0,
        "--retry-deadline-s",
        2,
    )
    refused(done, 4, f"error: broker {unused_address} does not answer", "cause:", "waited 2 s", "fix:")


def test_doctor_with_the_broker_down(tiny_bundle: Bundle, unused_address: str) -> None:
    done = labelstream("doctor", "--broker", unused_address, "--bundle", tiny_bundle.path, "--web-port", 0)
    refused(done, 4, "does not answer", "FAIL", "digests match")


def test_worker_with_a_topic_missing(tiny_bundle: Bundle, embedded_broker: EmbeddedBroker) -> None:
    done = labelstream(
        *("worker", "--broker", embedded_broker.address, "--bundle", tiny_bundle.path, "--web-port", 0),
        *("--retry-deadline-s", 1, "--input-topic", "nowhere"),
    )
    refused(done, 4, "has no topic nowhere", "labelstream topics create")


def test_doctor_with_redis_down_is_a_warning(
    tiny_bundle: Bundle, embedded_broker: EmbeddedBroker, unused_address: str
) -> None:
    route = make_route(embedded_broker, "doctor")
    done = labelstream(
        *("doctor", "--broker", embedded_broker.address, "--bundle", tiny_bundle.path, "--web-port", 0),
        *("--input-topic", route, "--output-topic", f"{route}.labels", "--dead-topic", f"{route}.dead"),
        *("--redis-url", f"redis://{unused_address}/0"),
    )
    refused(done, 0, "redis", "warn", "runs without it", "redis_url")


@pytest.mark.parametrize("command", ["worker", "doctor"])
def test_bundle_missing(command: str, embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    route = make_route(embedded_broker, "missing")
    done = labelstream(
        *(
            command,
            "--broker",
            embedded_broker.address,
            "--bundle",
            "none",
            "--bundle-store",
            tmp_path,
            "--web-port",
            0,
        ),
        *("--input-topic", route, "--output-topic", f"{route}.labels", "--dead-topic", f"{route}.dead"),
    )
    refused(done, 3, "bundle 'none' was not found", "labelstream train")


@pytest.mark.parametrize("command", ["worker", "doctor"])
@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json", "reference.npz"])
def test_a_changed_byte_names_the_file(
    command: str, name: str, tiny_bundle: Bundle, embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    route = make_route(embedded_broker, "changed")
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bundle.path, copy)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    done = labelstream(
        *(command, "--broker", embedded_broker.address, "--bundle", copy, "--web-port", 0),
        *("--input-topic", route, "--output-topic", f"{route}.labels", "--dead-topic", f"{route}.dead"),
    )
    refused(done, 3, f"{name} in the bundle", "was changed", "SHA-256")


@pytest.mark.parametrize("command", ["worker", "doctor"])
def test_an_unknown_setting(command: str) -> None:
    done = labelstream(command, LABELSTREAM_BROKR="x:1")
    refused(
        done,
        2,
        "error: unknown setting in the environment: LABELSTREAM_BROKR",
        "fix: did you mean LABELSTREAM_BROKER?",
    )


def test_an_unknown_flag() -> None:
    refused(labelstream("worker", "--brokr", "x:1"), 2, "--brokr")


@pytest.mark.parametrize("command", ["worker", "doctor"])
def test_a_device_that_is_not_available(
    command: str, tiny_bundle: Bundle, embedded_broker: EmbeddedBroker
) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA; run with the extra cpu to see the refusal")
    route = make_route(embedded_broker, "device")
    done = labelstream(
        *(
            command,
            "--broker",
            embedded_broker.address,
            "--bundle",
            tiny_bundle.path,
            "--web-port",
            0,
            "--device",
            "cuda",
        ),
        *("--input-topic", route, "--output-topic", f"{route}.labels", "--dead-topic", f"{route}.dead"),
    )
    refused(done, 7, "device cuda is not available", "--device auto")


def test_a_taken_web_port(tiny_bundle: Bundle, embedded_broker: EmbeddedBroker) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = labelstream(
            "worker", "--broker", embedded_broker.address, "--bundle", tiny_bundle.path, "--web-port", port
        )
    refused(done, 2, f"cannot listen on 127.0.0.1:{port}", "--web-port")
