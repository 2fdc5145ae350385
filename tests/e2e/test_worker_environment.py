"""A worker environment without torch: the extra cpu alone verifies a bundle and labels events."""

import subprocess
import sys
from pathlib import Path

import pytest

from stream.bundle import Bundle
from tests.pipeline import event, make_route, tiny_bundle
from tests.real.embedded import EmbeddedBroker
from tests.real.environments import commands_of
from tests.real.reconcile import label_ids
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["tiny_bundle"]

PROJECT = Path(__file__).parents[2]
TRAINER_LIBRARIES = ("torch", "transformers", "optimum", "datasets", "sklearn")


@pytest.fixture(scope="module")
def worker_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with the wheel of this checkout and the extra cpu."""
    folder = tmp_path_factory.mktemp("worker-environment")
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(PROJECT)]
    subprocess.run(wheel, check=True, timeout=200)
    (file,) = folder.glob("labelstream_kafka-*.whl")
    for command in commands_of(folder / "venv", ["-c", str(PROJECT / "constraints.txt"), f"{file}[cpu]"]):
        subprocess.run(command, check=True, timeout=400)
    return folder / "venv" / "bin" / "python"


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_worker_and_verify_run_without_the_trainers_libraries(
    worker_python: Path, tiny_bundle: Bundle, embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    absent = f"import importlib.util as u; print([n for n in {TRAINER_LIBRARIES} if u.find_spec(n)])"
    # In the folder of the checkout Python would import the checkout instead of the wheel.
    result = subprocess.run(
        [worker_python, "-c", absent], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert result.stdout.strip() == "[]"
    command = worker_python.parent / "labelstream"
    verified = subprocess.run(
        [command, "verify", tiny_bundle.path],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    refused = subprocess.run(
        [command, "train", "sample"], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert refused.returncode == 2
    assert "pip install '.[trainer]'" in refused.stderr
    route = make_route(embedded_broker, "bare")
    worker = WorkerProcess(
        embedded_broker.address, tiny_bundle.path, route, python=worker_python, cwd=tmp_path
    )
    with worker:
        embedded_broker.produce(route, *(event(number)[1] for number in range(20)), partition=0)
        until(lambda: sum(embedded_broker.end_offsets(worker.labels).values()) == 20, 60, "20 labels")
        assert label_ids(embedded_broker.records(worker.labels)).total() == 20
        assert worker.stop() == 0
