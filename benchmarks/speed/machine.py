"""What a figure depends on beside the program: the machine, the versions, the day."""

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
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def cpu_model() -> str:
    """The processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions(names: Sequence[str] = LIBRARIES) -> list[str]:
    """Python and the libraries that decide the figures; read, not imported."""
    told = [f"Python {platform.python_version()}"]
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):
            told.append(f"{name} {importlib.metadata.version(name)}")
    return told


def provenance(command: str, repeats: int, extra: list[str]) -> str:
    """The paragraph under a section: when, where, with what, and how to get it again."""
    cores = usable_cores()
    where = f"{cores} cores of {cpu_model()}, shared by all processes that a row needs"
    parts = [f"{datetime.now(UTC):%Y-%m-%d}", where, *extra, *versions(), f"{repeats} repeats"]
    return f"<sub>{'; '.join(parts)}. `{command}`</sub>"
