"""Who multiplies: sessions that turn padded token ids into logits."""

from stream.runtime.base import Padded, Runtime
from stream.runtime.onnx import OnnxRuntime, choose_device, choose_variant, usable_cores

__all__ = ["OnnxRuntime", "Padded", "Runtime", "choose_device", "choose_variant", "usable_cores"]
