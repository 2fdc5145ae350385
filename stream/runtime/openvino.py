"""OpenVINO on the CPU: one compiled model with several streams."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stream.bundle import Bundle
from stream.errors import BundleError, DeviceError, install_hint
from stream.runtime.base import CPU_SAME_SHAPE_BATCHES, GraphInput, Logits, PaddedBatch, PaddedCost
from stream.runtime.choice import variant_entry
from stream.runtime.cores import usable_cores
from stream.runtime.machine import import_openvino
from stream.runtime.shapes import ShapeBuckets

if TYPE_CHECKING:
    import openvino

# The precision outside of int8 matrix products is float32: bf16 was no faster, and not every CPU has it.
PRECISION_HINTS = {"fp32": "f32", "bf16": "bf16", "int8-static": "f32"}
DEFAULT_STREAMS = 2
# The dimensions of token logits: rows, tokens, labels.
TOKEN_LOGITS_NDIM = 3

# For int8 OpenVINO compiles a plan, of megabytes, for each shape. At low load batches have few rows, so
# nearly every batch had a new shape and took two to four times as long. They are padded to a few shapes.
BUCKETED_VARIANTS = frozenset(("int8-static",))


class OpenVinoRuntime:
    """One infer request of a compiled model; the calling thread waits while a stream computes.

    Requests run concurrently, each on a stream of its own. OpenVINO's AsyncInferQueue works in the same way,
    with a queue of callbacks instead of the callers' threads.
    """

    device = "openvino"

    def __init__(
        self,
        request: "openvino.InferRequest",
        inputs: list[str],
        provider: str,
        *,
        buckets: ShapeBuckets | None = None,
        pad_token_id: int = 0,
    ) -> None:
        """
        Args:
            request: an infer request of a compiled model with an output `logits`.
            inputs: the names of the model's inputs.
            provider: the library's name of the backend that computes.
            buckets: the shapes to which batches are padded; None: batches keep their shapes.
            pad_token_id: the token id of the padding.
        """
        self.provider = provider
        # Rounding widths up to 8 cost 10% on short texts and made first inferences no faster.
        self.pad_multiple = 1
        self.bucket_shapes: Sequence[tuple[int, int]] = buckets.small_shapes if buckets is not None else ()
        self.padded_cost: PaddedCost = buckets.padded_cost if buckets is not None else np.multiply
        self.max_same_shape_batches = CPU_SAME_SHAPE_BATCHES
        self._request = request
        self._inputs = inputs
        self._buckets = buckets
        self._pad_token_id = pad_token_id

    def infer(self, inputs: PaddedBatch) -> Logits:
        """Compute the logits of a batch, float32 [rows, labels] or [rows, tokens, labels]."""
        rows, width = inputs["input_ids"].shape
        shape = self._buckets.bucket(rows, width) if self._buckets else (rows, width)
        given = {name: self._pad_to_shape(name, inputs[name], shape) for name in self._inputs}
        # The inputs outlive the call and need no copy. The result belongs to the request and is copied.
        self._request.infer(given, share_inputs=True)
        logits = np.array(self._request.get_tensor("logits").data[:rows], dtype=np.float32)
        return logits[:, :width] if logits.ndim == TOKEN_LOGITS_NDIM else logits

    def _pad_to_shape(self, name: str, given: GraphInput, shape: tuple[int, int]) -> GraphInput:
        """Pad an input to a shape (rows, width) with masked tokens and copies of its last row."""
        rows, width = shape
        if name == "metadata":
            width = given.shape[1]
        if given.shape == (rows, width):
            return given
        fill = self._pad_token_id if name == "input_ids" else 0
        wider = np.full((len(given), width), fill, dtype=given.dtype)
        wider[:, : given.shape[1]] = given
        # Copies of a row are safe, while attention in a row without tokens would be a softmax over nothing.
        return wider[np.minimum(np.arange(rows), len(given) - 1)]


def open_openvino_runtimes(
    bundle: Bundle, variant: str, streams: int | None = None, cores: int | None = None
) -> list[OpenVinoRuntime]:
    """Compile a variant once, and return a runtime for each stream of the compiled model.

    Args:
        bundle: a verified bundle.
        variant: fp32, bf16 (the fp32 file, computed in bf16) or int8-static.
        streams: the number of concurrent inferences; default: 2, or 1 on a single core.
        cores: the number of cores to use; default: all that the process may use.

    Raises:
        BundleError: openvino cannot read the file, or it was changed since it was verified.
        DeviceError: openvino is not installed, or cannot compile the model.
    """
    entry = variant_entry(bundle.manifest, variant)
    assert entry is not None, "choose() only returns variants that the bundle has"
    cores = cores or usable_cores()
    streams = streams or min(DEFAULT_STREAMS, cores)
    try:
        core = import_openvino().Core()
        model = _read(core, bundle, entry.file)
        compiled = _compile(core, model, PRECISION_HINTS[variant], streams, cores)
    except BundleError:
        raise
    except ModuleNotFoundError as exc:
        raise DeviceError(
            "device openvino is not available",
            cause=f"the Python module {exc.name} is missing",
            fix=install_hint("cpu", "openvino"),
        ) from None
    except Exception as exc:
        raise DeviceError(
            f"the variant {variant} cannot be loaded on openvino",
            cause=(str(exc).strip() or type(exc).__name__).splitlines()[0],
            fix="use --device cpu",
        ) from exc
    # The compilation may still read weights from the file.
    bundle.check_unchanged()
    smallest = {port.get_any_name(): _smallest_input(port) for port in compiled.inputs}
    provider = f"OpenVINO {','.join(compiled.get_property('EXECUTION_DEVICES'))}"
    opened = [
        OpenVinoRuntime(
            compiled.create_infer_request(),
            [*smallest],
            provider,
            buckets=ShapeBuckets(bundle.manifest.max_length) if variant in BUCKETED_VARIANTS else None,
            pad_token_id=bundle.manifest.pad_token_id,
        )
        for _ in range(streams)
    ]
    # Two threads that make the first call of the Python binding at the same time can deadlock.
    opened[0].infer(smallest)
    return opened


def _smallest_input(port: Any) -> GraphInput:
    """Return an input of one row, with one token or all metadata columns."""
    lengths = [length.get_length() if length.is_static else 1 for length in port.get_partial_shape()]
    given: GraphInput = np.ones(lengths, dtype=port.get_element_type().to_dtype())
    return given


def _read(core: Any, bundle: Bundle, file: str) -> Any:
    try:
        return core.read_model(str(bundle.path / file))
    except Exception as exc:
        raise BundleError(
            f"{file} in the bundle {bundle.path} cannot be read by openvino",
            cause=(str(exc).strip() or type(exc).__name__).splitlines()[0],
            fix="use --device cpu, or export the bundle again",
        ) from exc


def _compile(core: Any, model: Any, precision: str, streams: int, threads: int) -> Any:
    return core.compile_model(
        model,
        "CPU",
        {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
            # A pinned stream waits for its core while another process uses it, sometimes for 0.1 to 0.3 s,
            # although another core is idle.
            "ENABLE_CPU_PINNING": False,
        },
    )
