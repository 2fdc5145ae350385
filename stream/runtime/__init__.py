"""Inference sessions: they compute logits from padded token ids on a CPU or GPU.

These names are the public interface of the package.
"""

from stream.runtime.base import Logits, PaddedBatch, Runtime
from stream.runtime.choice import Choice, check_device, choose, runnable_choices, usable_devices
from stream.runtime.cores import lower_thread_priority, usable_cores
from stream.runtime.machine import disable_openvino_telemetry
from stream.runtime.onnx import OnnxRuntime
from stream.runtime.opening import open_runtimes
from stream.runtime.openvino import open_openvino_runtimes
from stream.runtime.shapes import warm_up_shapes

__all__ = [
    "Choice",
    "Logits",
    "OnnxRuntime",
    "PaddedBatch",
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
    "warm_up_shapes",
]
