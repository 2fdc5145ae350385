"""The parity check: a graph that does not match the trained PyTorch model is not published."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream.bundle import Bundle, Manifest, Parity
from stream.classify import TextInput, Tokeniser, label_thresholds
from stream.errors import BundleError
from stream.runtime import Logits, OnnxRuntime, Runtime, open_openvino_runtimes
from stream.verify import (
    compare,
    equal_decisions,
    infer_all,
    largest_differences,
    read_lengths,
    read_reference,
    within_tolerance,
)
from trainer.export.agreement import (
    Requirement,
    judge,
    measure_real_rows,
    rounded_min_agreement,
)
from trainer.export.failure import describe_failure
from trainer.export.metric_loss import MetricLoss, RowScore, Score, measure_loss
from trainer.export.reference import infer_mixed_batch
from trainer.model.inference import ModelOutput, Progress

EDGE_CASE_AGREEMENT = 0.85
"""The required agreement for edge-case rows, which may be close to a decision boundary."""

MIN_SPREAD = 0.25
NOT_FINITE = float(np.finfo(np.float32).max)
"""The largest logit difference of a variant whose logits are not finite."""


@dataclass(frozen=True, slots=True)
class ValidationRows:
    """The real rows of a reference: validation rows, and training rows after them.

    Attributes:
        count: the number of validation rows, which are the first rows of the reference.
        score: the task's metric of the output for the validation rows; larger is better.
        row_score: the same metric for some of the validation rows, for its standard error.
        more: the number of training rows, which follow. Their labels are not used.
    """

    count: int
    score: Score | None = None
    row_score: RowScore | None = None
    more: int = 0


@dataclass(frozen=True, slots=True)
class ParityLimits:
    """The limits for the difference between a variant and the trained model.

    Attributes:
        tolerance: the largest allowed difference of a logit.
        min_label_agreement: the required share of the decisions in real rows that stay the same. None
            requires it of all decisions in all rows whose margin exceeds twice the tolerance.
        min_shown_agreement: the share that the lower end of the 95% interval of this share must reach. None
            accepts any number of rows.
        max_metric_loss: the largest allowed loss of the task's metric.
        relative_to_spread: whether the tolerance is a multiple of `logit_spread` instead of logits.
    """

    tolerance: float
    min_label_agreement: float | None = None
    min_shown_agreement: float | None = None
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

    def vectors(self, rows: int) -> int:
        """Return the number of logit vectors of the first rows."""
        return int(self.lengths[:rows].sum())

    def outputs(self, rows: int) -> tuple[ModelOutput, ModelOutput]:
        """Return the outputs of the trained model and of the variant for the first rows."""
        vectors = self.vectors(rows)
        trained, variant = self.reference[:vectors], self.found[:vectors]
        if self.manifest.head != "token":
            return trained, variant
        ends = np.cumsum(self.lengths[:rows])[:-1]
        return np.split(trained, ends), np.split(variant, ends)


def unmeasured_parity() -> Parity:
    """Return a placeholder that fails every check, for a graph that is not measured yet."""
    return Parity(
        rows=1,
        max_abs_logit_diff=NOT_FINITE,
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
            fix="nothing was published; try other versions of torch and transformers, or another base model",
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
        The measurement, and "" or one line that names the verdict, the measured figures and the rows with the
        largest differences.

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
    tolerance = limits.tolerance
    if limits.relative_to_spread:
        tolerance *= logit_spread(comparison.reference, draft.manifest)
    # `compare` raises an error for different shapes.
    parity = compare(
        reference, found, tolerance=tolerance, min_label_agreement=0, manifest=draft.manifest
    ).model_copy(update={"device": runtime.device, "max_metric_loss": limits.max_metric_loss})
    validation = validation or ValidationRows(len(rows))
    parity = _with_metric_loss(parity, comparison, validation, limits)
    equal = equal_decisions(reference, found, tolerance, draft.manifest)
    if limits.min_label_agreement is None:
        parity = _judge_all_rows(parity, comparison, validation, reference, equal)
    else:
        parity = _judge_real_rows(parity, comparison, validation, limits, equal)
    if parity.verdict == "passed":
        return parity, ""
    worst = largest_differences(
        comparison.rows, comparison.reference, comparison.found, lengths=comparison.lengths
    )
    rows_with_differences = (f"row {row.row} ({row.text[:30]!a}) by {row.logit_diff:.3g}" for row in worst)
    failure = describe_failure(parity, limits.min_shown_agreement)
    return parity, "; ".join([failure, *rows_with_differences])


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


def _with_metric_loss(
    parity: Parity, comparison: _Comparison, validation: ValidationRows, limits: ParityLimits
) -> Parity:
    if validation.score is None or not validation.count:
        return parity
    found: MetricLoss = measure_loss(
        *comparison.outputs(validation.count), limits.max_metric_loss, validation.score, validation.row_score
    )
    return parity.model_copy(update={"metric_loss": found.loss, "max_metric_loss": found.allowed})


def _judge_all_rows(
    parity: Parity,
    comparison: _Comparison,
    validation: ValidationRows,
    reference: Logits,
    equal: npt.NDArray[np.bool_],
) -> Parity:
    """Require the same decision wherever the margin exceeds twice the tolerance."""
    wide = decision_margins(reference, comparison.manifest) > 2 * parity.tolerance
    parity = parity.model_copy(
        update={
            # `verify` measures the reference rows without the batch of mixed lengths.
            "min_label_agreement": float(min(wide.mean(), wide[: len(comparison.reference)].mean())),
            "close_rows": _close_rows(comparison, parity.max_abs_logit_diff),
            "validation_agreement": _agreement(equal[: comparison.vectors(validation.count)]),
        }
    )
    return parity.model_copy(update={"verdict": "passed" if within_tolerance(parity) else "refused"})


def _judge_real_rows(
    parity: Parity,
    comparison: _Comparison,
    validation: ValidationRows,
    limits: ParityLimits,
    equal: npt.NDArray[np.bool_],
) -> Parity:
    """Judge the agreement on the real rows, and that on the edge cases and the batch of mixed lengths."""
    required = limits.min_label_agreement
    assert required is not None
    seen, real = (comparison.vectors(rows) for rows in (validation.count, validation.count + validation.more))
    minimum = rounded_min_agreement(required, equal[:real].size)
    assert minimum is not None
    lengths = comparison.lengths[: validation.count + validation.more]
    measured = measure_real_rows(equal[:real], lengths, required)
    requirement = Requirement(minimum, limits.min_shown_agreement)
    verdict = judge(measured, requirement)
    # The model knows its training rows, so its margins are wide there. The validation rows must not differ.
    unseen = measure_real_rows(equal[:seen], comparison.lengths[: validation.count], required)
    if unseen is not None and judge(unseen, Requirement(0.0)) == "refused":
        verdict = "refused"
    edge_minimum = min(required, EDGE_CASE_AGREEMENT)
    parity = parity.model_copy(
        update={
            "min_label_agreement": (minimum * real + edge_minimum * (len(equal) - real)) / len(equal),
            "validation_agreement": _agreement(equal[:seen]),
            "real": measured,
        }
    )
    beyond = not within_tolerance(parity.model_copy(update={"min_label_agreement": 0.0}))
    # `verify` measures the reference rows without the batch of mixed lengths; both must reach the limit.
    together = min(parity.label_agreement, float(equal[: len(comparison.reference)].mean()))
    edge_agreement = _agreement(equal[real:])
    edge_cases_differ = edge_agreement is not None and edge_agreement < edge_minimum
    if beyond or (together < parity.min_label_agreement and (edge_cases_differ or verdict == "passed")):
        verdict = "refused"
    return parity.model_copy(update={"verdict": verdict})


def _agreement(equal: npt.NDArray[np.bool_]) -> float | None:
    return float(equal.mean()) if equal.size else None


def _close_rows(comparison: _Comparison, difference: float) -> list[int]:
    """Return the rows with a decision whose margin is at most twice the measured difference."""
    close = decision_margins(comparison.reference, comparison.manifest) <= 2 * difference
    flat = close.any(axis=1) if close.ndim > 1 else close
    return sorted({*np.repeat(np.arange(len(comparison.rows)), comparison.lengths)[flat].tolist()})
