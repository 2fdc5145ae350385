"""Checks of the measured figures against the targets."""

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.quality.results import SetResults, TrainedRun
from benchmarks.quality.sets import (
    FIGURE_NAMES,
    FP32_TOLERANCE,
    INT8_AGREEMENT,
    INT8_METRIC_LOSS,
    MAX_MINUTES,
    QualitySet,
)
from benchmarks.speed.report import Check, at_least, at_most


def checks(quality_set: QualitySet, results: SetResults) -> list[Check]:
    """Return the checks of all targets of a set."""
    return [*_figures(quality_set, results), *_comparison(quality_set, results), *_runs(results.trained_runs)]


def above(name: str, measured: float, limit: float) -> Check:
    """Return the check of a strict lower limit."""
    return Check(name, f"> {limit:.4f}", f"{measured:.4f}", measured > limit)


def _figures(quality_set: QualitySet, results: SetResults) -> Iterator[Check]:
    headline = quality_set.figures[0]
    headline_name = FIGURE_NAMES[headline]
    for run in results.trained_runs:
        test, prefix = run.metrics["test"], _run_prefix(run, results.trained_runs)
        for target in quality_set.targets:
            yield at_least(
                f"{prefix}{FIGURE_NAMES[target.figure]}", test[target.figure], target.minimum, digits=4
            )
        if quality_set.beats_baseline and results.baseline is not None:
            yield above(
                f"{prefix}{headline_name} above the baseline", test[headline], results.baseline[headline]
            )
        if quality_set.beats_half:
            yield above(
                f"{prefix}{headline_name} above thresholds of 0.5", test[headline], test["at_half"][headline]
            )


def _comparison(quality_set: QualitySet, results: SetResults) -> Iterator[Check]:
    comparison = quality_set.comparison
    if comparison is not None:
        _, gain = results.compared[comparison.figure][comparison.arm]
        name = f"{FIGURE_NAMES[comparison.figure]}, {comparison.arm} minus {comparison.against}, lower end"
        yield Check(name, f"> {comparison.margin:g}", f"{gain.low:+.4f}", gain.low > comparison.margin)


def _runs(trained_runs: Sequence[TrainedRun]) -> Iterator[Check]:
    """Check the worst of all runs."""
    slowest = max(run.record.seconds for run in trained_runs) / 60
    yield at_most("minutes of the longest run", slowest, MAX_MINUTES, digits=1)
    differences = [run.manifest.variants["fp32"].parity.max_abs_logit_diff for run in trained_runs]
    yield at_most("fp32, largest logit difference", max(differences), FP32_TOLERANCE, digits=6)
    names = sorted(
        {name for run in trained_runs for name, entry in run.manifest.variants.items() if _int8(entry)}
    )
    for name in names:
        yield from _quantised(name, trained_runs)
    if not names:
        yield Check("int8 in the bundle", "yes", "rejected by the gate", met=False)


def _quantised(name: str, trained_runs: Sequence[TrainedRun]) -> Iterator[Check]:
    entries = [run.manifest.variants.get(name) for run in trained_runs]
    parities = [entry.parity for entry in entries if entry is not None]
    if len(parities) < len(trained_runs):
        bundles_with_variant = f"{len(parities)} of {len(trained_runs)}"
        yield Check(f"{name} in every bundle", "yes", bundles_with_variant, met=False)
    agreement = min(parity.label_agreement for parity in parities)
    yield at_least(f"{name}, agreement", agreement, INT8_AGREEMENT, digits=4)
    losses = [parity.metric_loss for parity in parities]
    if None in losses:
        yield Check(f"{name}, metric loss", f"≤ {INT8_METRIC_LOSS:g}", "not measured", met=False)
    else:
        worst = max(loss for loss in losses if loss is not None)
        yield at_most(f"{name}, metric loss", worst, INT8_METRIC_LOSS, digits=4)


def _int8(entry: Any) -> bool:
    return bool(entry.precision == "int8")


def _run_prefix(run: TrainedRun, trained_runs: Sequence[TrainedRun]) -> str:
    return f"{run.spec.label}, " if len(trained_runs) > 1 else ""
