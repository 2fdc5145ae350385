"""The gate: a graph that does not say what the trained model said never becomes a bundle."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream.bundle import Bundle, Manifest, Parity
from stream.classify.inputs import TextInput
from stream.classify.labels import label_thresholds
from stream.classify.parity import (
    compare,
    infer_all,
    largest_differences,
    read_lengths,
    read_reference,
    within_tolerance,
)
from stream.classify.tokenise import Tokeniser
from stream.errors import BundleError
from stream.runtime import OnnxRuntime, Runtime
from stream.runtime.base import Logits
from stream.runtime.openvino import open_streams

MIXED_ROWS = 8

Metric = Callable[[Logits | list[Logits]], float]
"""The task's own figure of merit, larger is better: of float32 [validation rows, labels], or for token
classification of a list of float32 [tokens, labels]. The rows are the first of the reference."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a gate asks for.

    Attributes:
        tolerance: largest difference from PyTorch, in logits.
        min_label_agreement: share of decisions that have to stay; None: all but those that lie nearer to their
            border than twice the tolerance, which no difference within it could hold to account.
        max_metric_loss: by how much the task's metric may be worse.
        in_spreads: whether the tolerance counts standard deviations of the reference logits instead of logits;
            for a regression halves of them.
    """

    tolerance: float
    min_label_agreement: float | None = None
    max_metric_loss: float | None = None
    in_spreads: bool = False


FP32_TERMS = Terms(1e-3)


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
    metric: Metric | None = None,
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
        metric: the task's own, for its loss.
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
        mixed, mixed_found = _mixed_batch(runtime, tokeniser, rows, lengths)
        reference_twice = np.concatenate([reference, reference[mixed]])
        found_twice = np.concatenate([found, mixed_found])
    else:
        # Which `compare` refuses.
        reference_twice, found_twice = reference, found
    tolerance = terms.tolerance * (_spread(reference, draft.manifest) if terms.in_spreads else 1.0)
    margins = decision_margins(reference_twice, draft.manifest)
    asked = terms.min_label_agreement
    parity = compare(
        reference_twice,
        found_twice,
        tolerance=tolerance,
        min_label_agreement=float((margins > 2 * tolerance).mean()) if asked is None else asked,
        manifest=draft.manifest,
    )
    close = decision_margins(reference, draft.manifest) <= 2 * parity.max_abs_logit_diff
    parity = parity.model_copy(
        update={
            "close_rows": _rows_of(close, lengths) if asked is None else None,
            "metric_loss": _metric_loss(metric, reference, found, lengths, draft.manifest),
            "max_metric_loss": terms.max_metric_loss,
            "device": runtime.device,
        }
    )
    return parity, "" if within_tolerance(parity) else _refusal(parity, rows, reference, found, lengths)


def prove(
    draft: Bundle,
    variant: str,
    terms: Terms = FP32_TERMS,
    metric: Metric | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Parity:
    """Measure a variant that a bundle cannot do without.

    Returns:
        What was measured, within the terms.

    Raises:
        BundleError: the variant is over its tolerance; the rows that moved furthest are named.
        DeviceError: the graph cannot be loaded.
    """
    parity, over = measure(draft, variant, terms, metric, progress)
    if over:
        raise BundleError(
            f"variant {variant} does not say what the trained model said",
            why=over,
            mend="nothing was published; try other versions of torch and optimum-onnx, or another base model",
        )
    return parity


def decision_margins(logits: Logits, manifest: Manifest) -> npt.NDArray[np.float64]:
    """How far each decision lies from its border: no decision changes while logits move by less than half of it.

    Args:
        logits: float32 [rows or tokens, labels].
        manifest: says what a decision is.

    Returns:
        float64 [rows or tokens]: best logit minus second best; for several labels float64 [rows, labels], twice
        the distance to the label's threshold; for a regression infinite.
    """
    wide = logits.astype(np.float64)
    if manifest.head == "multi-label":
        least = np.clip(np.array(label_thresholds(manifest), dtype=np.float64), 1e-12, 1 - 1e-12)
        return 2 * np.abs(wide - manifest.temperature * np.log(least / (1 - least)))
    if manifest.head == "regression" or logits.shape[1] < 2:
        return np.full(len(logits), np.inf)
    best = np.partition(wide, -2, axis=1)
    margins: npt.NDArray[np.float64] = best[:, -1] - best[:, -2]
    return margins


def _runtime(draft: Bundle, variant: str) -> Runtime:
    made_for = draft.manifest.variants[variant].device
    if made_for == "openvino" and importlib.util.find_spec("openvino") is not None:
        return open_streams(draft, variant, streams=1)[0]
    return OnnxRuntime(draft, variant)


def _check_finite(reference: Logits, rows: Sequence[TextInput]) -> None:
    if not np.isfinite(reference).all():
        raise BundleError(
            "the trained model's logits are not finite",
            why=f"{int((~np.isfinite(reference)).sum())} of them, over {len(rows)} reference rows",
            mend="train again with a smaller --learning-rate",
        )


def _spread(reference: Logits, manifest: Manifest) -> float:
    """A standard deviation of the logits, at least a quarter so that a model without opinions has a gate too."""
    spread = max(0.25, float(reference.std()))
    return spread / 2 if manifest.head == "regression" else spread


def _mixed_batch(
    runtime: Runtime, tokeniser: Tokeniser, rows: Sequence[TextInput], lengths: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], Logits]:
    """Rows from the shortest to the longest in one batch.

    Returns:
        Where their logits stand in the reference, and what was found for them, float32 [places, labels].
    """
    encoded = tokeniser.encode(rows)
    # A row of several windows has no batch of its own.
    whole = [at for at, tokens in enumerate(encoded) if not getattr(tokens, "cut", False)]
    whole.sort(key=lambda at: len(encoded[at]))
    picked = sorted({whole[round(share)] for share in np.linspace(0, len(whole) - 1, MIXED_ROWS)})
    logits = runtime.infer(tokeniser.pad([encoded[at] for at in picked]))
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    places = np.concatenate([np.arange(starts[at], starts[at] + lengths[at]) for at in picked])
    if tokeniser.of_tokens:
        logits = np.concatenate([logits[n, : lengths[at]] for n, at in enumerate(picked)])
    return places.astype(np.int64), logits


def _rows_of(marked: npt.NDArray[np.bool_], lengths: npt.NDArray[np.int64]) -> list[int]:
    """Reference rows with a mark among their rows of logits, bool [rows of logits] or [rows, labels]."""
    flat = marked.any(axis=1) if marked.ndim > 1 else marked
    return sorted({*np.repeat(np.arange(len(lengths)), lengths)[flat].tolist()})


def _metric_loss(
    metric: Metric | None,
    reference: Logits,
    found: Logits,
    lengths: npt.NDArray[np.int64],
    manifest: Manifest,
) -> float | None:
    if metric is None:
        return None
    if manifest.head == "token":
        cuts = np.cumsum(lengths)[:-1]
        return metric(np.split(reference, cuts)) - metric(np.split(found, cuts))
    return metric(reference) - metric(found)


def _refusal(
    parity: Parity,
    rows: Sequence[TextInput],
    reference: Logits,
    found: Logits,
    lengths: npt.NDArray[np.int64],
) -> str:
    """By how much, and which rows."""
    told = (
        f"largest logit difference {parity.max_abs_logit_diff:.3g} (allowed {parity.tolerance:.3g}), same label "
        f"for {parity.label_agreement:.2%} of {parity.rows} (asked for {parity.min_label_agreement:.2%})"
    )
    if parity.metric_loss is not None and parity.max_metric_loss is not None:
        told += f", the metric is {parity.metric_loss:.4f} worse (allowed {parity.max_metric_loss:g})"
    worst = largest_differences(rows, reference, found, lengths=lengths)
    return "; ".join([told, *(f"row {row.row} ({row.text[:30]!a}) by {row.logit_diff:.3g}" for row in worst)])
