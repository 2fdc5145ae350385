"""ONNX Runtime: choosing a device and a variant, opening a session, inferring."""

import os
from pathlib import Path

import numpy as np
import onnxruntime

from stream.bundle import Bundle, Manifest
from stream.errors import DeviceError
from stream.runtime.base import Logits, Padded

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
BEST_FOR = {
    "cpu": ("int8", "fp32"),
    "cuda": ("fp16", "fp32"),
    "tensorrt": ("fp16", "fp32"),
    "openvino": ("int8", "fp32"),
}


def usable_cores() -> int:
    """Cores that this process may use, where the system tells, else all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_device(wanted: str) -> str:
    """Resolve `auto` to the best device there is; refuse a device that is not there.

    Raises:
        DeviceError: the wanted device's provider is not part of the installed onnxruntime.
    """
    available = onnxruntime.get_available_providers()
    if wanted == "auto":
        return "cuda" if PROVIDERS["cuda"] in available and _cuda_answers() else "cpu"
    if PROVIDERS[wanted] not in available:
        raise DeviceError(
            f"device {wanted} is not available",
            why=f"the installed onnxruntime {onnxruntime.__version__} offers: {', '.join(available)}",
            mend="pip install 'labelstream[gpu]' on a machine with the driver, or use --device auto",
        )
    return wanted


def _cuda_answers() -> bool:
    return Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()


def choose_variant(manifest: Manifest, wanted: str, device: str) -> str:
    """The variant to load: the wanted one, or the best that the bundle has for the device.

    Raises:
        DeviceError: the bundle lacks the wanted variant.
    """
    if wanted != "auto":
        if wanted in manifest.variants:
            return wanted
        raise DeviceError(
            f"the bundle {manifest.name}@{manifest.version} has no variant {wanted}",
            why=f"it has: {', '.join(sorted(manifest.variants))}",
            mend="use --variant auto, or export that variant",
        )
    for name in BEST_FOR[device]:
        entry = manifest.variants.get(name)
        if entry and entry.device in ("any", device):
            return name
    return next(iter(manifest.variants))


class OnnxRuntime:
    """A session of ONNX Runtime over one file of a bundle."""

    def __init__(self, bundle: Bundle, variant: str, device: str = "cpu", threads: int | None = None) -> None:
        """Open the session.

        Args:
            bundle: a checked bundle.
            variant: a name in the manifest's variants.
            device: cpu, cuda, tensorrt or openvino.
            threads: threads of one inference; default: the cores this process may use.

        Raises:
            DeviceError: the session cannot be opened there, or silently fell back to another device.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        options.log_severity_level = 3
        wanted = PROVIDERS[device]
        try:
            self._session = onnxruntime.InferenceSession(
                str(bundle.path / bundle.manifest.variants[variant].file),
                sess_options=options,
                providers=[wanted] if device == "cpu" else [wanted, PROVIDERS["cpu"]],
            )
        except Exception as exc:
            raise DeviceError(
                f"the model could not be loaded on {device}",
                why=str(exc).splitlines()[0],
                mend="check the driver, or use --device cpu",
            ) from exc
        self.provider = self._session.get_providers()[0]
        if self.provider != wanted:
            raise DeviceError(
                f"device {device} was asked for, but onnxruntime fell back to {self.provider}",
                why="the driver or its libraries (CUDA, cuDNN) could not be loaded",
                mend="install what the installed onnxruntime wants, or use --device auto",
            )
        self.device = device
        self._inputs = [node.name for node in self._session.get_inputs()]

    def infer(self, inputs: Padded) -> Logits:
        """Compute logits, float32 [rows, labels], for int64 [rows, tokens] inputs."""
        (logits,) = self._session.run(["logits"], {name: inputs[name] for name in self._inputs})
        return np.asarray(logits, dtype=np.float32)
