"""The gate: a graph that does not say what the trained model said never becomes a bundle."""

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream.bundle import Bundle, Manifest, Parity
from stream.classify.inputs import TextInput
from stream.classify.tokenise import Tokeniser
from stream.errors import BundleError
from stream.runtime import OnnxRuntime, Runtime
from stream.runtime.base import Logits
from stream.runtime.openvino import open_streams
from stream.verify.parity import (
    compare,
    infer_all,
    label_agreement,
    largest_differences,
    read_lengths,
    read_reference,
    within_tolerance,
)
from trainer.export.margins import decision_margins, logit_spread
from trainer.export.mixed_batch import mixed_batch

Output = Logits | list[Logits]
"""float32 [rows, labels], or for token classification float32 [tokens, labels] of each row."""


@dataclass(frozen=True, slots=True)
class Validation:
    """The part of the reference that is real.

    Attributes:
        rows: how many there are: the first of the reference.
        score: the task's own figure of merit, of the output for these rows; larger is better.
    """

    rows: int
    score: Callable[[Output], float] | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What a gate asks for.

    Attributes:
        tolerance: largest difference from PyTorch, in logits.
        min_label_agreement: share of the validation rows' decisions that have to stay; None: all, of every
            row, but those that lie nearer to their border than twice the tolerance, which differences within
            it may move across.
        max_metric_loss: by how much the task's metric may be worse.
        in_spreads: whether the tolerance counts standard deviations of the reference logits instead of
            logits; for a regression halves of them.
    """

    tolerance: float
    min_label_agreement: float | None = None
    max_metric_loss: float | None = None
    in_spreads: bool = False


FP32_TERMS = Terms(1e-3)
# Of made-up rows: what nobody was trained on lies anywhere, also close to a border.
AWKWARD_AGREEMENT = 0.85


def unproven() -> Parity:
    """A result that fails every gate: for a graph not measured yet."""
    return Parity(
        rows=1,
        max_abs_logit_diff=float(np.finfo(np.float32).max),
        tolerance=1e-3,
        label_agreement=0,
        min_label_agreement=1,
    )


def measure(
    draft: Bundle,
    variant: str,
    terms: Terms,
    validation: Validation | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Parity, str]:
    """Measure a variant the way the worker will run it: its tokens, its batches, its runtime.

    Beside the worker's batches of like length, one batch mixes lengths from the shortest to the longest row.
    What is made for a GPU, or for OpenVINO where that is not installed, is measured on the CPU: there the
    rounding of its numbers shows, the kernels of the other device do not.

    Args:
        draft: a folder with tokenizer, graph and reference.
        variant: a name in the manifest's variants.
        terms: what is asked of it.
        validation: which rows are real, and the task's metric; None: all rows count alike.
        progress: told how many rows were done.

    Returns:
        What was measured, and, when that is over the terms, one line that says by how much and where.

    Raises:
        BundleError: the trained model's logits are not finite, or the tokens are not those it read.
        DeviceError: the graph cannot be loaded.
    """
    rows, reference = read_reference(draft)
    lengths = read_lengths(draft, len(rows))
    _check_finite(reference, rows)
    runtime, tokeniser = _runtime(draft, variant), Tokeniser(draft)
    found = infer_all(runtime, tokeniser, rows, progress)
    if found.shape == reference.shape:
        mixed, mixed_found = mixed_batch(runtime, tokeniser, rows, lengths)
        reference_twice = np.concatenate([reference, reference[mixed]])
        found_twice = np.concatenate([found, mixed_found])
    else:
        # Which `compare` refuses.
        reference_twice, found_twice = reference, found
    tolerance = terms.tolerance * (logit_spread(reference, draft.manifest) if terms.in_spreads else 1.0)
    margins = decision_margins(reference_twice, draft.manifest)
    real = int(lengths[: validation.rows].sum()) if validation else len(reference)
    asked = least_share(terms.min_label_agreement, real)
    parity = compare(
        reference_twice,
        found_twice,
        tolerance=tolerance,
        min_label_agreement=float((margins > 2 * tolerance).mean())
        if asked is None
        else _asked_of_all(asked, real, len(reference_twice)),
        manifest=draft.manifest,
    )
    kept = label_agreement(reference[:real], found[:real], tolerance, draft.manifest) if real else None
    close = decision_margins(reference, draft.manifest) <= 2 * parity.max_abs_logit_diff
    parity = parity.model_copy(
        update={
            "close_rows": _rows_of(close, lengths) if asked is None else None,
            "validation_agreement": kept,
            "metric_loss": _metric_loss(validation, reference, found, lengths, draft.manifest),
            "max_metric_loss": terms.max_metric_loss,
            "device": runtime.device,
        }
    )
    if within_tolerance(parity) and (asked is None or kept is None or kept >= asked):
        return parity, ""
    return parity, _refusal(parity, asked, rows, reference, found, lengths)


def prove(
    draft: Bundle,
    variant: str,
    terms: Terms = FP32_TERMS,
    validation: Validation | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Parity:
    """Measure a variant that a bundle cannot do without.

    Returns:
        What was measured, within the terms.

    Raises:
        BundleError: the variant is over its tolerance; the rows that moved furthest are named.
        DeviceError: the graph cannot be loaded.
    """
    parity, over = measure(draft, variant, terms, validation, progress)
    if over:
        raise BundleError(
            f"variant {variant} does not say what the trained model said",
            cause=over,
            fix="nothing was published; try other versions of torch and optimum-onnx, or another base model",
        )
    return parity


def _runtime(draft: Bundle, variant: str) -> Runtime:
    made_for = draft.manifest.variants[variant].device
    if made_for == "openvino" and importlib.util.find_spec("openvino") is not None:
        return open_streams(draft, variant, streams=1)[0]
    return OnnxRuntime(draft, variant)


def _check_finite(reference: Logits, rows: Sequence[TextInput]) -> None:
    if not np.isfinite(reference).all():
        raise BundleError(
            "the trained model's logits are not finite",
            cause=f"{int((~np.isfinite(reference)).sum())} of them, over {len(rows)} reference rows",
            fix="train again with a smaller --learning-rate",
        )


def _rows_of(marked: npt.NDArray[np.bool_], lengths: npt.NDArray[np.int64]) -> list[int]:
    """Reference rows with a mark among their rows of logits, bool [rows of logits] or [rows, labels]."""
    flat = marked.any(axis=1) if marked.ndim > 1 else marked
    return sorted({*np.repeat(np.arange(len(lengths)), lengths)[flat].tolist()})


def _metric_loss(
    validation: Validation | None,
    reference: Logits,
    found: Logits,
    lengths: npt.NDArray[np.int64],
    manifest: Manifest,
) -> float | None:
    if validation is None or validation.score is None or not validation.rows:
        return None
    ends = np.cumsum(lengths[: validation.rows])
    known = [logits[: ends[-1]] for logits in (reference, found)]
    outputs = [np.split(logits, ends[:-1]) if manifest.head == "token" else logits for logits in known]
    trained, variant = map(validation.score, outputs)
    return trained - variant


def least_share(asked: float | None, decisions: int) -> float | None:
    """The share asked for, in whole decisions and in favour of the variant: 98% of 96 are 94."""
    if asked is None or not decisions:
        return asked
    may_change = math.ceil(round((1 - asked) * decisions, 6))
    return (decisions - may_change) / decisions


def _asked_of_all(asked: float, real: int, decisions: int) -> float:
    """What is asked of all `decisions` rows of logits, of which the first `real` are of validation rows."""
    return (asked * real + min(asked, AWKWARD_AGREEMENT) * (decisions - real)) / decisions


def _refusal(
    parity: Parity,
    asked: float | None,
    rows: Sequence[TextInput],
    reference: Logits,
    found: Logits,
    lengths: npt.NDArray[np.int64],
) -> str:
    """By how much, and which rows."""
    told = (
        f"largest logit difference {parity.max_abs_logit_diff:.3g} (allowed {parity.tolerance:.3g}), same "
        f"label for {parity.label_agreement:.2%} of {parity.rows} "
        f"(asked for {parity.min_label_agreement:.2%})"
    )
    if asked is not None and parity.validation_agreement is not None:
        told += f", of the validation rows {parity.validation_agreement:.2%} (asked for {asked:.2%})"
    if parity.metric_loss is not None and parity.max_metric_loss is not None:
        told += f", the metric is {parity.metric_loss:.4f} worse (allowed {parity.max_metric_loss:g})"
    worst = largest_differences(rows, reference, found, lengths=lengths)
    return "; ".join([told, *(f"row {row.row} ({row.text[:30]!a}) by {row.logit_diff:.3g}" for row in worst)])
