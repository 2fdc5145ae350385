"""ONNX Runtime: a session on CPU, CUDA or TensorRT."""

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
from stream.errors import DeviceError
from stream.runtime.base import ALIKE_ON_CPU, Logits, Padded, PaddedCost
from stream.runtime.choice import variant_entry
from stream.runtime.cores import usable_cores
from stream.runtime.machine import PROVIDERS

# Tensor cores work on multiples of eight, and TensorRT plans for shapes.
GPU_PAD_MULTIPLE = 8
# Severity from which ONNX Runtime writes; what is less is of no use to whoever runs a worker.
ERRORS = 3
# Where onnxruntime goes with the parts of a graph that a provider does not take.
FALLS_BACK_TO = {"cpu": (), "cuda": ("cpu",), "tensorrt": ("cuda", "cpu")}


class OnnxRuntime:
    """A session of ONNX Runtime over one file of a bundle."""

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
            bundle: a checked bundle.
            variant: a name in the manifest's variants.
            device: cpu, cuda or tensorrt.
            threads: most threads of one inference on the CPU; default: the cores this process may use.
            device_id: which GPU, counted as CUDA counts them.

        Raises:
            DeviceError: the session cannot be opened there, or silently fell back to another device.
        """
        entry = variant_entry(bundle.manifest, variant)
        assert entry is not None, "choose() only returns variants that the bundle has"
        if device != "cpu":
            _load_cuda_libraries()
        wanted = PROVIDERS[device]
        onnxruntime.set_default_logger_severity(ERRORS)
        try:
            self._session = onnxruntime.InferenceSession(
                os.fspath(bundle.path / entry.file),
                sess_options=session_options(threads or usable_cores()),
                providers=[
                    (PROVIDERS[name], provider_options(name, entry.precision, device_id))
                    for name in (device, *FALLS_BACK_TO[device])
                ],
                # A second try on the CPU would only hide what the first one said.
                enable_fallback=0,
            )
        except Exception as exc:
            raise DeviceError(
                f"the model's {variant} could not be loaded on {device}",
                cause=(str(exc).strip() or type(exc).__name__).splitlines()[0],
                fix="check the driver, or use --device cpu" if device != "cpu" else "use another --variant",
            ) from exc
        self.provider = self._session.get_providers()[0]
        if self.provider != wanted:
            raise DeviceError(
                f"device {device} was asked for, but onnxruntime fell back to {self.provider}",
                cause="the driver or its libraries (CUDA, cuDNN, TensorRT) could not be loaded",
                fix="install what the installed onnxruntime wants, or use --device cpu",
            )
        self.device = device
        self.pad_multiple = 1 if device == "cpu" else GPU_PAD_MULTIPLE
        self.kept_shapes: Sequence[tuple[int, int]] = ()
        self.padded_cost: PaddedCost = np.multiply
        self.max_same_shape_batches = ALIKE_ON_CPU if device == "cpu" else 1
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._device_id = device_id

    def beside(self) -> "OnnxRuntime":
        """The same session for another thread: weights and pool are there once, callers compute at once."""
        return copy.copy(self)

    def infer(self, inputs: Padded) -> Logits:
        """Compute logits, float32 [rows, labels] or [rows, tokens, labels], of the graph's inputs."""
        taken = {name: inputs[name] for name in self._inputs}
        if self.device == "cpu":
            (logits,) = self._session.run(["logits"], taken)
        else:
            logits = run_bound(self._session, taken, "cuda", self._device_id)
        return np.asarray(logits, dtype=np.float32)


def run_bound(session: Any, inputs: Padded, memory: str, device_id: int) -> Logits:
    """Run with inputs copied to the device once and logits copied back once, float32.

    Args:
        session: an InferenceSession.
        inputs: an array for every input of the graph.
        memory: where the provider computes: cuda, or cpu.
        device_id: which of them.
    """
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array, memory, device_id))
    binding.bind_output("logits", "cpu")
    session.run_with_iobinding(binding)
    logits: Logits = binding.copy_outputs_to_cpu()[0]
    return logits


def session_options(threads: int) -> Any:
    """Options of a session whose single inference uses so many threads."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin between operators take the cores that the event loop reads and publishes on: up to a
    # fifth faster on an idle machine, 0.6 times as fast on a shared one (docs/adr/0007).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A pattern is kept for every shape that ever came, which is memory that grows and no time that is saved.
    options.enable_mem_pattern = False
    options.log_severity_level = ERRORS
    return options


def provider_options(device: str, precision: str, device_id: int) -> dict[str, str]:
    """Options of a provider, as strings, for a file of this precision."""
    if device == "cuda":
        # TF32 keeps ten bits of a float32's mantissa; what is called fp32 has to stay within its tolerance.
        return {"device_id": str(device_id), "use_tf32": "0"}
    if device == "tensorrt":
        return {
            "device_id": str(device_id),
            "trt_fp16_enable": str(precision == "fp16"),
            # A cache would have to be keyed by bundle, driver and GPU to be safe.
            "trt_engine_cache_enable": "False",
        }
    return {}


@functools.cache
def _load_cuda_libraries() -> None:
    """Let onnxruntime find CUDA and cuDNN where pip installed them, in versions of it that can."""
    if hasattr(onnxruntime, "preload_dlls"):
        # It prints what it did not find; the session then says so in one line.
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
