"""Provenance of a figure: machine, library versions and date."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

LIBRARIES = (
    "faust-streaming",
    "aiokafka",
    "confluent-kafka",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "torch",
    "transformers",
)


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def cpu_model() -> str:
    """Return the name of the processor."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions(names: Sequence[str] = LIBRARIES) -> list[str]:
    """Return the versions of Python and of installed libraries, without importing them."""
    described = [f"Python {platform.python_version()}"]
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):
            described.append(f"{name} {importlib.metadata.version(name)}")
    return described


def provenance(command: str, repeats: int, extra: list[str]) -> str:
    """Return the closing paragraph of a section: date, machine, versions and the command that repeats it."""
    cores = usable_cores()
    machine = f"{cores} cores of {cpu_model()}, shared by all processes of a row"
    parts = [f"{datetime.now(UTC):%Y-%m-%d}", machine, *extra, *versions(), f"{repeats} repeats"]
    return f"<sub>{'; '.join(parts)}. `{command}`</sub>"
