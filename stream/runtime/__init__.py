"""Who multiplies: sessions that turn padded token ids into logits."""

from stream.runtime.base import Logits, Padded, Runtime
from stream.runtime.choice import Choice, check_device, choose, usable_devices, verifiable
from stream.runtime.cores import usable_cores
from stream.runtime.onnx import OnnxRuntime
from stream.runtime.opening import open_runtimes
from stream.runtime.priority import give_way
from stream.runtime.warm_up import warm_shapes

__all__ = [
    "Choice",
    "Logits",
    "OnnxRuntime",
    "Padded",
    "Runtime",
    "check_device",
    "choose",
    "give_way",
    "open_runtimes",
    "usable_cores",
    "usable_devices",
    "verifiable",
    "warm_shapes",
]
