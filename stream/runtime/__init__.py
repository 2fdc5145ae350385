"""Inference sessions: they compute logits from padded token ids on a CPU or GPU.

These names are the public interface of the package. The modules that need ONNX Runtime are imported on first
use of one of their names, so that reading training data or printing a help text does not load the library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stream.runtime.base import GraphInput, Integers, Logits, PaddedBatch, PaddedCost, Runtime
from stream.runtime.cores import CoreUse, lower_thread_priority, usable_cores
from stream.runtime.shapes import warm_up_shapes

if TYPE_CHECKING:
    from stream.runtime.choice import Choice, check_device, choose, runnable_choices, usable_devices
    from stream.runtime.machine import disable_openvino_telemetry
    from stream.runtime.onnx import OnnxRuntime
    from stream.runtime.opening import open_runtimes
    from stream.runtime.openvino import open_openvino_runtimes
    from stream.runtime.usual import usual_choices

__all__ = [
    "Choice",
    "CoreUse",
    "GraphInput",
    "Integers",
    "Logits",
    "OnnxRuntime",
    "PaddedBatch",
    "PaddedCost",
    "Runtime",
    "check_device",
    "choose",
    "disable_openvino_telemetry",
    "lower_thread_priority",
    "open_openvino_runtimes",
    "open_runtimes",
    "runnable_choices",
    "usable_cores",
    "usable_devices",
    "usual_choices",
    "warm_up_shapes",
]

_LAZY = {
    "Choice": "choice",
    "OnnxRuntime": "onnx",
    "check_device": "choice",
    "choose": "choice",
    "disable_openvino_telemetry": "machine",
    "open_openvino_runtimes": "openvino",
    "open_runtimes": "opening",
    "runnable_choices": "choice",
    "usable_devices": "choice",
    "usual_choices": "usual",
}


def __getattr__(name: str) -> Any:
    """Import the module of a lazy name."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
