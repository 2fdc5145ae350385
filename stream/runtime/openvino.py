"""OpenVINO on the CPU: one compiled model, several streams."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stream.bundle import Bundle
from stream.errors import DeviceError
from stream.runtime.base import ALIKE_ON_CPU, GraphInput, Logits, Padded, PaddedCost
from stream.runtime.choice import variant_entry
from stream.runtime.cores import usable_cores
from stream.runtime.machine import load_openvino
from stream.runtime.shapes import Shapes

if TYPE_CHECKING:
    import openvino

# What surrounds int8 matrix products is computed in float32: bf16 was no faster, and not every CPU has it.
PRECISION_HINTS = {"fp32": "f32", "bf16": "bf16", "int8-static": "f32"}
DEFAULT_STREAMS = 2
# Rows, tokens, labels.
TOKEN_LOGITS = 3

# For int8 OpenVINO prepares a plan, of megabytes, for each shape. At low load, with batches of a few rows,
# nearly every one had a shape of its own and took two to four times as long; they are filled up to a few.
PLANNED = frozenset(("int8-static",))


class OpenVinoRuntime:
    """One infer request of a compiled model; its owner's thread waits while a stream computes.

    Requests run side by side, each on its stream: what OpenVINO's AsyncInferQueue does inside, with the
    callers' threads in place of a queue of callbacks.
    """

    device = "openvino"

    def __init__(
        self,
        request: "openvino.InferRequest",
        inputs: list[str],
        provider: str,
        *,
        shapes: Shapes | None = None,
        pad_token_id: int = 0,
    ) -> None:
        """Wrap a request.

        Args:
            request: of a compiled model with an output `logits`.
            inputs: names of the model's inputs.
            provider: what computes.
            shapes: what batches are filled up to; None: they are computed as they come.
            pad_token_id: fills rows up.
        """
        self.provider = provider
        # Rounding widths up to 8 cost a tenth on short texts and made first passes no faster.
        self.pad_multiple = 1
        self.kept_shapes: Sequence[tuple[int, int]] = shapes.small if shapes is not None else ()
        self.padded_cost: PaddedCost = shapes.padded_cost if shapes is not None else np.multiply
        self.max_same_shape_batches = ALIKE_ON_CPU
        self._request = request
        self._inputs = inputs
        self._shapes = shapes
        self._pad_token_id = pad_token_id

    def infer(self, inputs: Padded) -> Logits:
        """Compute logits, float32 [rows, labels] or [rows, tokens, labels], of the graph's inputs."""
        rows, width = inputs["input_ids"].shape
        shape = self._shapes.fitting(rows, width) if self._shapes else (rows, width)
        given = {name: self._filled_up(name, inputs[name], shape) for name in self._inputs}
        # The inputs outlive the call and need no copy; the result belongs to the request and does.
        self._request.infer(given, share_inputs=True)
        logits = np.array(self._request.get_tensor("logits").data[:rows], dtype=np.float32)
        return logits[:, :width] if logits.ndim == TOKEN_LOGITS else logits

    def _filled_up(self, name: str, given: GraphInput, shape: tuple[int, int]) -> GraphInput:
        """An input with tokens that are masked, and its last row again, up to a shape (rows, width)."""
        rows, width = shape
        if name == "metadata":
            width = given.shape[1]
        if given.shape == (rows, width):
            return given
        fill = self._pad_token_id if name == "input_ids" else 0
        wider = np.full((len(given), width), fill, dtype=given.dtype)
        wider[:, : given.shape[1]] = given
        # Rows without any token would have a softmax over nothing.
        return wider[np.minimum(np.arange(rows), len(given) - 1)]


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
            cause=f"the Python module {exc.name} is missing",
            fix="pip install 'labelstream[cpu,openvino]'",
        ) from None
    except Exception as exc:
        raise DeviceError(
            f"the model's {variant} could not be loaded on openvino",
            cause=(str(exc).strip() or type(exc).__name__).splitlines()[0],
            fix="use --device cpu",
        ) from exc
    smallest = {port.get_any_name(): _smallest(port) for port in compiled.inputs}
    provider = f"OpenVINO {','.join(compiled.get_property('EXECUTION_DEVICES'))}"
    opened = [
        OpenVinoRuntime(
            compiled.create_infer_request(),
            [*smallest],
            provider,
            shapes=Shapes(bundle.manifest.max_length) if variant in PLANNED else None,
            pad_token_id=bundle.manifest.pad_token_id,
        )
        for _ in range(streams)
    ]
    # Two threads that call the Python binding for the first time at once can wait for each other for ever.
    opened[0].infer(smallest)
    return opened


def _smallest(port: Any) -> GraphInput:
    """One row of one token, or of all columns."""
    lengths = [length.get_length() if length.is_static else 1 for length in port.get_partial_shape()]
    given: GraphInput = np.ones(lengths, dtype=port.get_element_type().to_dtype())
    return given


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
            # A stream that may run on one core alone waits there behind whatever else runs on it, 0.1 to
            # 0.3 s at times, while another core is idle.
            "ENABLE_CPU_PINNING": False,
        },
    )
