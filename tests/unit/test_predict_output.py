"""`labelstream predict --output`: the old file stays until the new one is complete."""

import csv
import fcntl
import gzip
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from io import RawIOBase
from pathlib import Path

import cramjam
import orjson
import pytest

from stream.bundle import Bundle
from stream.errors import LabelstreamError, UsageError
from stream.predict import run as prediction_run
from tests.real.kinds import BY_NAME, make_bundle_of
from tests.real.wait import until
from tests.unit.predict_command import run

OLD = "yesterday's rows\n"
ROWS = 200_000
DEADLINE_S = 60


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle_of(BY_NAME["single"], tmp_path_factory.mktemp("store"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "in.csv"
    file.write_text("text\nmy card\nrefund\n")
    return file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _itself(source: Path) -> Path:
    return source


def _dotted(source: Path) -> Path:
    return source.parent / "." / source.name


def _hard_link(source: Path) -> Path:
    link = source.with_name("hard.csv")
    link.hardlink_to(source)
    return link


def _soft_link(source: Path) -> Path:
    link = source.with_name("soft.csv")
    link.symlink_to(source.name)
    return link


@pytest.mark.parametrize("other_name", [_itself, _dotted, _hard_link, _soft_link])
def test_an_output_that_is_the_input_is_refused_and_the_input_kept(
    bundle: Bundle, source: Path, other_name: Callable[[Path], Path]
) -> None:
    content = source.read_bytes()
    output = other_name(source)
    with pytest.raises(UsageError, match="is an input") as raised:
        run(bundle, "--input", source, "--output", output)
    assert raised.value.exit_code == 2
    assert source.read_bytes() == content


def test_an_output_that_is_the_settings_file_is_refused(bundle: Bundle, source: Path, tmp_path: Path) -> None:
    config = tmp_path / "labelstream.toml"
    config.write_text("top_k = 2\n")
    with pytest.raises(UsageError, match="is an input"):
        run(bundle, "--input", source, "--config", config, "--output", config)
    assert config.read_text() == "top_k = 2\n"


def test_an_output_inside_the_bundle_is_refused(bundle: Bundle, source: Path) -> None:
    for name in ("labelstream.json", "labels.jsonl", "onnx/model.onnx"):
        with pytest.raises(UsageError, match="cannot write") as raised:
            run(bundle, "--input", source, "--output", bundle.path / name)
        assert "inside the bundle single@1" in raised.value.cause
    assert run(bundle, "--text", "my card").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--text-column", "other"),
        ("--variant", "int8"),
        ("--device", "cuda"),
    ],
)
def test_a_refused_run_keeps_the_old_output(
    bundle: Bundle, source: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text(OLD)
    with pytest.raises(LabelstreamError):
        run(bundle, "--input", source, "--output", out, *arguments)
    assert out.read_text() == OLD
    assert names(tmp_path) == ["in.csv", "out.jsonl"]


def test_an_error_in_the_last_row_keeps_the_old_output(bundle: Bundle, tmp_path: Path) -> None:
    broken, out = tmp_path / "in.csv", tmp_path / "out.csv"
    broken.write_bytes(b"text\n" + b"my card\n" * 2_000 + b"\xff\xfe\n")
    out.write_text(OLD)
    with pytest.raises(UsageError, match="cannot be read"):
        run(bundle, "--input", broken, "--output", out)
    assert out.read_text() == OLD
    assert names(tmp_path) == ["in.csv", "out.csv"]


def test_a_missing_folder_is_refused_before_the_model_loads(
    bundle: Bundle, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def load(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(prediction_run, "open_model", load)
    with pytest.raises(UsageError, match="cannot write") as raised:
        run(bundle, "--input", source, "--output", tmp_path / "missing" / "out.csv")
    assert "mkdir -p" in raised.value.fix


@pytest.mark.parametrize("name", ["a.orc", "a.XLSX", "a.tar.gz", "a.csv.zip", "a.jsonl.bz2", "a.arrow.zst"])
def test_a_suffix_of_another_format_is_refused_by_name(
    bundle: Bundle, source: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match="cannot write") as raised:
        run(bundle, "--input", source, "--output", tmp_path / name)
    assert "files are not supported" in raised.value.cause
    assert names(tmp_path) == ["in.csv"]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".json", "", ".zip.labels"])
def test_compressed_outputs_hold_the_plain_output(
    bundle: Bundle, source: Path, tmp_path: Path, suffix: str
) -> None:
    outputs = [tmp_path / f"out{suffix}{compression}" for compression in ("", ".gz", ".ZST")]
    for output in outputs:
        run(bundle, "--input", source, "--output", output)
    plain, packed, zstd = (output.read_bytes() for output in outputs)
    assert plain.count(b"\n") >= 2
    assert gzip.decompress(packed) == plain
    assert bytes(cramjam.zstd.decompress(zstd)) == plain


def test_a_large_zstd_output_is_complete(bundle: Bundle, tmp_path: Path) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl.zst"
    source.write_text("".join(f"my card {number} {'refund ' * 80}\n" for number in range(3_000)))
    run(bundle, "--input", source, "--output", out)
    lines = bytes(cramjam.zstd.decompress(out.read_bytes())).splitlines()
    assert [orjson.loads(line)["row"] for line in lines] == [*range(1, 3_001)]


def test_tsv_output_has_the_cells_of_the_csv_output(bundle: Bundle, tmp_path: Path) -> None:
    source, tables = tmp_path / "in.jsonl", []
    source.write_bytes(orjson.dumps({"text": 'my\tcard, "twice"\nrefund'}) + b"\n")
    for name, delimiter in (("out.csv", ","), ("out.tsv", "\t")):
        run(bundle, "--input", source, "--output", tmp_path / name)
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            tables.append([*csv.reader(file, delimiter=delimiter)])
    assert tables[0] == tables[1]
    assert tables[0][1][2] == 'my\tcard, "twice"\nrefund'


def test_a_dash_is_standard_output(
    bundle: Bundle, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(bundle, "--input", source, "--output", "-").stdout == run(bundle, "--input", source).stdout
    assert names(tmp_path) == ["in.csv"]


def test_a_full_disk_behind_standard_output_is_named(bundle: Bundle) -> None:
    arguments = [sys.executable, "-m", "stream", "predict", str(bundle.path), "--text", "my card"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "error: cannot write standard output\ncause: No space left on device\nfix: free" in done.stderr
    assert "Traceback" not in done.stderr


def start(bundle: Bundle, source: Path, output: Path) -> subprocess.Popen[str]:
    arguments = [str(bundle.path), "--device", "cpu", "--input", str(source), "--output", str(output)]
    return subprocess.Popen(
        [sys.executable, "-m", "stream", "predict", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def written(folder: Path) -> int:
    """Return the size of the temporary files in a folder."""
    return sum(path.stat().st_size for path in folder.glob(".*.tmp"))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_in_the_middle_keeps_the_old_output(
    bundle: Bundle, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("".join(f"my card {row}\n" for row in range(ROWS)))
    out.write_text(OLD)
    process = start(bundle, source, out)
    try:
        until(lambda: process.poll() is not None or written(tmp_path), DEADLINE_S, "first rows")
        process.send_signal(number)
        _, errors = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code
    assert f"{out} is unchanged" in errors
    assert "rows predicted" in errors
    assert "Traceback" not in errors
    assert out.read_text() == OLD
    assert names(tmp_path) == ["in.txt", "out.jsonl"]


def unread(pipe: RawIOBase) -> int:
    """Return the number of bytes that wait in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_wait_for_a_slow_pipe(
    bundle: Bundle, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    os.mkfifo(source)
    # Opened for reading too, so that neither side waits for the other.
    with source.open("r+b", buffering=0) as slow:
        slow.write(b"my card\n")
        process = start(bundle, source, out)
        try:
            until(lambda: process.poll() is not None or not unread(slow), DEADLINE_S, "read of the pipe")
            process.send_signal(number)
            _, errors = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == code
    assert "interrupted" in errors
    assert names(tmp_path) == ["in.txt"]
