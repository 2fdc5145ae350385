"""The devices that this machine can use, and the obstacles that prevent the use of others."""

import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import onnxruntime

from stream.errors import install_hint

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
DEVICES = (*PROVIDERS, "openvino")
# The device files of the NVIDIA driver on Linux, and on Linux under Windows.
DRIVER_FILES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


@dataclass(frozen=True, slots=True)
class Obstacle:
    """The reason why a device cannot be used, and the fix, one line each."""

    cause: str
    fix: str


class Machine(Protocol):
    """The properties of a machine on which the choice of a device depends."""

    def obstacle(self, device: str) -> Obstacle | None:
        """Return the reason why `device` cannot be used; None if it can, as far as is known."""

    def has_bf16(self) -> bool:
        """Return True if OpenVINO computes in bf16 on this CPU; called only if openvino can be used."""


class LocalMachine:
    """The machine that this process runs on.

    A driver whose libraries do not load is detected only when a session is opened. The session then raises an
    error, because a worker that silently runs on the CPU of a GPU machine would go unnoticed.
    """

    def obstacle(self, device: str) -> Obstacle | None:
        """Return the reason why `device` cannot be used on this machine."""
        if device == "openvino":
            if importlib.util.find_spec("openvino") is None:
                return Obstacle("the package openvino is not installed", install_hint("cpu", "openvino"))
            return None
        if PROVIDERS[device] not in onnxruntime.get_available_providers():
            return Obstacle(
                f"the installed onnxruntime {onnxruntime.__version__} has no {PROVIDERS[device]}",
                f"on a machine with an NVIDIA GPU, replace the extra cpu by gpu ({install_hint('gpu')}); "
                "otherwise use --device auto",
            )
        if device != "cpu" and not any(file.exists() for file in DRIVER_FILES):
            return Obstacle(
                "no NVIDIA driver was found",
                "install the driver (in a container: run it with --gpus all), or use --device auto",
            )
        return None

    def has_bf16(self) -> bool:
        """Return True if OpenVINO lists bf16 among the capabilities of this CPU."""
        return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def import_openvino() -> Any:
    """Import and return the package openvino, without its telemetry."""
    disable_openvino_telemetry()
    import openvino

    return openvino


def disable_openvino_telemetry() -> None:
    """Disable the telemetry of openvino and nncf; call this before either of them is imported."""
    # None makes the import of a module fail, and both packages work without this one.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def gpu_count() -> int:
    """Return the number of NVIDIA GPUs that this process may use, at least 1.

    CUDA_VISIBLE_DEVICES decides, or the driver's device files if it is not set.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return max(1, len([name for name in visible.split(",") if name.strip()]))
    return max(1, sum(bool(re.fullmatch(r"nvidia\d+", file.name)) for file in Path("/dev").glob("nvidia*")))
