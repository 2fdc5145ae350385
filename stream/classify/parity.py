"""Does a variant say what the trained model said? The comparison behind `verify` and the export gate."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import orjson

from stream.bundle import Bundle, Manifest, Parity
from stream.classify.inputs import TextInput
from stream.classify.planner import plan
from stream.classify.tokenise import Tokeniser
from stream.errors import BundleError
from stream.runtime import Runtime
from stream.runtime.base import Logits

REFERENCE_TEXTS = "reference.jsonl"
REFERENCE_LOGITS = "reference.npz"
# The worker's own batches on a CPU: int8 rounds a text by what stands beside it in its batch.
BATCH_ROWS = 64
BATCH_TOKENS = 512
# What bf16 may move: it is not a file, so no manifest says it.
BF16_TOLERANCE = 0.25
BF16_LABEL_AGREEMENT = 0.98


@dataclass(frozen=True, slots=True)
class Difference:
    """A reference row whose logits moved: its number, text and largest absolute difference."""

    row: int
    text: str
    logit_diff: float


def read_reference(bundle: Bundle) -> tuple[list[TextInput], Logits]:
    """The stored reference rows and PyTorch's logits for them, float32 [rows, labels].

    Raises:
        BundleError: the files are missing or do not fit each other.
    """
    try:
        lines = (bundle.path / REFERENCE_TEXTS).read_bytes().splitlines()
        with np.load(bundle.path / REFERENCE_LOGITS, allow_pickle=False) as arrays:
            logits = arrays["logits"].astype(np.float32)
        rows = [
            TextInput(row["text"], row.get("text_pair"), row.get("metadata"))
            for row in map(orjson.loads, lines)
        ]
    except (OSError, KeyError, ValueError) as exc:
        raise BundleError(
            f"the reference of {bundle.path} cannot be read", why=str(exc), mend="export the bundle again"
        ) from exc
    if logits.shape != (len(rows), len(bundle.manifest.labels)):
        raise BundleError(
            f"the reference of {bundle.path} does not fit its labels",
            why=f"{len(rows)} texts, {len(bundle.manifest.labels)} labels, logits of shape {logits.shape}",
            mend="export the bundle again",
        )
    return rows, logits


def infer_all(
    runtime: Runtime,
    tokeniser: Tokeniser,
    rows: list[TextInput],
    progress: Callable[[int], None] = lambda _: None,
) -> Logits:
    """Logits of many rows offline, in length-sorted batches; float32 [rows, labels], in the rows' order."""
    encoded = tokeniser.encode(rows)
    found: list[Logits | None] = [None] * len(rows)
    for batch in plan([len(e) for e in encoded], max_rows=BATCH_ROWS, max_tokens=BATCH_TOKENS):
        logits = runtime.infer(tokeniser.pad([encoded[at] for at in batch]))
        for at, row in zip(batch, logits, strict=True):
            found[at] = row
        progress(len(batch))
    return np.stack([row for row in found if row is not None])


def terms(manifest: Manifest, variant: str) -> tuple[float, float]:
    """How far a variant's logits may move, and the share of rows whose label has to stay."""
    if variant == "bf16":
        return BF16_TOLERANCE, BF16_LABEL_AGREEMENT
    parity = manifest.variants[variant].parity
    return parity.tolerance, parity.min_label_agreement


def compare(reference: Logits, found: Logits, *, tolerance: float, min_label_agreement: float) -> Parity:
    """Measure how far `found` lies from `reference`, both float32 [rows, labels]."""
    moved = np.abs(reference - found)
    return Parity(
        rows=len(reference),
        max_abs_logit_diff=float(moved.max())
        if np.isfinite(moved).all()
        else float(np.finfo(np.float32).max),
        tolerance=tolerance,
        label_agreement=float((reference.argmax(axis=1) == found.argmax(axis=1)).mean()),
        min_label_agreement=min_label_agreement,
    )


def within_tolerance(parity: Parity) -> bool:
    """Whether the gate lets this variant pass."""
    return (
        parity.max_abs_logit_diff <= parity.tolerance and parity.label_agreement >= parity.min_label_agreement
    )


def largest_differences(
    rows: list[TextInput], reference: Logits, found: Logits, most: int = 5
) -> list[Difference]:
    """The reference rows that moved furthest, worst first, to be shown with a refusal."""
    moved = np.abs(reference - found).max(axis=1)
    return [Difference(int(at), rows[at].text, float(moved[at])) for at in np.argsort(-moved)[:most]]
