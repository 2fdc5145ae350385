"""Smaller and faster copies of the fp32 graph, and what is asked of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stream.bundle import Bundle, Manifest, VariantEntry
from stream.errors import DeviceError
from trainer.parity import measure, unproven
from trainer.quiet import no_output


@dataclass(frozen=True, slots=True)
class VariantRecipe:
    """How a variant is made from the fp32 graph, and how far its logits may move.

    Attributes:
        file: path in the bundle.
        precision: its name in the manifest, too.
        device: what it is made for.
        tolerance: largest difference from PyTorch, logits.
        min_label_agreement: share of reference rows whose best label has to stay.
        make: writes the variant's file from the fp32 file.
    """

    file: str
    precision: Literal["fp16", "int8"]
    device: Literal["cpu", "cuda"]
    tolerance: float
    min_label_agreement: float
    make: Callable[[Path, Path], None]


def make_int8(fp32: Path, file: Path) -> None:
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


def make_fp16(fp32: Path, file: Path) -> None:
    """Convert weights and arithmetic to fp16; token ids stay int64 and logits float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with no_output():
        onnx.save(convert_float_to_float16(onnx.load(fp32), keep_io_types=True), file)


INT8 = VariantRecipe("onnx/model_int8.onnx", "int8", "cpu", 1.5, 0.95, make_int8)
FP16 = VariantRecipe("onnx/model_fp16.onnx", "fp16", "cuda", 0.05, 0.99, make_fp16)
VARIANTS = (INT8, FP16)


def add_variants(
    staging: Path,
    proven: Manifest,
    recipes: Sequence[VariantRecipe],
    stage: Callable[[str, int], Callable[[int], None]],
    warn: Callable[[str], None],
) -> Manifest:
    """Make variants beside the fp32 graph and keep those that are within their terms.

    Args:
        staging: the bundle's folder, with tokenizer, reference and fp32 graph.
        proven: its manifest, with the fp32 variant.
        recipes: what to make.
        stage: opens a stage of so many units and returns what is told of the units done.
        warn: told in one line of a variant that was left out; its file is removed.

    Returns:
        The manifest with the variants that were kept.
    """
    manifest = proven
    for recipe in recipes:
        told = stage(f"verify {recipe.precision}", proven.variants["fp32"].parity.rows)
        entry, left_out = _make(staging, proven, recipe, told)
        if entry is None:
            (staging / recipe.file).unlink(missing_ok=True)
            warn(f"variant {recipe.precision} is left out: {left_out}")
        else:
            manifest = _with(manifest, entry)
    return manifest


def _make(
    staging: Path, proven: Manifest, recipe: VariantRecipe, told: Callable[[int], None]
) -> tuple[VariantEntry | None, str]:
    fp32 = proven.variants["fp32"]
    try:
        recipe.make(staging / fp32.file, staging / recipe.file)
    except Exception as exc:  # noqa: BLE001 - the converters raise what they like; fp32 does without them
        return None, f"it cannot be made: {type(exc).__name__}: {(str(exc).strip() or '-').splitlines()[0]}"
    entry = VariantEntry(
        file=recipe.file,
        precision=recipe.precision,
        device=recipe.device,
        size_bytes=(staging / recipe.file).stat().st_size,
        parity=unproven(fp32.parity.rows, recipe.tolerance, recipe.min_label_agreement),
    )
    try:
        draft = Bundle(staging, _with(proven, entry), digest="")
        parity, over = measure(draft, recipe.precision, told)
    except DeviceError as exc:
        return None, f"it cannot be loaded: {exc.why}"
    return (None, over) if over else (entry.model_copy(update={"parity": parity}), "")


def _with(manifest: Manifest, entry: VariantEntry) -> Manifest:
    return manifest.model_copy(update={"variants": {**manifest.variants, entry.precision: entry}})
