"""The costs of wrong decisions, and the threshold of each label with the lowest cost."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.bundle import HeadKind
from stream.errors import UsageError
from trainer.evaluation.findings import CostCurve

NAMES = ("false_positive", "false_negative", "positive")
PART = re.compile(rf",(?=\s*(?:{'|'.join(NAMES)})\s*=)")
EXAMPLE = "--cost false_positive=1,false_negative=5"
MAX_POINTS = 201
"""The number of points of a cost curve with more different probabilities."""

MAX_LISTED = 20

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of wrong decisions about one label; a right decision costs nothing.

    Attributes:
        false_positive: the cost of a row that gets the label without having it.
        false_negative: the cost of a row that has the label without getting it.
        positive: the label that counts as positive; None for the rarer one of two labels, else for each label
            in turn.
    """

    false_positive: float = 1.0
    false_negative: float = 1.0
    positive: str | None = None

    @property
    def bayes_threshold(self) -> float:
        """The threshold with the lowest expected cost if the probabilities are perfectly calibrated."""
        return self.false_positive / (self.false_positive + self.false_negative)


def parse_costs(text: str) -> Costs:
    """Read the value of `--cost`, such as `false_positive=1,false_negative=5,positive=spam`.

    A cost that is not given is 1. The name of a label may contain commas and equals signs.

    Raises:
        UsageError: a name is unknown or repeated, or a cost is not a number of at least 0, or both are 0.
    """
    given: dict[str, str] = {}
    for part in PART.split(text):
        name, equals, value = part.partition("=")
        name = name.strip()
        if name not in NAMES or not equals:
            raise _unknown(text, name if equals else part.strip())
        if name in given:
            raise _refused(text, f"{name} is given twice", "give each name once")
        given[name] = value.strip()
    numbers = {name: _number(text, name, given[name]) for name in NAMES[:2] if name in given}
    costs = Costs(**numbers, positive=given.get("positive"))
    if costs.positive == "":
        raise _refused(text, "positive names no label", "write positive=LABEL, or leave positive out")
    if not costs.false_positive + costs.false_negative:
        raise _refused(text, "both costs are 0, so every threshold costs the same", "make one positive")
    return costs


def _number(text: str, name: str, value: str) -> float:
    first, comma, rest = value.partition(",")
    try:
        number = float(first)
    except ValueError:
        raise _refused(
            text, f"{name} is {value!r}, which is not a number", f"write a number: {name}=2.5"
        ) from None
    if comma:
        raise _unknown(text, rest.partition("=")[0].strip())
    if not math.isfinite(number) or number < 0:
        raise _refused(text, f"{name} is {first}, and a cost is a number of at least 0", f"write {name}=1")
    return number


def _unknown(text: str, name: str) -> UsageError:
    return _refused(
        text, f"{name!r} is not one of {', '.join(NAMES)}", f"write for example {EXAMPLE},positive=LABEL"
    )


def _refused(text: str, cause: str, fix: str) -> UsageError:
    return UsageError(f"--cost {text!r} cannot be read", cause=cause, fix=fix)


def check_costs(costs: Costs | None, head: HeadKind, labels: Sequence[str]) -> None:
    """Check that costs apply to a model; call this before a training, which takes long.

    Raises:
        UsageError: the task has no threshold per label, or the positive label is not a label of the model.
    """
    if costs is None:
        return
    if head in ("regression", "token"):
        raise UsageError(
            "--cost does not apply to this model",
            cause=f"a model of the task {head} has no threshold per label",
            fix="leave --cost out",
        )
    if costs.positive is not None and costs.positive not in labels:
        names = ", ".join([*labels[:MAX_LISTED], *(["…"] if len(labels) > MAX_LISTED else [])])
        raise UsageError(
            f"--cost names the positive label {costs.positive!r}",
            cause=f"the labels of the model are {names}",
            fix="write one of these labels after positive=",
        )


def cost_curves(
    labels: Sequence[str],
    probabilities: Floats,
    positive: Flags,
    costs: Costs | None,
    thresholds: Mapping[str, float] | None,
) -> tuple[list[CostCurve], list[str]]:
    """Return the cost curves of a task with labels, and notes on them.

    Args:
        labels: the labels in the order of the columns.
        probabilities: calibrated probabilities, [rows, labels].
        positive: whether each row has each label, [rows, labels].
        costs: the costs; None for equal costs, which give no curves for three or more exclusive labels.
        thresholds: the thresholds of the bundle, for labels that do not exclude each other.
    """
    exclusive = thresholds is None
    if len(labels) < 2 and exclusive:
        return [], ["There is no cost curve, because the model has one label."]
    if not len(positive) or (costs is None and exclusive and len(labels) > 2):
        return [], []
    columns, notes = _chosen(labels, positive, costs, exclusive=exclusive)
    used = costs or Costs()
    current = thresholds or ({labels[at]: 0.5 for at in columns} if len(labels) == 2 else {})
    usable = [at for at in columns if positive[:, at].any() and not positive[:, at].all()]
    if len(usable) < len(columns):
        notes.append(
            f"{len(columns) - len(usable)} of {len(columns)} labels have no cost curve: all rows have "
            "the label or none has it."
        )
    curves = [
        _curve(labels[at], probabilities[:, at], positive[:, at], used, current.get(labels[at]))
        for at in usable
    ]
    if curves:
        notes.append(
            f"A false positive costs {used.false_positive:g} and a false negative {used.false_negative:g}. "
            f"With perfectly calibrated probabilities the best threshold is {used.bayes_threshold:.3g}. The "
            "best thresholds were chosen on the evaluated rows, so their costs on new rows may be higher."
        )
    return curves, notes


def _chosen(
    labels: Sequence[str], positive: Flags, costs: Costs | None, *, exclusive: bool
) -> tuple[list[int], list[str]]:
    """Return the columns that get a curve, and notes on the choice."""
    if costs is not None and costs.positive is not None:
        notes = [f"In the cost curve {costs.positive} is positive and every other label negative."]
        return [labels.index(costs.positive)], notes if exclusive else []
    if not exclusive:
        return list(range(len(labels))), []
    if len(labels) == 2:
        rarer = 0 if positive[:, 0].sum() < positive[:, 1].sum() else 1
        return [rarer], [f"In the cost curve the label {labels[rarer]} is positive, the rarer one."]
    return list(range(len(labels))), ["Each cost curve is that of one label against the rest."]


def _curve(
    label: str, probabilities: Floats, positive: Flags, costs: Costs, current: float | None
) -> CostCurve:
    """Return the cost per row of giving the label at or above each threshold."""
    ascending = np.sort(probabilities)
    distinct = np.unique(ascending)
    edges = np.concatenate([[0.0], (distinct[1:] + distinct[:-1]) / 2, [(distinct[-1] + 1) / 2]])
    exact = _costs(edges, ascending, np.sort(probabilities[positive]), costs)
    cheapest = edges[exact <= exact.min() + 1e-12]
    best = float(cheapest[np.argmin(np.abs(cheapest - costs.bayes_threshold))])
    shown = edges if len(edges) <= MAX_POINTS else np.linspace(0, 1, MAX_POINTS)
    extra: list[Any] = [best] if current is None else [best, current]
    shown = np.unique(np.concatenate([shown, extra]))
    return CostCurve(
        label,
        shown.tolist(),
        _costs(shown, ascending, np.sort(probabilities[positive]), costs).tolist(),
        best,
        current,
    )


def _costs(thresholds: Floats, ascending: Floats, ascending_positive: Floats, costs: Costs) -> Floats:
    """Return the cost per row at thresholds, from the sorted probabilities of all and of positive rows."""
    missed = np.searchsorted(ascending_positive, thresholds, side="left")
    given = len(ascending) - np.searchsorted(ascending, thresholds, side="left")
    wrongly_given = given - (len(ascending_positive) - missed)
    result: Floats = (costs.false_positive * wrongly_given + costs.false_negative * missed) / len(ascending)
    return result
