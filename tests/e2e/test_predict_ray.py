"""`labelstream predict --engine ray` on a local Ray with two actors."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream.bundle import Bundle
from stream.errors import UsageError
from stream.predict.run_record import RECORD_NAME
from tests.real.components import unavailable
from tests.real.tiny_bundle import make_tiny_bundle
from tests.unit.predict_command import run

pytestmark = pytest.mark.slow

RUN_S = 240
SEGMENT_ROWS = 512
# Runs the command with smaller parts, and fails if its process has imported PyTorch.
PROGRAM = f"""
import sys
from stream.predict import ray_run as prediction_ray
from stream.commands.predict import predict
import typer
prediction_ray.SEGMENT_ROWS = {SEGMENT_ROWS}
app = typer.Typer()
app.command()(predict)
app(standalone_mode=False)
assert "torch" not in sys.modules, "PyTorch was imported"
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with files of each format, rows without a prediction and a file without rows."""
    folder = tmp_path_factory.mktemp("in")
    texts = [None if at % 400 == 9 else f"my card {at % 300} " + "refund " * (at % 30) for at in range(2_100)]
    (folder / "deep").mkdir()
    table = pa.table(
        {"text": texts, "id": [*range(2_100)], "at": pa.array([*range(2_100)], pa.timestamp("ms"))}
    )
    pq.write_table(table, folder / "deep" / "a.parquet")
    rows = [
        {"text": text, "stars": at % 5, **({"odd": 1.5} if at == 8 else {})} for at, text in enumerate(texts)
    ]
    (folder / "b.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows[:700])))
    (folder / "c.csv").write_text("text,id\n" + "".join(f"refund {at},x{at}\n" for at in range(100)))
    (folder / "empty.jsonl").touch()
    return folder


def run_on_ray(bundle: Bundle, *arguments: object) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec("ray") is None:
        unavailable("Ray is not installed (pip install -e '.[ray]')")
    words = [str(bundle.path), "--device", "cpu", "--engine", "ray", "--actors", "2", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )


def parts_of(folder: Path) -> list[dict[str, Any]]:
    return [row for part in sorted(folder.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]


@pytest.mark.timeout(2 * RUN_S)
def test_the_predictions_are_those_of_one_machine_also_after_a_crash(
    bundle: Bundle, folder: Path, tmp_path: Path
) -> None:
    local, out = tmp_path / "local", tmp_path / "out"
    arguments = ("--input", folder, "--output-format", "parquet")
    run(bundle, *arguments, "--output", local)
    done = run_on_ray(bundle, *arguments, "--output", out)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 actors" in done.stderr
    names = ("deep/a", "b", "c", "empty")
    expected = {name: pq.read_table(local / f"{name}.parquet") for name in names}
    for name in names:
        assert parts_of(out / name) == expected[name].to_pylist()
        assert pq.read_schema(out / name / "part-000000.parquet") == expected[name].schema
    assert any(row["error"] for row in parts_of(out / "b"))
    assert len([*(out / "deep" / "a").iterdir()]) == 5
    assert (out / "_SUCCESS").exists()

    # The state after a crash: a part is missing, and its file is not recorded as finished.
    (out / "_SUCCESS").unlink()
    (out / "deep" / "a" / "part-000002.parquet").unlink()
    record = out / RECORD_NAME
    lines = [
        line for line in record.read_text().splitlines() if not ("a.parquet" in line and "finished" in line)
    ]
    record.write_text("\n".join(lines) + "\n")
    again = run_on_ray(bundle, *arguments, "--output", out)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "finished before: 3 of 4 files" in again.stderr
    assert "4 parts written before" in again.stderr
    assert parts_of(out / "deep" / "a") == expected["deep/a"].to_pylist()


def test_arguments_that_do_not_fit_the_engine_are_refused(
    bundle: Bundle, folder: Path, tmp_path: Path
) -> None:
    for arguments, message in (
        (("--text", "my card", "--output", "out"), "labels files"),
        (("--input", "-", "--output", "out"), "labels files"),
        (("--input", folder), "needs an output folder"),
        (("--input", folder, "--output", tmp_path, "--output-format", "csv"), "is not valid"),
        (("--input", folder, "--output", tmp_path, "--evaluate-with", "label"), "--evaluate-with cannot"),
    ):
        with pytest.raises(UsageError, match=message):
            run(bundle, "--engine", "ray", *arguments)


def test_a_missing_ray_names_its_extra(
    bundle: Bundle, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="needs Ray") as raised:
        run(bundle, "--engine", "ray", "--input", folder, "--output", tmp_path / "out")
    assert "[ray]" in raised.value.fix
