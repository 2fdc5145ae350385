"""The gate: a graph that does not say what the trained model said never becomes a bundle."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from stream.bundle import Bundle, Parity
from stream.classify.parity import (
    REFERENCE_LOGITS,
    REFERENCE_TEXTS,
    compare,
    infer_all,
    largest_differences,
    read_reference,
    terms,
    within_tolerance,
)
from stream.classify.tokenise import Tokeniser
from stream.errors import BundleError
from stream.runtime import OnnxRuntime
from stream.runtime.base import Logits

FP32_TOLERANCE = 1e-3
FP32_LABEL_AGREEMENT = 1.0
MOST_ROWS = 256

AWKWARD = (
    "a",
    ".",
    "   ?   ",
    "😀",
    "👩‍👩‍👧‍👦 🏳️‍🌈 paid twice ❗❗",
    "تم خصم المبلغ مرتين من بطاقتي",
    "החבילה שלי עדיין לא הגיעה",
    "包裹还没有到",
    "my card\x00was charged\x01 twice\x7f\x1b[0m",
    "line one\r\nline two\tand a tab\u2028and a separator",
    "ﬁne ① Ａ e\u0301 \u200bzero\u200dwidth \ufeff",
    "[CLS] [SEP] [MASK] [PAD] <s> </s> <pad>",
)


def unproven(
    rows: int, tolerance: float = FP32_TOLERANCE, min_label_agreement: float = FP32_LABEL_AGREEMENT
) -> Parity:
    """A gate's terms, fp32's by default, with a result that fails them: for a graph not measured yet."""
    return Parity(
        rows=rows,
        max_abs_logit_diff=float(np.finfo(np.float32).max),
        tolerance=tolerance,
        label_agreement=0,
        min_label_agreement=min_label_agreement,
    )


def reference_texts(texts: Sequence[str], tokenizer: Any, max_length: int) -> list[str]:
    """Texts to hold a graph against: some real ones, and those that exports and tokenizers trip over.

    Among them: one token, scripts and characters of every kind, every power of two of tokens, one token less
    than the maximum length, exactly it, and far over it.

    Args:
        texts: real texts; at most 256 are taken, spread evenly.
        tokenizer: a Hugging Face tokenizer, to know what a special token costs.
        max_length: tokens after which a text is cut.
    """
    every = max(1, -(-len(texts) // MOST_ROWS))
    room = max_length - tokenizer.num_special_tokens_to_add()
    counts = sorted({2**power for power in range(room.bit_length())} | {max(1, room - 1), room, 2 * room + 7})
    return [*texts[::every], *AWKWARD, *(" ".join("a." * count)[: 2 * count - 1] for count in counts)]


def write_reference(folder: Path, texts: Sequence[str], logits: Logits) -> None:
    """Store reference texts and PyTorch's logits for them, float32 [texts, labels]."""
    (folder / REFERENCE_TEXTS).write_bytes(b"".join(orjson.dumps({"text": text}) + b"\n" for text in texts))
    np.savez_compressed(folder / REFERENCE_LOGITS, logits=logits.astype(np.float32))


def measure(
    draft: Bundle, variant: str, progress: Callable[[int], None] = lambda _: None
) -> tuple[Parity, str]:
    """Measure a variant the way the worker will run it: its tokens, its batches, its runtime.

    What is made for a GPU is measured on the CPU too: there the rounding of its numbers shows, the kernels of
    the GPU do not.

    Args:
        draft: a folder with tokenizer, graph and reference; its manifest carries the gate's terms.
        variant: a name in the manifest's variants.
        progress: told how many rows were done.

    Returns:
        What was measured, and, when that is over the terms, one line that says by how much and where.

    Raises:
        BundleError: the trained model's logits are not finite.
        DeviceError: the graph cannot be loaded.
    """
    tolerance, min_label_agreement = terms(draft.manifest, variant)
    rows, reference = read_reference(draft)
    if not np.isfinite(reference).all():
        raise BundleError(
            "the trained model's logits are not finite",
            why=f"for {int((~np.isfinite(reference)).any(axis=1).sum())} of {len(rows)} reference rows",
            mend="train again with a smaller --learning-rate",
        )
    found = infer_all(OnnxRuntime(draft, variant), Tokeniser(draft), rows, progress)
    parity = compare(reference, found, tolerance=tolerance, min_label_agreement=min_label_agreement)
    if within_tolerance(parity):
        return parity, ""
    worst = [
        f"row {moved.row} ({moved.text[:30]!a}) by {moved.logit_diff:.3g}"
        for moved in largest_differences(rows, reference, found)
        if not moved.logit_diff <= tolerance
    ]
    over = (
        f"largest logit difference {parity.max_abs_logit_diff:.3g} (allowed {tolerance:g}), same label for "
        f"{parity.label_agreement:.2%} of {parity.rows} texts (asked for {min_label_agreement:.0%})"
    )
    return parity, "; ".join([over, *worst])


def prove(draft: Bundle, variant: str, progress: Callable[[int], None] = lambda _: None) -> Parity:
    """Measure a variant that a bundle cannot do without.

    Returns:
        What was measured, within the terms.

    Raises:
        BundleError: the variant is over its tolerance; the rows that moved furthest are named.
        DeviceError: the graph cannot be loaded.
    """
    parity, over = measure(draft, variant, progress)
    if over:
        raise BundleError(
            f"variant {variant} does not say what the trained model said",
            why=over,
            mend="nothing was published; try other versions of torch and optimum-onnx, or another base model",
        )
    return parity
