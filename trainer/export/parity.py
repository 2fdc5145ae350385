"""The parity check: a graph that does not match the trained PyTorch model is not published."""

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream.bundle import Bundle, Manifest, Parity
from stream.classify import TextInput, Tokeniser, label_thresholds
from stream.errors import BundleError
from stream.runtime import Logits, OnnxRuntime, Runtime, open_openvino_runtimes
from stream.verify import (
    compare,
    infer_all,
    label_agreement,
    largest_differences,
    read_lengths,
    read_reference,
    within_tolerance,
)
from trainer.export.reference import infer_mixed_batch
from trainer.model.inference import ModelOutput, Progress

EDGE_CASE_AGREEMENT = 0.85
"""The required agreement for edge-case rows, which may be close to a decision boundary."""

MIN_SPREAD = 0.25


@dataclass(frozen=True, slots=True)
class ValidationRows:
    """The real rows of a reference.

    Attributes:
        count: the number of real rows, which are the first rows of the reference.
        score: the task's metric of the output for these rows; larger is better.
    """

    count: int
    score: Callable[[ModelOutput], float] | None = None


@dataclass(frozen=True, slots=True)
class ParityLimits:
    """The limits for the difference between a variant and the trained model.

    Attributes:
        tolerance: the largest allowed difference of a logit.
        min_label_agreement: the required share of validation decisions that stay the same. None requires it
            of all decisions in all rows whose margin exceeds twice the tolerance.
        max_metric_loss: the largest allowed loss of the task's metric.
        relative_to_spread: whether the tolerance is a multiple of `logit_spread` instead of logits.
    """

    tolerance: float
    min_label_agreement: float | None = None
    max_metric_loss: float | None = None
    relative_to_spread: bool = False


FP32_LIMITS = ParityLimits(1e-3)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The reference logits of PyTorch and the logits of a variant for the same rows.

    Attributes:
        manifest: defines the decisions.
        rows: the reference rows.
        lengths: int64 [rows], the number of logit vectors of each row: its tokens, else 1.
        reference: float32 [logit vectors, labels].
        found: float32 [logit vectors, labels].
    """

    manifest: Manifest
    rows: Sequence[TextInput]
    lengths: npt.NDArray[np.int64]
    reference: Logits
    found: Logits

    def head(self, rows: int) -> tuple[Logits, Logits]:
        """Return the reference logits and the variant's logits of the first rows."""
        vectors = int(self.lengths[:rows].sum())
        return self.reference[:vectors], self.found[:vectors]


def unmeasured_parity() -> Parity:
    """Return a placeholder that fails every check, for a graph that is not measured yet."""
    return Parity(
        rows=1,
        max_abs_logit_diff=float(np.finfo(np.float32).max),
        tolerance=1e-3,
        label_agreement=0,
        min_label_agreement=1,
    )


def check_parity(
    draft: Bundle,
    variant: str,
    limits: ParityLimits = FP32_LIMITS,
    validation: ValidationRows | None = None,
    progress: Progress = lambda _: None,
) -> Parity:
    """Measure the parity of a required variant; the arguments are those of `measure_parity`.

    Returns:
        The measurement, which is within the limits.

    Raises:
        BundleError: the variant exceeds its limits; the error names the rows with the largest differences.
        DeviceError: the runtime cannot load the graph.
    """
    parity, failure = measure_parity(draft, variant, limits, validation, progress)
    if failure:
        raise BundleError(
            f"variant {variant} does not match the trained PyTorch model",
            cause=failure,
            fix="nothing was published; try other versions of torch and optimum-onnx, or another base model",
        )
    return parity


def measure_parity(
    draft: Bundle,
    variant: str,
    limits: ParityLimits,
    validation: ValidationRows | None = None,
    progress: Progress = lambda _: None,
) -> tuple[Parity, str]:
    """Measure a variant with the worker's own tokenizer, batches and runtime.

    In addition to the worker's batches of similar lengths, one batch mixes lengths from the shortest to the
    longest row. A variant for a GPU, or for OpenVINO without that library, is measured on the CPU, which
    shows the rounding of its numbers but not the kernels of the other device.

    Args:
        draft: the unpublished bundle, with tokenizer, graph and reference.
        variant: the name of the variant in the manifest.
        limits: the limits of the variant.
        validation: the real rows and the task's metric; None treats all rows as real.
        progress: receives the number of measured rows.

    Returns:
        The measurement, and "" or one line that names the exceeded limits and the rows with the largest
        differences.

    Raises:
        BundleError: the reference logits are not finite, or the tokens differ from those of the reference.
        DeviceError: the runtime cannot load the graph.
    """
    rows, reference = read_reference(draft)
    lengths = read_lengths(draft, len(rows))
    _check_finite(reference, rows)
    runtime, tokeniser = _runtime(draft, variant), Tokeniser(draft)
    found = infer_all(runtime, tokeniser, rows, progress)
    comparison = _Comparison(draft.manifest, rows, lengths, reference, found)
    if found.shape == reference.shape:
        mixed, mixed_found = infer_mixed_batch(runtime, tokeniser, rows, lengths)
        reference = np.concatenate([reference, reference[mixed]])
        found = np.concatenate([found, mixed_found])
    # `compare` raises an error for different shapes.
    tolerance = limits.tolerance
    if limits.relative_to_spread:
        tolerance *= logit_spread(comparison.reference, draft.manifest)
    known_reference, known_found = comparison.head(validation.count if validation else len(rows))
    real = len(known_reference)
    required = rounded_min_agreement(limits.min_label_agreement, real)
    parity = compare(
        reference,
        found,
        tolerance=tolerance,
        min_label_agreement=_share_of_wide_margins(reference, tolerance, draft.manifest)
        if required is None
        else _overall_min_agreement(required, real, len(reference)),
        manifest=draft.manifest,
    )
    agreement = label_agreement(known_reference, known_found, tolerance, draft.manifest) if real else None
    parity = parity.model_copy(
        update={
            "close_rows": _close_rows(comparison, parity.max_abs_logit_diff) if required is None else None,
            "validation_agreement": agreement,
            "metric_loss": _metric_loss(comparison, validation),
            "max_metric_loss": limits.max_metric_loss,
            "device": runtime.device,
        }
    )
    if within_tolerance(parity) and (required is None or agreement is None or agreement >= required):
        return parity, ""
    return parity, _describe_failure(parity, required, comparison)


def decision_margins(logits: Logits, manifest: Manifest) -> npt.NDArray[np.float64]:
    """Return the margin of each decision: no decision changes while logits move by less than half its margin.

    Args:
        logits: float32 [rows or tokens, labels].
        manifest: defines the decisions.

    Returns:
        float64 [rows or tokens]: the best logit minus the second best, or infinity for a regression. For
        multi-label float64 [rows, labels]: twice the distance from the threshold of the label.
    """
    wide = logits.astype(np.float64)
    if manifest.head == "multi-label":
        thresholds = np.clip(np.array(label_thresholds(manifest), dtype=np.float64), 1e-12, 1 - 1e-12)
        boundaries = manifest.temperature * np.log(thresholds / (1 - thresholds))
        return np.asarray(2 * np.abs(wide - boundaries))
    if manifest.head == "regression" or logits.shape[1] < 2:
        return np.full(len(logits), np.inf)
    best = np.partition(wide, -2, axis=1)
    return np.asarray(best[:, -1] - best[:, -2])


def logit_spread(logits: Logits, manifest: Manifest) -> float:
    """Return the unit of a relative tolerance: the standard deviation of the logits, but at least 0.25.

    A regression, whose logit is the prediction, uses half of it. The minimum keeps the tolerance usable for a
    model whose logits hardly differ.
    """
    spread = max(MIN_SPREAD, float(logits.std()))
    return spread / 2 if manifest.head == "regression" else spread


def rounded_min_agreement(required: float | None, decisions: int) -> float | None:
    """Round a required share down to whole decisions: 98% of 96 decisions requires 94 of them."""
    if required is None or not decisions:
        return required
    may_change = math.ceil(round((1 - required) * decisions, 6))
    return (decisions - may_change) / decisions


def _runtime(draft: Bundle, variant: str) -> Runtime:
    device = draft.manifest.variants[variant].device
    if device == "openvino" and importlib.util.find_spec("openvino") is not None:
        return open_openvino_runtimes(draft, variant, streams=1)[0]
    return OnnxRuntime(draft, variant)


def _check_finite(reference: Logits, rows: Sequence[TextInput]) -> None:
    if not np.isfinite(reference).all():
        raise BundleError(
            "the logits of the trained model are not finite",
            cause=f"{(~np.isfinite(reference)).sum()} logits of {len(rows)} reference rows are not finite",
            fix="train again with a smaller --learning-rate",
        )


def _share_of_wide_margins(reference: Logits, tolerance: float, manifest: Manifest) -> float:
    return float((decision_margins(reference, manifest) > 2 * tolerance).mean())


def _overall_min_agreement(required: float, real: int, decisions: int) -> float:
    """Return the required share of all logit vectors, the first `real` of which belong to validation rows."""
    return (required * real + min(required, EDGE_CASE_AGREEMENT) * (decisions - real)) / decisions


def _close_rows(comparison: _Comparison, difference: float) -> list[int]:
    """Return the rows with a decision whose margin is at most twice the measured difference."""
    close = decision_margins(comparison.reference, comparison.manifest) <= 2 * difference
    flat = close.any(axis=1) if close.ndim > 1 else close
    return sorted({*np.repeat(np.arange(len(comparison.rows)), comparison.lengths)[flat].tolist()})


def _metric_loss(comparison: _Comparison, validation: ValidationRows | None) -> float | None:
    if validation is None or validation.score is None or not validation.count:
        return None
    known = comparison.head(validation.count)
    if comparison.manifest.head == "token":
        ends = np.cumsum(comparison.lengths[: validation.count])[:-1]
        trained, variant = (validation.score(np.split(logits, ends)) for logits in known)
    else:
        trained, variant = (validation.score(logits) for logits in known)
    return trained - variant


def _describe_failure(parity: Parity, required: float | None, comparison: _Comparison) -> str:
    message = (
        f"largest logit difference {parity.max_abs_logit_diff:.3g} (allowed {parity.tolerance:.3g}), same "
        f"label for {parity.label_agreement:.2%} of {parity.rows} "
        f"(required {parity.min_label_agreement:.2%})"
    )
    if required is not None and parity.validation_agreement is not None:
        message += f", for {parity.validation_agreement:.2%} of the validation rows (required {required:.2%})"
    if parity.metric_loss is not None and parity.max_metric_loss is not None:
        message += f", metric loss {parity.metric_loss:.4f} (allowed {parity.max_metric_loss:g})"
    worst = largest_differences(
        comparison.rows, comparison.reference, comparison.found, lengths=comparison.lengths
    )
    return "; ".join(
        [message, *(f"row {row.row} ({row.text[:30]!a}) by {row.logit_diff:.3g}" for row in worst)]
    )
