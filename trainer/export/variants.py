"""Smaller and faster copies of the fp32 graph, and what is asked of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stream.bundle import Bundle, Manifest, VariantEntry
from stream.errors import DeviceError
from stream.runtime.base import Padded
from trainer.export.index_arithmetic import index_arithmetic
from trainer.export.parity import Terms, Validation, measure, unproven
from trainer.export.static_int8 import can_calibrate, make_int8_static
from trainer.quiet import no_output


@dataclass(frozen=True, slots=True)
class VariantRecipe:
    """How a variant is made from the fp32 graph, and what is asked of it.

    Attributes:
        name: in the manifest and for `--variant`.
        file: path in the bundle.
        precision: of its matrix products.
        device: what it is made for.
        terms: how far it may stray.
        make: writes the variant's file from the fp32 file and, if it wants them, calibration rows.
    """

    name: str
    file: str
    precision: Literal["fp16", "int8"]
    device: Literal["cpu", "cuda", "openvino"]
    terms: Terms
    make: Callable[[Path, Path, Sequence[Padded]], None]


def make_int8(fp32: Path, file: Path, _calibration: Sequence[Padded] = ()) -> None:
    """Quantise the weights of matrix products to int8 per channel, and activations as they come, per tensor.

    Embeddings stay fp32: they cost no arithmetic, and int8 tables moved more labels.
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


def make_fp16(fp32: Path, file: Path, _calibration: Sequence[Padded] = ()) -> None:
    """Convert weights and arithmetic to fp16; token ids stay int64, metadata and logits float32.

    What is rounded to an index stays float32: MPNet's buckets of positions would shift.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    graph = onnx.load(fp32)
    with no_output():
        kept = [*index_arithmetic(graph)]
        onnx.save(convert_float_to_float16(graph, keep_io_types=True, node_block_list=kept), file)


# One standard deviation of the model's own logits: far enough for int8 rounding, not for a broken graph.
INT8_TERMS = Terms(1.0, 0.98, max_metric_loss=0.01, in_spreads=True)
INT8 = VariantRecipe("int8", "onnx/model_int8.onnx", "int8", "cpu", INT8_TERMS, make_int8)
INT8_STATIC = VariantRecipe(
    "int8-static", "onnx/model_int8_static.onnx", "int8", "openvino", INT8_TERMS, make_int8_static
)
FP16_TERMS = Terms(0.05, 0.99, max_metric_loss=0.01)
FP16 = VariantRecipe("fp16", "onnx/model_fp16.onnx", "fp16", "cuda", FP16_TERMS, make_fp16)


def available_variants() -> tuple[VariantRecipe, ...]:
    """What can be made with the libraries that are installed."""
    return (INT8, INT8_STATIC, FP16) if can_calibrate() else (INT8, FP16)


def add_variants(
    staging: Path,
    proven: Manifest,
    recipes: Sequence[VariantRecipe],
    stage: Callable[[str, int], Callable[[int], None]],
    warn: Callable[[str], None],
    calibration: Sequence[Padded] = (),
    validation: Validation | None = None,
    rows: int = 1,
) -> Manifest:
    """Make variants beside the fp32 graph and keep those that are within their terms.

    Args:
        staging: the bundle's folder, with tokenizer, reference and fp32 graph.
        proven: its manifest, with the fp32 variant.
        recipes: what to make.
        stage: opens a stage of so many units and returns what is told of the units done.
        warn: told in one line of a variant that was left out; its file is removed.
        calibration: graph inputs of training texts, a row each.
        validation: which rows of the reference are real, and the task's metric.
        rows: rows of the reference, the units of a stage.

    Returns:
        The manifest with the variants that were kept.
    """
    manifest = proven
    for recipe in recipes:
        told = stage(f"verify {recipe.name}", rows)
        entry, left_out = _make(staging, proven, recipe, told, calibration, validation)
        if entry is None:
            (staging / recipe.file).unlink(missing_ok=True)
            warn(f"variant {recipe.name} is left out: {left_out}")
        else:
            manifest = _with(manifest, recipe.name, entry)
    return manifest


def _make(
    staging: Path,
    proven: Manifest,
    recipe: VariantRecipe,
    told: Callable[[int], None],
    calibration: Sequence[Padded],
    validation: Validation | None,
) -> tuple[VariantEntry | None, str]:
    fp32 = proven.variants["fp32"]
    try:
        recipe.make(staging / fp32.file, staging / recipe.file, calibration)
    except Exception as exc:  # noqa: BLE001 - the converters raise what they like; fp32 does without them
        return None, f"it cannot be made: {type(exc).__name__}: {(str(exc).strip() or '-').splitlines()[0]}"
    entry = VariantEntry(
        file=recipe.file,
        precision=recipe.precision,
        device=recipe.device,
        size_bytes=(staging / recipe.file).stat().st_size,
        parity=unproven(),
    )
    try:
        draft = Bundle(staging, _with(proven, recipe.name, entry), digest="")
        parity, over = measure(draft, recipe.name, recipe.terms, validation, told)
    except DeviceError as exc:
        return None, f"it cannot be loaded: {exc.cause}"
    return (None, over) if over else (entry.model_copy(update={"parity": parity}), "")


def _with(manifest: Manifest, name: str, entry: VariantEntry) -> Manifest:
    return manifest.model_copy(update={"variants": {**manifest.variants, name: entry}})
