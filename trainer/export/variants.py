"""Smaller and faster variants of the fp32 graph: int8, calibrated int8 and fp16, with their parity limits."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stream.bundle import Bundle, VariantEntry
from stream.errors import BundleError, DeviceError
from stream.runtime import PaddedBatch, disable_openvino_telemetry
from trainer.export.parity import ParityLimits, ValidationRows, measure_parity, unmeasured_parity
from trainer.model.inference import Progress
from trainer.progress import no_output

CALIBRATION_ROWS = 300
ELEMENTWISE = {"Abs", "Add", "Cast", "Ceil", "Div", "Floor", "Log", "Min", "Mul", "Neg", "Sign", "Sub"}
INTEGER_TYPES = (6, 7)
"""INT32 and INT64 of onnx.TensorProto."""


@dataclass(frozen=True, slots=True)
class VariantRecipe:
    """How a variant is made from the fp32 graph, and its parity limits.

    Attributes:
        name: the name in the manifest and for `--variant`.
        file: the path in the bundle.
        precision: the precision of the matrix products.
        device: the device that the variant is made for.
        limits: the parity limits.
        make: writes the file of the variant from the fp32 file and, if needed, calibration inputs.
    """

    name: str
    file: str
    precision: Literal["fp16", "int8"]
    device: Literal["cpu", "cuda", "openvino"]
    limits: ParityLimits
    make: Callable[[Path, Path, Sequence[PaddedBatch]], None]


def make_int8(fp32: Path, file: Path, _calibration: Sequence[PaddedBatch] = ()) -> None:
    """Quantise to int8 dynamically: weights of matrix products per channel, activations per tensor.

    Embeddings stay fp32: they involve no arithmetic, and int8 embeddings changed more labels.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with no_output():
        quantize_dynamic(
            fp32,
            file,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )


def make_int8_static(fp32: Path, file: Path, calibration: Sequence[PaddedBatch]) -> None:
    """Quantise weights and activations to int8 with NNCF's post-training quantisation for transformers.

    The result is one ONNX file with QuantizeLinear and DequantizeLinear nodes. OpenVINO runs it in int8; ONNX
    Runtime also runs it, about as fast as fp32. NNCF smooths activations (SmoothQuant, Xiao et al. 2022) and
    corrects biases.

    Args:
        fp32: the fp32 graph.
        file: the file to write.
        calibration: graph inputs of representative texts, one row each; 300 rows are enough.

    Raises:
        ValueError: there are no calibration inputs.
        ModuleNotFoundError: nncf is not installed.
    """
    if not calibration:
        raise ValueError("there are no calibration texts")
    import onnx

    with no_output():
        try:
            quantised = _quantise(onnx.load(fp32), calibration, smooth=True)
        except AttributeError:
            # With smoothing, NNCF 3.4 does not find weights that two matrix products share, as in DeBERTa.
            quantised = _quantise(onnx.load(fp32), calibration, smooth=False)
        onnx.save(quantised, file)


def make_fp16(fp32: Path, file: Path, _calibration: Sequence[PaddedBatch] = ()) -> None:
    """Convert weights and arithmetic to fp16; token ids stay int64, metadata and logits float32.

    Arithmetic whose result is cast to an index stays float32: fp16 rounding would shift the relative position
    buckets of MPNet.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    graph = onnx.load(fp32)
    with no_output():
        kept = [*index_arithmetic(graph)]
        onnx.save(convert_float_to_float16(graph, keep_io_types=True, node_block_list=kept), file)


def index_arithmetic(model: Any) -> set[str]:
    """Return the names of the element-wise nodes whose results are cast to integers.

    Args:
        model: an onnx.ModelProto.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    pending = [
        node
        for node in model.graph.node
        if node.op_type == "Cast" and any(a.name == "to" and a.i in INTEGER_TYPES for a in node.attribute)
    ]
    found: set[str] = set()
    while pending:
        node = pending.pop()
        if node.name in found or node.op_type not in ELEMENTWISE:
            continue
        found.add(node.name)
        pending += [producers[name] for name in node.input if name in producers]
    return found


# One standard deviation of the logits accepts int8 rounding and rejects a broken graph.
INT8_LIMITS = ParityLimits(1.0, 0.98, max_metric_loss=0.01, relative_to_spread=True)
INT8 = VariantRecipe("int8", "onnx/model_int8.onnx", "int8", "cpu", INT8_LIMITS, make_int8)
INT8_STATIC = VariantRecipe(
    "int8-static", "onnx/model_int8_static.onnx", "int8", "openvino", INT8_LIMITS, make_int8_static
)
FP16_LIMITS = ParityLimits(0.05, 0.99, max_metric_loss=0.01)
FP16 = VariantRecipe("fp16", "onnx/model_fp16.onnx", "fp16", "cuda", FP16_LIMITS, make_fp16)


def available_variants() -> tuple[VariantRecipe, ...]:
    """Return the recipes whose libraries are installed."""
    return (INT8, INT8_STATIC, FP16) if can_calibrate() else (INT8, FP16)


def can_calibrate() -> bool:
    """Return whether nncf is installed, without importing it."""
    return importlib.util.find_spec("nncf") is not None


def make_variant(
    draft: Bundle,
    recipe: VariantRecipe,
    calibration: Sequence[PaddedBatch],
    validation: ValidationRows | None,
    progress: Progress,
) -> tuple[VariantEntry | None, str]:
    """Make a variant next to the fp32 graph and check its parity.

    Args:
        draft: the unpublished bundle, with tokenizer, reference and fp32 graph.
        recipe: the variant to make.
        calibration: graph inputs of training texts, one row each.
        validation: the real rows of the reference, and the task's metric.
        progress: receives the number of measured rows.

    Returns:
        The manifest entry and "", or None and the reason why the variant is unusable, in one line.
    """
    file = draft.path / recipe.file
    try:
        recipe.make(draft.path / draft.manifest.variants["fp32"].file, file, calibration)
    except Exception as exc:  # noqa: BLE001 - converters raise arbitrary errors; the bundle still has fp32
        return None, f"conversion failed: {type(exc).__name__}: {(str(exc).strip() or '-').splitlines()[0]}"
    entry = VariantEntry(
        file=recipe.file,
        precision=recipe.precision,
        device=recipe.device,
        size_bytes=file.stat().st_size,
        parity=unmeasured_parity(),
    )
    variants = {**draft.manifest.variants, recipe.name: entry}
    extended = Bundle(draft.path, draft.manifest.model_copy(update={"variants": variants}), digest="")
    try:
        parity, failure = measure_parity(extended, recipe.name, recipe.limits, validation, progress)
    except (BundleError, DeviceError) as exc:
        return None, f"the runtime cannot load the graph: {exc.cause}"
    return (None, failure) if failure else (entry.model_copy(update={"parity": parity}), "")


def _quantise(graph: Any, calibration: Sequence[PaddedBatch], *, smooth: bool) -> Any:
    disable_openvino_telemetry()
    import nncf
    from nncf.quantization.advanced_parameters import (
        AdvancedQuantizationParameters,
        AdvancedSmoothQuantParameters,
    )

    # A negative strength disables smoothing.
    disabled = AdvancedQuantizationParameters(smooth_quant_alphas=AdvancedSmoothQuantParameters(matmul=-1))
    return nncf.quantize(
        graph,
        nncf.Dataset([dict(row) for row in calibration]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(calibration),
        advanced_parameters=None if smooth else disabled,
    )
