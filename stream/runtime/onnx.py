"""ONNX Runtime sessions on CPU, CUDA or TensorRT."""

import contextlib
import copy
import functools
import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime

from stream.bundle import Bundle
from stream.errors import BundleError, DeviceError
from stream.runtime.base import CPU_SAME_SHAPE_BATCHES, Logits, PaddedBatch, PaddedCost
from stream.runtime.choice import variant_entry
from stream.runtime.cores import usable_cores
from stream.runtime.machine import PROVIDERS

# Tensor cores work on multiples of eight, and TensorRT compiles for each shape.
GPU_PAD_MULTIPLE = 8
# The log severity of ONNX Runtime: its warnings do not help an operator.
LOG_ERRORS = 3
# The errors of ONNX Runtime for which the file is at fault, not the device. On a GPU, the other three also
# stand for a driver that does not work.
INVALID_MODEL = frozenset(("InvalidGraph", "InvalidProtobuf"))
INVALID_MODEL_OR_DATA = INVALID_MODEL | {"Fail", "InvalidArgument", "NoSuchFile"}
# The devices that compute the parts of a graph that a provider does not support.
FALLBACK_DEVICES = {"cpu": (), "cuda": ("cpu",), "tensorrt": ("cuda", "cpu")}


class OnnxRuntime:
    """A session of ONNX Runtime for one file of a bundle."""

    def __init__(
        self,
        bundle: Bundle,
        variant: str,
        device: str = "cpu",
        threads: int | None = None,
        device_id: int = 0,
    ) -> None:
        """Open the session.

        Args:
            bundle: a verified bundle.
            variant: the name of a variant in the manifest.
            device: cpu, cuda or tensorrt.
            threads: the maximum threads of one inference on the CPU; default: the usable cores.
            device_id: the number of the GPU in CUDA's order.

        Raises:
            BundleError: the file is not a model, or was changed since it was verified.
            DeviceError: the session cannot be opened on the device, or it silently fell back to another one.
        """
        entry = variant_entry(bundle.manifest, variant)
        assert entry is not None, "choose() only returns variants that the bundle has"
        if device != "cpu":
            _load_cuda_libraries()
        expected = PROVIDERS[device]
        onnxruntime.set_default_logger_severity(LOG_ERRORS)
        try:
            self._session = onnxruntime.InferenceSession(
                os.fspath(bundle.path / entry.file),
                sess_options=session_options(threads or usable_cores()),
                providers=[
                    (PROVIDERS[name], provider_options(name, entry.precision, device_id))
                    for name in (device, *FALLBACK_DEVICES[device])
                ],
                # A second attempt on the CPU would hide the error of the first one.
                enable_fallback=0,
            )
        except Exception as exc:
            message = f"the variant {variant} cannot be loaded on {device}"
            cause = f"{entry.file}: {(str(exc).strip() or type(exc).__name__).splitlines()[0]}"
            if type(exc).__name__ in (INVALID_MODEL if device != "cpu" else INVALID_MODEL_OR_DATA):
                raise BundleError(message, cause=cause, fix="export the bundle again") from exc
            raise DeviceError(
                message,
                cause=cause,
                fix="check the driver, or use --device cpu" if device != "cpu" else "use another --variant",
            ) from exc
        bundle.check_unchanged()
        self.provider = self._session.get_providers()[0]
        if self.provider != expected:
            raise DeviceError(
                f"device {device} was requested, but onnxruntime fell back to {self.provider}",
                cause="the driver or its libraries (CUDA, cuDNN, TensorRT) cannot be loaded",
                fix="install the versions that the installed onnxruntime requires, or use --device cpu",
            )
        self.device = device
        self.pad_multiple = 1 if device == "cpu" else GPU_PAD_MULTIPLE
        self.bucket_shapes: Sequence[tuple[int, int]] = ()
        self.padded_cost: PaddedCost = np.multiply
        self.max_same_shape_batches = CPU_SAME_SHAPE_BATCHES if device == "cpu" else 1
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._device_id = device_id

    def with_shared_session(self) -> "OnnxRuntime":
        """Return a runtime for another thread that shares this session, its weights and its thread pool."""
        return copy.copy(self)

    def infer(self, inputs: PaddedBatch) -> Logits:
        """Compute the logits of a batch, float32 [rows, labels] or [rows, tokens, labels]."""
        taken = {name: inputs[name] for name in self._inputs}
        if self.device == "cpu":
            (logits,) = self._session.run(["logits"], taken)
        else:
            logits = run_with_io_binding(self._session, taken, "cuda", self._device_id)
        return np.asarray(logits, dtype=np.float32)


def run_with_io_binding(session: Any, inputs: PaddedBatch, memory: str, device_id: int) -> Logits:
    """Run a session; copy the inputs to the device once and the logits, float32, back once.

    Args:
        session: an InferenceSession.
        inputs: an array for each input of the graph.
        memory: the memory in which the provider computes, cuda or cpu.
        device_id: the number of the device.
    """
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array, memory, device_id))
    binding.bind_output("logits", "cpu")
    session.run_with_iobinding(binding)
    logits: Logits = binding.copy_outputs_to_cpu()[0]
    return logits


def session_options(threads: int) -> Any:
    """Return session options with that many threads for one inference."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin between operators occupy the cores of the event loop. Spinning is up to 20% faster on
    # an idle machine, and 40% slower on a shared one (docs/adr/0007).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # ONNX Runtime would keep a pattern for every shape, which costs memory and saves no time.
    options.enable_mem_pattern = False
    options.log_severity_level = LOG_ERRORS
    return options


def provider_options(device: str, precision: str, device_id: int) -> dict[str, str]:
    """Return the options of a provider, as strings, for a file of this precision."""
    if device == "cuda":
        # TF32 keeps only ten bits of a float32's mantissa, and fp32 would exceed its tolerance.
        return {"device_id": str(device_id), "use_tf32": "0"}
    if device == "tensorrt":
        return {
            "device_id": str(device_id),
            "trt_fp16_enable": str(precision == "fp16"),
            # A safe cache would need keys of bundle, driver and GPU.
            "trt_engine_cache_enable": "False",
        }
    return {}


@functools.cache
def _load_cuda_libraries() -> None:
    """Load the CUDA and cuDNN libraries that pip installed, if this onnxruntime supports it."""
    if hasattr(onnxruntime, "preload_dlls"):
        # The function prints the missing libraries; the session reports them in one line anyway.
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
