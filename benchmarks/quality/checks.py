"""Targets against what was measured. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.quality.results import Findings, Trained
from benchmarks.quality.sets import (
    FP32_TOLERANCE,
    INT8_AGREEMENT,
    INT8_METRIC_LOSS,
    MOST_MINUTES,
    WORDS,
    QualitySet,
)
from benchmarks.speed.report import Check, at_least, at_most


def checks(wanted: QualitySet, found: Findings) -> list[Check]:
    """Every target of a set, met or not."""
    return [*_figures(wanted, found), *_comparison(wanted, found), *_runs(found.trained)]


def above(what: str, measured: float, limit: float) -> Check:
    """A target that is met from above, and not by equality."""
    return Check(what, f"> {limit:.4f}", f"{measured:.4f}", measured > limit)


def _figures(wanted: QualitySet, found: Findings) -> Iterator[Check]:
    headline = wanted.figures[0]
    word = WORDS[headline]
    for one in found.trained:
        test, who = one.metrics["test"], _who(one, found.trained)
        for target in wanted.targets:
            yield at_least(f"{who}{WORDS[target.figure]}", test[target.figure], target.least, digits=4)
        if wanted.beats_floor and found.floor is not None:
            yield above(f"{who}{word} above the SVM's", test[headline], found.floor[headline])
        if wanted.beats_half:
            yield above(f"{who}{word} above that at 0.5", test[headline], test["at_half"][headline])


def _comparison(wanted: QualitySet, found: Findings) -> Iterator[Check]:
    asked = wanted.comparison
    if asked is not None:
        _, gain = found.compared[asked.figure][asked.arm]
        what = f"{WORDS[asked.figure]}, {asked.arm} less {asked.against}, low end"
        yield Check(what, f"> {asked.margin:g}", f"{gain.low:+.4f}", gain.low > asked.margin)


def _runs(trained: Sequence[Trained]) -> Iterator[Check]:
    """Of all runs the worst."""
    slowest = max(one.done.seconds for one in trained) / 60
    yield at_most("minutes of the longest run", slowest, MOST_MINUTES, digits=1)
    differences = [one.manifest.variants["fp32"].parity.max_abs_logit_diff for one in trained]
    yield at_most("fp32, largest logit difference", max(differences), FP32_TOLERANCE, digits=6)
    names = sorted({name for one in trained for name, entry in one.manifest.variants.items() if _int8(entry)})
    for name in names:
        yield from _quantised(name, trained)
    if not names:
        yield Check("int8 in the bundle", "yes", "left out by the gate", met=False)


def _quantised(name: str, trained: Sequence[Trained]) -> Iterator[Check]:
    found = [one.manifest.variants.get(name) for one in trained]
    parities = [entry.parity for entry in found if entry is not None]
    if len(parities) < len(trained):
        had = f"{len(parities)} of {len(trained)}"
        yield Check(f"{name} in every bundle", "yes", had, met=False)
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


def _who(one: Trained, trained: Sequence[Trained]) -> str:
    return f"{one.run.label}, " if len(trained) > 1 else ""
