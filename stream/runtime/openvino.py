"""OpenVINO on the CPU: one compiled model, several streams."""

from typing import TYPE_CHECKING, Any

import numpy as np

from stream.bundle import Bundle
from stream.errors import DeviceError
from stream.runtime.base import Logits, Padded
from stream.runtime.choice import variant_entry
from stream.runtime.cores import usable_cores
from stream.runtime.machine import load_openvino

if TYPE_CHECKING:
    import openvino

# What surrounds int8 matrix products is computed in float32: bf16 was no faster, and not every CPU has it.
PRECISION_HINTS = {"fp32": "f32", "bf16": "bf16", "int8-static": "f32"}
DEFAULT_STREAMS = 2


class OpenVinoRuntime:
    """One infer request of a compiled model; its owner's thread waits while a stream computes.

    Requests run side by side, each on its stream: what OpenVINO's AsyncInferQueue does inside, with the
    callers' threads in place of a queue of callbacks.
    """

    device = "openvino"

    def __init__(self, request: "openvino.InferRequest", inputs: list[str], provider: str) -> None:
        """Wrap a request.

        Args:
            request: of a compiled model with an output `logits`.
            inputs: names of the model's inputs.
            provider: what computes.
        """
        self.provider = provider
        # Rounding widths up to 8 cost a tenth on short texts and made first passes no faster.
        self.pad_multiple = 1
        self._request = request
        self._inputs = inputs

    def infer(self, inputs: Padded) -> Logits:
        """Compute logits, float32 [rows, labels] or [rows, tokens, labels], of the graph's inputs."""
        # The inputs outlive the call and need no copy; the result belongs to the request and does.
        self._request.infer({name: inputs[name] for name in self._inputs}, share_inputs=True)
        return np.array(self._request.get_tensor("logits").data, dtype=np.float32)


def open_streams(bundle: Bundle, variant: str, streams: int | None = None) -> list[OpenVinoRuntime]:
    """Compile a variant once and return a runtime for each of its streams.

    Args:
        bundle: a checked bundle.
        variant: fp32, or bf16 for the fp32 file computed in bf16, or int8-static.
        streams: inferences side by side; default: 2, or 1 on a single core.

    Raises:
        DeviceError: openvino is not installed, or cannot load the model.
    """
    entry = variant_entry(bundle.manifest, variant)
    assert entry is not None, "choose() only returns variants that the bundle has"
    cores = usable_cores()
    streams = streams or min(DEFAULT_STREAMS, cores)
    try:
        compiled = _compile(str(bundle.path / entry.file), PRECISION_HINTS[variant], streams, cores)
    except ModuleNotFoundError as exc:
        raise DeviceError(
            "device openvino is not available",
            why=f"the Python module {exc.name} is missing",
            mend="pip install 'labelstream[cpu,openvino]'",
        ) from None
    except Exception as exc:
        raise DeviceError(
            f"the model's {variant} could not be loaded on openvino",
            why=(str(exc).strip() or type(exc).__name__).splitlines()[0],
            mend="use --device cpu",
        ) from exc
    names = [port.get_any_name() for port in compiled.inputs]
    provider = f"OpenVINO {','.join(compiled.get_property('EXECUTION_DEVICES'))}"
    return [OpenVinoRuntime(compiled.create_infer_request(), names, provider) for _ in range(streams)]


def _compile(file: str, precision: str, streams: int, threads: int) -> Any:
    core = load_openvino().Core()
    return core.compile_model(
        core.read_model(file),
        "CPU",
        {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
        },
    )
