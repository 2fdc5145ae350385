"""Runs of the real `labelstream train` command in its own process, and their records."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from benchmarks.quality.sets import Options, QualitySet, Run
from tests.real.machine import cpu_model, usable_cores, versions

LIBRARIES = ("torch", "transformers", "onnxruntime", "openvino", "onnxscript", "scikit-learn")
QUICK: Options = {"epochs": 1}


class FailedError(Exception):
    """The command failed, or there is no record of an earlier run."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The record of a training run, besides its bundle.

    Attributes:
        command: the words of the command, with DATA and WORK for the folders.
        seconds: the duration of the process.
        bundle: the folder of the bundle.
        provenance: date, machine and versions.
        left_out: the output lines on variants that the parity gate rejected.
    """

    command: list[str]
    seconds: float
    bundle: str
    provenance: list[str]
    left_out: list[str]


def flags(options: Options) -> list[str]:
    """Convert options to command-line flags; tuples are joined with commas, false values are omitted."""
    words: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif value is not False and value is not None:
            words += [flag, ",".join(value) if isinstance(value, tuple) else f"{value}"]
    return words


def train_command(quality_set: QualitySet, run: Run, source: str, *, quick: bool = False) -> list[str]:
    """Return the command of a run, with DATA and WORK for the folders."""
    options = {**quality_set.reading, **run.options, **quality_set.learning, **(QUICK if quick else {})}
    run_options = {"seed": run.seed, "name": run.name, "bundle_store": "WORK/bundles"}
    return ["labelstream", "train", source, *flags({**options, **run_options})]


def resolve_folders(words: Sequence[str], data: Path, work: Path) -> list[str]:
    """Replace DATA and WORK at the beginning of words by the folders."""
    folders = {"DATA": str(data), "WORK": str(work)}
    partitioned = [(word, *word.partition("/")) for word in words]
    return [
        f"{folders[head]}{slash}{rest}" if head in folders else word
        for word, head, slash, rest in partitioned
    ]


def train(words: list[str], run: Run, data: Path, work: Path) -> RunRecord:
    """Run a training, show its output, and save its record.

    Raises:
        FailedError: the command failed.
    """
    started = time.monotonic()
    log = work / "runs" / f"{run.name}.log"
    run_command(resolve_folders(words, data, work), log)
    seconds = time.monotonic() - started
    version = (work / "bundles" / run.name / "latest").read_text().strip()
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    record = RunRecord(
        words,
        seconds,
        str(work / "bundles" / run.name / version),
        [f"{datetime.now(UTC):%Y-%m-%d}", f"{usable_cores()} cores of {cpu_model()}", *versions(LIBRARIES)],
        skipped_variants(lines),
    )
    _record_file(run, work).write_bytes(orjson.dumps(asdict(record)))
    return record


def skipped_variants(lines: Sequence[str]) -> list[str]:
    """Return the output lines on variants that the parity gate rejected."""
    return [line for line in lines if line.startswith("variant ") and " is skipped: " in line]


def load_record(run: Run, work: Path) -> RunRecord:
    """Load the record of an earlier run of the same name.

    Raises:
        FailedError: there is no such record.
    """
    with suppress(FileNotFoundError):
        return RunRecord(**orjson.loads(_record_file(run, work).read_bytes()))
    raise FailedError(f"{run.name} was not trained yet in {work}")


def run_command(words: Sequence[str], log: Path) -> None:
    """Run a `labelstream` command of this source tree; its output is shown and written to a file.

    Raises:
        FailedError: the command failed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if sys.stdout.isatty():
        # The command writes to a pipe, for which rich would disable progress bars.
        environment |= {"FORCE_COLOR": "1", "COLUMNS": str(os.get_terminal_size().columns)}
    else:
        environment["COLUMNS"] = "400"
    child = subprocess.Popen(
        [sys.executable, "-m", "stream", *words[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
    )
    assert child.stdout is not None
    try:
        with log.open("wb") as log_file:
            while chunk := os.read(child.stdout.fileno(), 65536):
                log_file.write(chunk)
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
        code = child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if code != 0:
        raise FailedError(f"labelstream {words[1]} failed with exit code {code}; output: {log}")


def _record_file(run: Run, work: Path) -> Path:
    return work / "runs" / f"{run.name}.json"
