"""The figures that a bundle must reach, such as `--min f1[billing]=0.8` and `--max log_loss=0.3`."""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from stream.errors import LabelstreamError, UsageError
from trainer.evaluation.figures import LABEL_FIGURES, LOWER_IS_BETTER

PATTERN = re.compile(r"\s*(?P<figure>\w+)(?:\[(?P<label>.*)\])?\s*=(?P<value>[^=]*)", re.DOTALL)
MAX_LISTED = 20


class RequirementError(LabelstreamError):
    """A bundle does not reach a required figure."""

    exit_code: ClassVar[int] = 8


@dataclass(frozen=True, slots=True)
class Requirement:
    """A bound for a figure.

    Attributes:
        figure: the name of the figure in metrics.json.
        value: the bound, which the figure may equal.
        label: the label of a figure of one label; None for a figure of all rows.
        is_max: whether the bound is the largest allowed value instead of the smallest.
    """

    figure: str
    value: float
    label: str | None = None
    is_max: bool = False

    @property
    def name(self) -> str:
        """The figure as the user writes it."""
        return self.figure if self.label is None else f"{self.figure}[{self.label}]"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A requirement, and the figure that was found; None if the rows do not define it."""

    requirement: Requirement
    found: float | None

    @property
    def met(self) -> bool:
        """Whether the figure reaches the bound."""
        if self.found is None:
            return False
        bound = self.requirement.value
        return self.found <= bound if self.requirement.is_max else self.found >= bound

    @property
    def text(self) -> str:
        """The requirement and the figure in one line."""
        found = "undefined" if self.found is None else f"{self.found:.6g}"
        sign = "<=" if self.requirement.is_max else ">="
        return f"{self.requirement.name} = {found}, required {sign} {self.requirement.value:g}"


def parse_requirements(
    minima: Sequence[str], maxima: Sequence[str], figures: Sequence[str], labels: Sequence[str]
) -> list[Requirement]:
    """Read the values of `--min` and `--max`.

    Args:
        minima: the values of `--min`, each NAME=VALUE or NAME[LABEL]=VALUE.
        maxima: the values of `--max`.
        figures: the figures of the task.
        labels: the labels, or for spans their types; empty for a regression.

    Raises:
        UsageError: a value has another form, a figure or a label does not exist, or the bound is on the wrong
            side of the figure.
    """
    return [
        _parse(option, text, figures, labels)
        for option, texts in (("--min", minima), ("--max", maxima))
        for text in texts
    ]


def check_requirements(requirements: Sequence[Requirement], metrics: Mapping[str, Any]) -> list[Outcome]:
    """Return the outcome of each requirement, given the metrics of the evaluated rows.

    A figure of a label without rows is undefined, so that its requirement is not met.
    """
    return [Outcome(requirement, _found(requirement, metrics)) for requirement in requirements]


def refuse_unmet(outcomes: Sequence[Outcome], results: str) -> None:
    """Raise an error if a requirement is not met.

    Args:
        outcomes: the outcomes of all requirements.
        results: the folder with the results.

    Raises:
        RequirementError: a requirement is not met.
    """
    unmet = [outcome.text for outcome in outcomes if not outcome.met]
    if unmet:
        raise RequirementError(
            f"the bundle does not reach {len(unmet)} of {len(outcomes)} required figures",
            cause="; ".join(unmet),
            fix=f"read {results} for the wrong rows, then train with more or better data, or require less",
        )


def _found(requirement: Requirement, metrics: Mapping[str, Any]) -> float | None:
    if requirement.label is None:
        value = metrics.get(requirement.figure)
    else:
        of_label = metrics.get("per_label", {}).get(requirement.label, {})
        value = of_label.get(requirement.figure) if of_label.get("support") else None
    return None if value is None else float(value)


def _parse(option: str, text: str, figures: Sequence[str], labels: Sequence[str]) -> Requirement:
    matched = PATTERN.fullmatch(text)
    try:
        value = float(matched["value"]) if matched else math.nan
    except ValueError:
        value = math.nan
    if matched is None or not math.isfinite(value):
        raise UsageError(
            f"{option} {text!r} is not valid",
            cause="it has the form NAME=NUMBER, or NAME[LABEL]=NUMBER for the figure of one label",
            fix=f"such as {option} {figures[0] if figures else 'accuracy'}=0.9",
        )
    figure, label = matched["figure"], matched["label"]
    known = figures if label is None else LABEL_FIGURES if labels else ()
    _check_name(option, "figure", figure, known, of_label=label is not None)
    if label is not None:
        _check_name(option, "label", label, labels)
    other = {"--min": "--max", "--max": "--min"}[option]
    if (figure in LOWER_IS_BETTER) != (option == "--max"):
        better = "smaller" if figure in LOWER_IS_BETTER else "larger"
        raise UsageError(
            f"{option} {text} is on the wrong side",
            cause=f"{figure} is better if it is {better}",
            fix=f"{other} {text}",
        )
    return Requirement(figure, value, label, is_max=option == "--max")


def _check_name(option: str, kind: str, name: str, known: Sequence[str], *, of_label: bool = False) -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=1)
    listed = ", ".join(known[:MAX_LISTED])
    more = f" and {len(known) - MAX_LISTED} more" if len(known) > MAX_LISTED else ""
    of_what = " of a label" if of_label else ""
    raise UsageError(
        f"{option}: there is no {kind} {name!r}{of_what}",
        cause=f"the {kind}s{of_what} are: {listed}{more}" if known else f"the task has no {kind}s{of_what}",
        fix=f"did you mean {close[0]}?" if close else f"use one of these {kind}s",
    )
