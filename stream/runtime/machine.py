"""Which devices this machine can use, and if not, why not and what enables it."""

import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import onnxruntime

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
DEVICES = (*PROVIDERS, "openvino")
# The driver's device files: of Linux, and of Linux under Windows.
DRIVER_FILES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a device cannot be used, and the fix, one line each."""

    cause: str
    fix: str


class Machine(Protocol):
    """What a choice of device rests on."""

    def problem(self, device: str) -> Problem | None:
        """Why `device` cannot be used here; None when nothing speaks against it."""

    def has_bf16(self) -> bool:
        """Whether OpenVINO computes in bf16 on this CPU; asked only if openvino can be used."""


class ThisMachine:
    """The machine that this process runs on.

    A driver whose libraries do not load is found out only when a session is opened; that is an error then,
    because a worker that quietly runs on the CPU of a GPU machine is one nobody looks at.
    """

    def problem(self, device: str) -> Problem | None:
        """Why `device` cannot be used here."""
        if device == "openvino":
            if importlib.util.find_spec("openvino") is None:
                return Problem(
                    "the package openvino is not installed", "pip install 'labelstream[cpu,openvino]'"
                )
            return None
        if PROVIDERS[device] not in onnxruntime.get_available_providers():
            return Problem(
                f"the installed onnxruntime {onnxruntime.__version__} has no {PROVIDERS[device]}",
                "pip install 'labelstream[gpu]' in place of [cpu] on a machine with an NVIDIA GPU, "
                "or use --device auto",
            )
        if device != "cpu" and not any(file.exists() for file in DRIVER_FILES):
            return Problem(
                "no NVIDIA driver was found",
                "install the driver (in a container: run it with --gpus all), or use --device auto",
            )
        return None

    def has_bf16(self) -> bool:
        """Whether OpenVINO names bf16 among this CPU's abilities."""
        return "BF16" in load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def load_openvino() -> Any:
    """The package openvino, without its telemetry."""
    keep_quiet()
    import openvino

    return openvino


def keep_quiet() -> None:
    """Keep openvino and nncf from telling their maker of every import, if called before both are imported."""
    # None makes the import of a module fail; both then go without it.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def gpu_count() -> int:
    """NVIDIA GPUs that this process may use, at least one: CUDA_VISIBLE_DEVICES, or the device files."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return max(1, len([name for name in visible.split(",") if name.strip()]))
    return max(1, sum(bool(re.fullmatch(r"nvidia\d+", file.name)) for file in Path("/dev").glob("nvidia*")))
