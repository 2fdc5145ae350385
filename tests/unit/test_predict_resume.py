"""`labelstream predict --resume`: a killed run continues, and its output is that of an uninterrupted run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream.bundle import Bundle
from stream.errors import UsageError
from stream.predict import parts as prediction_parts
from tests.real.kinds import BY_NAME, make_bundle_of
from tests.unit.predict_command import run

ROWS = 6_000
PART_ROWS = 512
KILLS = 2
DEADLINE_S = 60
# Runs the command with smaller parts.
PROGRAM = f"""
from stream.predict import parts as prediction_parts
prediction_parts.PART_ROWS = {PART_ROWS}
from stream.cli import main
main()
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle_of(BY_NAME["single"], tmp_path_factory.mktemp("store"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return JSON lines with fields that only some rows have, and rows without a prediction."""
    rows = [
        {"text": None if at % 701 == 0 else f"my card {at % 50} " + "refund " * (at % 9), "number": at}
        | ({"label": "a"} if at % 2_003 == 7 else {})
        | ({"input_label": at} if at == ROWS - 2 else {})
        for at in range(ROWS)
    ]
    file = tmp_path / "in.jsonl"
    file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return file


def parts(output: Path) -> list[Path]:
    return sorted(prediction_parts.parts_folder(output).glob("part-*"))


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_time_loses_and_repeats_no_row(
    bundle: Bundle, source: Path, tmp_path: Path
) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    generator = random.Random(seed)
    for suffix in ("jsonl", "csv", "parquet"):
        expected, output = tmp_path / f"expected.{suffix}", tmp_path / f"out.{suffix}"
        run(bundle, "--input", source, "--output", expected)
        arguments = ["predict", str(bundle.path), "--device", "cpu", "--resume", "--input", str(source)]
        words = [sys.executable, "-c", PROGRAM, *arguments, "--output", str(output)]
        for _ in range(KILLS):
            process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
            known, until = len(parts(output)), time.monotonic() + DEADLINE_S
            while len(parts(output)) <= known and process.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            time.sleep(generator.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            if output.exists():
                break
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=DEADLINE_S)
        assert output.read_bytes() == expected.read_bytes()
        assert "rows predicted" in done.stderr
        assert not prediction_parts.parts_folder(output).exists()


@pytest.fixture
def interrupted(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return the input and the output of a run that failed after its first parts."""
    monkeypatch.setattr(prediction_parts, "PART_ROWS", PART_ROWS)
    file, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    times = pa.array([*range(2_000)], pa.timestamp("us"))
    pq.write_table(pa.table({"text": ["my card"] * 2_000, "at": times}), file)
    written = prediction_parts.write_predictions
    calls: list[int] = []

    def fail_late(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise UsageError("stopped")
        written(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(prediction_parts, "write_predictions", fail_late)
    with pytest.raises(UsageError, match="stopped"):
        run(bundle, "--input", file, "--output", output, "--resume")
    monkeypatch.setattr(prediction_parts, "write_predictions", written)
    assert len(parts(output)) == 2
    assert not output.exists()
    return file, output


def test_the_rows_before_an_interruption_are_not_labelled_again(
    bundle: Bundle, interrupted: tuple[Path, Path]
) -> None:
    file, output = interrupted
    result = run(bundle, "--input", file, "--output", output, "--resume")
    assert "1,024 rows labelled before" in result.stderr
    assert "976 rows predicted" in result.stderr
    table = pq.read_table(output)
    assert table["row"].to_pylist() == [*range(1, 2_001)]
    assert table.schema.field("at").type == pa.timestamp("us")


def test_parts_of_another_run_are_refused(bundle: Bundle, interrupted: tuple[Path, Path]) -> None:
    file, output = interrupted
    with pytest.raises(UsageError, match="cannot continue") as raised:
        run(bundle, "--input", file, "--output", output, "--resume", "--scores", "none")
    assert "--scores was None, and is none" in raised.value.cause
    os.utime(file, (1, 1))
    with pytest.raises(UsageError, match="cannot continue") as raised:
        run(bundle, "--input", file, "--output", output, "--resume")
    assert "the input was" in raised.value.cause
    assert len(parts(output)) == 2
    result = run(bundle, "--input", file, "--output", output, "--resume", "--overwrite")
    assert "2,000 rows predicted" in result.stderr


def test_an_error_before_the_first_part_leaves_nothing(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("text\nmy card\n")
    for arguments in (("--text-column", "other"), ("--columns", "other")):
        with pytest.raises(UsageError):
            run(bundle, "--input", file, "--output", tmp_path / "out.jsonl", "--resume", *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_folder_continues_within_a_file(
    bundle: Bundle, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    source.rename(folder / "a.jsonl")
    monkeypatch.setattr(prediction_parts, "PART_ROWS", PART_ROWS)
    run(bundle, "--input", folder, "--output", tmp_path / "other")
    result = run(bundle, "--input", folder, "--output", out, "--resume")
    assert (out / "a.jsonl").read_bytes() == (tmp_path / "other" / "a.jsonl").read_bytes()
    assert "rows predicted" in result.stderr
    assert sorted(path.name for path in out.iterdir()) == [".labelstream-predict.json", "a.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--input", "-", "--output", "out.jsonl"), "needs a file in --input"),
        (("--input", "in.jsonl"), "needs a file in --output"),
        (("--input", "in.jsonl", "--output", "/dev/null"), "needs a file in --output"),
        (("--text", "my card", "--output", "out.jsonl"), "needs a file in --input"),
    ],
)
def test_a_run_that_cannot_be_resumed_is_refused(
    bundle: Bundle, source: Path, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    with pytest.raises(UsageError, match=message):
        run(bundle, *arguments, "--resume")
