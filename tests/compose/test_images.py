"""The content of the images, and their behaviour as PID 1."""

import json

import pytest

from tests.compose.stack import docker

pytestmark = [pytest.mark.compose, pytest.mark.slow, pytest.mark.timeout(2400)]

WORKER_LIMIT_BYTES = 1_200_000_000
CODE_LIMIT_BYTES = 10_000_000
NEVER_IN_A_WORKER = {"torch", "transformers", "optimum", "datasets", "scikit-learn", "pytest"}


def inside(image: str, *command: str) -> str:
    """Run a command in a new container without network or writable root."""
    flags = ["--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
    return docker("run", *flags, "--entrypoint", command[0], image, *command[1:])


@pytest.mark.parametrize("name", ["worker-cpu", "trainer", "tests"])
def test_no_image_runs_as_root(images: dict[str, str], name: str) -> None:
    assert inside(images[name], "id", "-u").strip() == "10001"


def test_no_torch_in_the_worker(images: dict[str, str]) -> None:
    listed = json.loads(inside(images["worker-cpu"], "pip", "list", "--format", "json", "--no-index"))
    names = {entry["name"].lower() for entry in listed}
    assert "labelstream-kafka" in names
    assert names.isdisjoint(NEVER_IN_A_WORKER)
    code = "import importlib.util as u; print(u.find_spec('torch'), u.find_spec('onnxruntime') is not None)"
    assert inside(images["worker-cpu"], "python", "-c", code).split() == ["None", "True"]


def test_the_worker_image_is_small(images: dict[str, str]) -> None:
    assert int(docker("image", "inspect", "--format", "{{.Size}}", images["worker-cpu"])) < WORKER_LIMIT_BYTES


@pytest.mark.parametrize("name", ["worker-cpu", "trainer"])
def test_labels_describe_the_image(images: dict[str, str], name: str) -> None:
    (inspected,) = json.loads(docker("image", "inspect", images[name]))
    labels = inspected["Config"]["Labels"]
    version = inside(images[name], "python", "-c", "import stream; print(stream.__version__)").strip()
    assert labels["org.opencontainers.image.version"] == version
    for label in ("title", "description", "licenses", "revision"):
        assert labels[f"org.opencontainers.image.{label}"]
    assert isinstance(inspected["Config"]["Entrypoint"], list)


@pytest.mark.parametrize("name", ["worker-cpu", "trainer"])
def test_a_change_of_code_keeps_the_dependencies(images: dict[str, str], name: str) -> None:
    steps = docker(
        "history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", images[name]
    )
    newest_first = steps.splitlines()
    (dependencies,) = (at for at, line in enumerate(newest_first) if "-r /build/requirements.txt" in line)
    assert sum(int(line.split()[0]) for line in newest_first[:dependencies]) < CODE_LIMIT_BYTES
