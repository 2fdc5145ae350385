"""The statistics of the agreement between a variant and the trained model.

The decisions of one row depend on each other, so the interval counts rows, not decisions. Rows with different
numbers of decisions count as fewer rows of equal size (Kish 1965). The interval is exact for independent rows
(Clopper and Pearson 1934): each end is wrong in at most 2.5% of the samples.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from stream.bundle import RealRows, Verdict

MAX_REAL_ROWS = 1000
"""The largest number of real rows in a reference."""

TAIL = 0.025
MAX_ROWS_TO_DECIDE = 20_000


@dataclass(frozen=True, slots=True)
class Requirement:
    """The agreement that a variant must show.

    Attributes:
        observed: the required share of equal decisions in the sample, rounded down to whole decisions.
        shown: the share that the interval must exclude values below; None accepts any number of rows.
    """

    observed: float
    shown: float | None = None


def agreement_interval(agreement: float, rows: float) -> tuple[float, float]:
    """Return the 95% confidence interval of a share of equal decisions, measured on some independent rows.

    Args:
        agreement: the share of equal decisions.
        rows: the number of rows, not necessarily whole; without rows the interval is 0 to 1.
    """
    low, high = _interval_ends(agreement, np.array([rows], dtype=np.float64))
    return float(low[0]), float(high[0])


def measure_real_rows(
    equal: npt.NDArray[np.bool_], lengths: npt.NDArray[np.int64], required: float
) -> RealRows | None:
    """Return the agreement on the real rows with its interval; None without rows.

    Args:
        equal: whether each decision is the same, bool [logit vectors, decisions of a vector].
        lengths: the number of logit vectors of each row.
        required: the required share of equal decisions.
    """
    if not len(lengths):
        return None
    sizes = lengths.astype(np.float64) * equal.shape[1]
    agreement = float(equal.mean())
    return RealRows(
        rows=len(lengths),
        decisions=equal.size,
        label_agreement=agreement,
        interval=agreement_interval(agreement, sizes.sum() ** 2 / (sizes**2).sum()),
        min_label_agreement=required,
    )


def judge(real: RealRows | None, requirement: Requirement) -> Verdict:
    """Return the verdict on an agreement.

    A variant is refused if its interval lies below the required share. It passes if the observed share
    reaches the requirement and the interval does not extend below the share that must be shown. Otherwise the
    rows are too few.
    """
    if real is None:
        return "passed" if requirement.shown is None else "undecided"
    low, high = real.interval
    if high < real.min_label_agreement:
        return "refused"
    shown = requirement.shown is None or low >= requirement.shown
    return "passed" if real.label_agreement >= requirement.observed and shown else "undecided"


def rows_to_decide(real: RealRows, shown: float | None) -> int | None:
    """Return the number of rows that would decide about the observed share; None beyond 20,000 rows."""
    rows = np.arange(real.rows + 1, MAX_ROWS_TO_DECIDE + 1, dtype=np.float64)
    low, high = _interval_ends(real.label_agreement, rows)
    if real.label_agreement < real.min_label_agreement:
        decided = high < real.min_label_agreement
    else:
        decided = low >= (0.0 if shown is None else shown)
    return int(rows[decided.argmax()]) if decided.any() else None


def rounded_min_agreement(required: float | None, decisions: int) -> float | None:
    """Round a required share down to whole decisions: 98% of 96 decisions requires 94 of them."""
    if required is None or not decisions:
        return required
    may_change = math.ceil(round((1 - required) * decisions, 6))
    return (decisions - may_change) / decisions


def _interval_ends(
    agreement: float, rows: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    changed = rows * (1 - agreement)
    same = rows - changed
    # The beta distribution is not defined for a parameter of 0; the end of the interval is then 0 or 1.
    low = np.where(same > 0, betaincinv(np.maximum(same, 1e-9), changed + 1, TAIL), 0.0)
    high = np.where(changed > 0, betaincinv(same + 1, np.maximum(changed, 1e-9), 1 - TAIL), 1.0)
    return low, high
