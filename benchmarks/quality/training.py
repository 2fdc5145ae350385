"""The real command in a process of its own: its words, its run, and what is kept of it."""

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
from benchmarks.speed.machine import cpu_model, usable_cores, versions

LIBRARIES = ("torch", "transformers", "onnxruntime", "openvino", "optimum-onnx", "scikit-learn")
QUICK: Options = {"epochs": 1}


class FailedError(Exception):
    """The command ended with an error, or nothing is there to be read."""


@dataclass(frozen=True, slots=True)
class Done:
    """What is kept of a training besides its bundle.

    Attributes:
        command: its words, with DATA and WORK for the folders.
        seconds: from start to end of the process.
        bundle: its folder.
        provenance: day, machine and versions.
        left_out: variants that the gate refused, a line each.
    """

    command: list[str]
    seconds: float
    bundle: str
    provenance: list[str]
    left_out: list[str]


def flags(options: Options) -> list[str]:
    """Options as the command line has them; a tuple is joined with commas, a false one is left out."""
    words: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif value is not False and value is not None:
            words += [flag, ",".join(value) if isinstance(value, tuple) else f"{value}"]
    return words


def command(wanted: QualitySet, run: Run, source: str, *, quick: bool = False) -> list[str]:
    """The words of a training, with DATA and WORK for the folders."""
    options = {**wanted.reading, **run.options, **wanted.learning, **(QUICK if quick else {})}
    ends = {"seed": run.seed, "name": run.name, "bundle_store": "WORK/bundles"}
    return ["labelstream", "train", source, *flags({**options, **ends})]


def resolved(words: Sequence[str], data: Path, work: Path) -> list[str]:
    """Words with the folders in place of DATA and WORK at their beginning."""
    folders = {"DATA": str(data), "WORK": str(work)}
    parted = [(word, *word.partition("/")) for word in words]
    return [
        f"{folders[head]}{slash}{rest}" if head in folders else word for word, head, slash, rest in parted
    ]


def train(words: list[str], run: Run, data: Path, work: Path) -> Done:
    """Run a training, showing its own output, and keep what came of it.

    Raises:
        FailedError: it ended with an error.
    """
    started = time.monotonic()
    log = work / "runs" / f"{run.name}.log"
    run_command(resolved(words, data, work), log)
    seconds = time.monotonic() - started
    version = (work / "bundles" / run.name / "latest").read_text().strip()
    told = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    done = Done(
        words,
        seconds,
        str(work / "bundles" / run.name / version),
        [f"{datetime.now(UTC):%Y-%m-%d}", f"{usable_cores()} cores of {cpu_model()}", *versions(LIBRARIES)],
        [line for line in told if "is skipped" in line],
    )
    _file(run, work).write_bytes(orjson.dumps(asdict(done)))
    return done


def earlier(run: Run, work: Path) -> Done:
    """What an earlier training of the same name came to.

    Raises:
        FailedError: there was none.
    """
    with suppress(FileNotFoundError):
        return Done(**orjson.loads(_file(run, work).read_bytes()))
    raise FailedError(f"{run.name} was not trained yet in {work}")


def run_command(words: Sequence[str], log: Path) -> None:
    """Run `labelstream …` of this source tree; its output goes on as it comes, and into a file.

    Raises:
        FailedError: it ended with an error.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if sys.stdout.isatty():
        # What is copied would else be taken for a file's, without bars.
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
        with log.open("wb") as kept:
            while some := os.read(child.stdout.fileno(), 65536):
                kept.write(some)
                sys.stdout.buffer.write(some)
                sys.stdout.buffer.flush()
        code = child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if code != 0:
        raise FailedError(f"labelstream {words[1]} ended with {code}; its output: {log}")


def _file(run: Run, work: Path) -> Path:
    return work / "runs" / f"{run.name}.json"
