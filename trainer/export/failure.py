"""The description of a variant that did not pass its parity check, without texts of the data."""

from stream.bundle import Parity, describe_agreement
from trainer.export.agreement import MAX_REAL_ROWS, rows_to_decide

Figure = tuple[bool, str]
"""Whether a limit is exceeded, and the text with the measured value and the limit."""


def describe_failure(parity: Parity, shown: float | None = None) -> str:
    """Return the verdict on a variant and its figures in one line.

    Args:
        parity: the measurement, with its verdict.
        shown: the share that the lower end of the interval must reach.
    """
    figures = [*_agreement(parity), _difference(parity), *_metric_loss(parity)]
    # A stable sort: the limits that are exceeded come first.
    parts = [text for _, text in sorted(figures, key=lambda figure: not figure[0])]
    if parity.verdict == "undecided":
        parts.append(_how_to_decide(parity, shown))
    return f"{parity.verdict}: {'; '.join(parts)}"


def _agreement(parity: Parity) -> list[Figure]:
    real = parity.real
    low = parity.label_agreement < parity.min_label_agreement
    overall = f"{parity.label_agreement:.2%} of {parity.rows} (required {parity.min_label_agreement:.2%})"
    if real is None:
        return [(low, f"same decision for {overall}")]
    same = f"same decision for {describe_agreement(parity)}, required {100 * real.min_label_agreement:.4g}%"
    validation = parity.validation_agreement or 0.0
    refused = parity.verdict == "refused" and validation < real.min_label_agreement
    return [
        (real.label_agreement < real.min_label_agreement, same),
        (refused, f"for {validation:.2%} of the validation rows"),
        *([(low, f"with edge cases for {overall}")] if low else []),
    ]


def _difference(parity: Parity) -> Figure:
    text = f"largest logit difference {parity.max_abs_logit_diff:.3g} (allowed {parity.tolerance:.3g})"
    return parity.max_abs_logit_diff > parity.tolerance, text


def _metric_loss(parity: Parity) -> list[Figure]:
    if parity.metric_loss is None or parity.max_metric_loss is None:
        return []
    text = f"metric loss {parity.metric_loss:.4f} (allowed {parity.max_metric_loss:.3g})"
    return [(parity.metric_loss > parity.max_metric_loss, text)]


def _how_to_decide(parity: Parity, shown: float | None) -> str:
    if parity.real is None:
        return "there are no real rows"
    rows = rows_to_decide(parity.real, shown)
    if rows is None or rows > MAX_REAL_ROWS:
        return f"{parity.real.rows} rows cannot decide it"
    effect = "refuse" if parity.real.label_agreement < parity.real.min_label_agreement else "accept"
    return f"{parity.real.rows} rows are too few; with the same share, {rows} rows would {effect} it"
