"""Smaller and faster variants of the fp32 graph: int8, calibrated int8 and fp16, with their parity limits."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from stream.bundle import Bundle, VariantEntry
from stream.errors import BundleError, DeviceError, UsageError, install_hint
from stream.runtime import PaddedBatch, disable_openvino_telemetry
from trainer.config import VariantSettings
from trainer.export.failure import describe_failure
from trainer.export.parity import (
    NOT_FINITE,
    ParityLimits,
    ValidationRows,
    measure_parity,
    unmeasured_parity,
)
from trainer.export.write_errors import is_write_error
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


MIN_SHOWN_AGREEMENT = 0.95
"""The share that the lower end of the 95% interval must reach: 72 rows without a change, or 202 with 4.

The tolerance of int8, one standard deviation of the logits, does not bound the share of changed decisions.
"""

# One standard deviation of the logits accepts int8 rounding and rejects a broken graph.
INT8_LIMITS = ParityLimits(1.0, 0.98, MIN_SHOWN_AGREEMENT, max_metric_loss=0.01, relative_to_spread=True)
INT8 = VariantRecipe("int8", "onnx/model_int8.onnx", "int8", "cpu", INT8_LIMITS, make_int8)
INT8_STATIC = VariantRecipe(
    "int8-static", "onnx/model_int8_static.onnx", "int8", "openvino", INT8_LIMITS, make_int8_static
)
# The tolerance leaves only decisions with a margin below 0.1 to fp16, so that few rows are enough.
FP16_LIMITS = ParityLimits(0.05, 0.99, max_metric_loss=0.01)
FP16 = VariantRecipe("fp16", "onnx/model_fp16.onnx", "fp16", "cuda", FP16_LIMITS, make_fp16)
RECIPES = (INT8, INT8_STATIC, FP16)


@dataclass(frozen=True, slots=True)
class VariantPlan:
    """The variants that an export makes from the fp32 graph.

    Attributes:
        recipes: the variants to make.
        accepted: the names of those that are published even if they fail their parity check.
        not_made: the other variants that were wanted, with the reason why they cannot be made.
    """

    recipes: Sequence[VariantRecipe]
    accepted: Sequence[str] = ()
    not_made: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VariantOutcome:
    """A variant that was made and measured, or the reason why it cannot be used.

    Attributes:
        entry: the manifest entry; None if the variant cannot be used at all.
        problem: the reason why the variant did not pass, in one line without texts of the data; "" if it did.
        details: the same, for the console: with the message of the library, or the rows that differ most.
    """

    entry: VariantEntry | None
    problem: str = ""
    details: str = ""


def plan_variants(settings: VariantSettings, *, calibrated: bool = True) -> VariantPlan:
    """Return the variants to make.

    Args:
        settings: the variants that the user asked for.
        calibrated: whether there are texts to calibrate static int8 on.

    Raises:
        UsageError: the user named a variant that cannot be made here.
    """
    obstacle = ("", "")
    if not can_calibrate():
        obstacle = "the package nncf is not installed", install_hint("trainer", "int8-static")
    elif not calibrated:
        obstacle = "it is calibrated on your texts", "pass typical texts with --texts FILE"
    cause, fix = obstacle
    blocked = {INT8_STATIC.name: f"not made: {cause}; {fix}"} if cause else {}
    if named := [name for name in settings.required if name in blocked]:
        raise UsageError(f"the variant {named[0]} cannot be made", cause=cause, fix=fix)
    return VariantPlan(
        [recipe for recipe in RECIPES if recipe.name in settings.wanted and recipe.name not in blocked],
        settings.accepted,
        {name: reason for name, reason in blocked.items() if name in settings.wanted},
    )


def available_variants() -> tuple[VariantRecipe, ...]:
    """Return the recipes whose libraries are installed."""
    return tuple(plan_variants(VariantSettings()).recipes)


def can_calibrate() -> bool:
    """Return whether nncf is installed, without importing it."""
    return importlib.util.find_spec("nncf") is not None


def make_variant(
    draft: Bundle,
    recipe: VariantRecipe,
    calibration: Sequence[PaddedBatch],
    validation: ValidationRows | None,
    progress: Progress,
) -> VariantOutcome:
    """Make a variant next to the fp32 graph and check its parity.

    Args:
        draft: the unpublished bundle, with tokenizer, reference and fp32 graph.
        recipe: the variant to make.
        calibration: graph inputs of training texts, one row each.
        validation: the real rows of the reference, and the task's metric.
        progress: receives the number of measured rows.

    Returns:
        The entry and its verdict. A graph that cannot be made or loaded, or whose logits are not finite, has
        no entry.
    """
    file = draft.path / recipe.file
    try:
        recipe.make(draft.path / draft.manifest.variants["fp32"].file, file, calibration)
    except Exception as exc:
        # Converters raise arbitrary errors, and the bundle still has fp32. A full disk ends the export.
        if is_write_error(exc):
            raise
        message = (str(exc).strip() or "-").splitlines()[0]
        problem = f"conversion failed: {type(exc).__name__}"
        return VariantOutcome(None, problem, f"{problem}: {message}")
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
        problem = "the runtime cannot load the graph"
        return VariantOutcome(None, problem, f"{problem}: {exc.cause}")
    entry = entry.model_copy(update={"parity": parity})
    if not failure:
        return VariantOutcome(entry)
    usable = parity.max_abs_logit_diff < NOT_FINITE
    problem = (
        describe_failure(parity, recipe.limits.min_shown_agreement) if usable else "its logits are not finite"
    )
    return VariantOutcome(entry if usable else None, problem, failure)


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
