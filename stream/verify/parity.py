"""The comparison of a variant's logits with the reference, for `verify` and for the check at export."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream.bundle import Manifest, Parity
from stream.classify import TextInput, label_thresholds, sigmoid
from stream.errors import BundleError
from stream.runtime import Logits

# The limits of bf16, which has no file of its own and therefore no entry in the manifest.
BF16_TOLERANCE = 0.25
BF16_LABEL_AGREEMENT = 0.98

# The kernels of another CPU round differently, so an accepted variant may exceed its measurement slightly.
ACCEPTED_DIFFERENCE = 1.5
ACCEPTED_DECISIONS = 0.02


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A reference row whose logits differ: its number, text and largest absolute difference."""

    row: int
    text: str
    logit_diff: float


def parity_limits(manifest: Manifest, variant: str) -> tuple[float, float]:
    """Return a variant's tolerance in logits, and its required share of rows with the same label."""
    if variant == "bf16":
        return BF16_TOLERANCE, BF16_LABEL_AGREEMENT
    parity = manifest.variants[variant].parity
    return parity.tolerance, parity.min_label_agreement


def accepted_limits(parity: Parity) -> tuple[float, float]:
    """Return the limits of a variant that the user accepted: its measured figures, with a small allowance.

    Returns:
        The tolerance in logits and the required share of equal decisions; never stricter than the limits that
        the variant exceeds.
    """
    return (
        max(parity.tolerance, ACCEPTED_DIFFERENCE * parity.max_abs_logit_diff),
        max(0.0, min(parity.min_label_agreement, parity.label_agreement - ACCEPTED_DECISIONS)),
    )


def compare(
    reference: Logits,
    found: Logits,
    *,
    tolerance: float,
    min_label_agreement: float,
    manifest: Manifest | None = None,
) -> Parity:
    """Measure the difference between two arrays of logits, both as returned by `infer_all`.

    Args:
        reference: the logits of the trained model.
        found: the logits of a variant.
        tolerance: the permitted difference of a logit.
        min_label_agreement: the required share of equal decisions.
        manifest: defines a decision (see `label_agreement`); None: the best label of a row.

    Raises:
        BundleError: the shapes differ, so the two models read different tokens.
    """
    if reference.shape != found.shape:
        raise BundleError(
            "the graph and the trained model do not read the same tokens",
            cause=f"logits of shape {found.shape} instead of {reference.shape}",
            fix="export the bundle again with its own tokenizer",
        )
    difference = np.abs(reference - found)
    return Parity(
        rows=len(reference),
        max_abs_logit_diff=float(difference.max())
        if np.isfinite(difference).all()
        else float(np.finfo(np.float32).max),
        tolerance=tolerance,
        label_agreement=label_agreement(reference, found, tolerance, manifest),
        min_label_agreement=min_label_agreement,
    )


def label_agreement(
    reference: Logits, found: Logits, tolerance: float, manifest: Manifest | None = None
) -> float:
    """Return the share of equal decisions, 0 to 1; the arguments are those of `equal_decisions`."""
    return float(equal_decisions(reference, found, tolerance, manifest).mean())


def equal_decisions(
    reference: Logits, found: Logits, tolerance: float, manifest: Manifest | None = None
) -> npt.NDArray[np.bool_]:
    """Return for each decision whether two models agree.

    A decision is the best label of a row; the best tag of a token; for multi-label, whether a label is
    predicted for a row; for a regression, whether the logit differs by no more than the tolerance. If several
    labels of the reference share the best logit, each of them counts as the same decision.

    Args:
        reference: the logits of the trained model, float32 [rows or tokens, labels].
        found: the logits of a variant, the same shape.
        tolerance: the permitted difference of a logit, for a regression.
        manifest: defines a decision; None: the best label.

    Returns:
        bool [rows or tokens, 1], for multi-label [rows, labels].
    """
    head = manifest.head if manifest is not None else "single-label"
    if manifest is not None and head == "multi-label":
        thresholds = np.array(label_thresholds(manifest))
        ours, theirs = (sigmoid(logits / manifest.temperature) >= thresholds for logits in (found, reference))
        return np.asarray(ours == theirs)
    if head == "regression":
        return np.asarray(np.abs(reference - found) <= tolerance)
    chosen = np.take_along_axis(reference, found.argmax(axis=1, keepdims=True), axis=1)
    return np.asarray(chosen == reference.max(axis=1, keepdims=True))


def within_tolerance(parity: Parity) -> bool:
    """Return True if a variant is within all of its limits."""
    max_metric_loss = np.inf if parity.max_metric_loss is None else parity.max_metric_loss
    return (
        parity.max_abs_logit_diff <= parity.tolerance
        and parity.label_agreement >= parity.min_label_agreement
        and (parity.metric_loss is None or parity.metric_loss <= max_metric_loss)
    )


def largest_differences(
    rows: Sequence[TextInput],
    reference: Logits,
    found: Logits,
    most: int = 5,
    lengths: npt.NDArray[np.int64] | None = None,
) -> list[RowDifference]:
    """Return the reference rows with the largest differences, largest first.

    Args:
        rows: the reference rows.
        reference: the logits of the trained model.
        found: the logits of a variant.
        most: the maximum number of rows to return.
        lengths: the number of logit rows of each reference row (`read_lengths`); None: one each.
    """
    differences = np.abs(reference - found).max(axis=1)
    if lengths is not None:
        # Every row has at least one token; reduceat would give an empty segment the value of the next one.
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        differences = np.maximum.reduceat(differences, starts)
    worst = np.argsort(-differences)[:most]
    return [RowDifference(int(at), rows[at].text, float(differences[at])) for at in worst]
