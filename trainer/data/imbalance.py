"""Against class imbalance: weights of classes in the loss, and which rows are trained on how often."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from stream.errors import UsageError
from trainer.data.bio import OUTSIDE
from trainer.data.examples import Example

Strategy = Literal["inverse", "sqrt_inverse", "effective"]
Resampling = Literal["over", "under"]

BETA = 0.9999


def class_weights(
    labels: Mapping[str, int] | Sequence[str] | Sequence[tuple[str, ...]],
    strategy: Strategy = "sqrt_inverse",
    beta: float = BETA,
) -> dict[str, float]:
    """A weight for each label, the rarer the larger; their mean is 1.

    With 9,000, 800 and 200 rows: `inverse` gives 0.05, 0.59 and 2.36; `sqrt_inverse` 0.27, 0.91 and 1.82.
    `effective` is the inverse of the effective number of rows, (1 − beta^n) / (1 − beta), of Cui et al. 2019,
    "Class-Balanced Loss Based on Effective Number of Samples".

    Args:
        labels: rows by label; or each row's label, its labels or its words' tags.
        strategy: how fast weights fall with the number of rows.
        beta: of `effective`, from 0 (all alike) towards 1 (like `inverse`).

    Returns:
        In the labels' order as given, or sorted where rows were given. A label without rows weighs 1 and does
        not count in the mean.

    Raises:
        UsageError: there are no rows, an unknown strategy, or a beta outside of 0 to 1.
    """
    counts = labels if isinstance(labels, Mapping) else _counts(labels)
    sizes = {label: _size(count, strategy, beta) for label, count in counts.items() if count > 0}
    if not sizes:
        raise UsageError("no class weights", cause="there are no labelled rows", fix="check the data")
    mean = sum(1 / size for size in sizes.values()) / len(sizes)
    return {label: 1 / sizes[label] / mean if label in sizes else 1.0 for label in counts}


def positive_weights(
    counts: Mapping[str, int], rows: int, strategy: Strategy = "sqrt_inverse", beta: float = BETA
) -> dict[str, float]:
    """For multi-label, how much a row that has the label counts against one that has not.

    It is what PyTorch's BCEWithLogitsLoss calls `pos_weight`: by `inverse` rows without / rows with the
    label, by `sqrt_inverse` the root of that, by `effective` the ratio of the effective numbers. A label that
    no row has, or every row, gets 1.

    Args:
        counts: rows that have the label, by label.
        rows: all rows.
        strategy: as in `class_weights`.
        beta: as in `class_weights`.
    """
    return {
        label: _size(rows - count, strategy, beta) / _size(count, strategy, beta) if 0 < count < rows else 1.0
        for label, count in counts.items()
    }


def sampling_weights(
    examples: Sequence[Example], strategy: Strategy = "sqrt_inverse", beta: float = BETA
) -> list[float]:
    """How often each row shall be drawn, in relation to the others; the mean over the rows is 1.

    A row weighs what its label does, of several the rarest (for the task token, tags other than O).
    """
    classes = _classes(examples)
    weights = class_weights(Counter(classes), strategy, beta)
    drawn = [weights[name] for name in classes]
    mean = sum(drawn) / len(drawn)
    return [weight / mean for weight in drawn]


def resampled(examples: Sequence[Example], how: Resampling, seed: int, ratio: float = 1.0) -> list[int]:
    """Which training rows to take, some several times (`over`) or some not at all (`under`).

    A row with several labels, or tags, belongs to the rarest of them. The same for the same seed.

    Args:
        examples: training rows.
        how: `over`: rows of small classes are repeated, each as often as the others of its class, give or
            take one; no row is lost. `under`: rows of large classes are left out at random; none is repeated.
        seed: decides which rows are repeated or left out.
        ratio: rows of the smallest class in relation to the largest afterwards, over 0 to 1. A class that is
            larger than that already (`over`), or smaller (`under`), stays as it is.

    Returns:
        Positions in `examples`: sorted for `under`; for `over` all of them, then the repetitions.

    Raises:
        UsageError: the targets are numbers, or the ratio is out of its range.
    """
    if not 0 < ratio <= 1:
        raise UsageError(
            f"a ratio of {ratio:g} cannot be reached",
            cause="it lies over 0 and up to 1",
            fix="1 balances fully",
        )
    rng = random.Random(seed)
    members: dict[str, list[int]] = {}
    for at, name in enumerate(_classes(examples)):
        members.setdefault(name, []).append(at)
    sizes = [len(rows) for rows in members.values()]
    if how == "under":
        most = round(min(sizes) / ratio)
        kept = [rng.sample(rows, min(len(rows), most)) for rows in members.values()]
        return sorted(at for rows in kept for at in rows)
    least = round(max(sizes) * ratio)
    repeated: list[int] = []
    for rows in members.values():
        missing = max(0, least - len(rows))
        repeated += rows * (missing // len(rows)) + rng.sample(rows, missing % len(rows))
    return [*range(len(examples)), *repeated]


def _counts(rows: Sequence[str] | Sequence[tuple[str, ...]]) -> dict[str, int]:
    counts = Counter(name for row in rows for name in ((row,) if isinstance(row, str) else row))
    return dict(sorted(counts.items()))


def _size(count: int, strategy: Strategy, beta: float) -> float:
    """What a class of so many rows counts as."""
    if strategy == "inverse":
        return float(count)
    if strategy == "sqrt_inverse":
        return float(count**0.5)
    if strategy == "effective" and 0 <= beta < 1:
        return float((1 - beta**count) / (1 - beta))
    raise UsageError(
        f"class weights {strategy!r} with beta {beta:g} are not possible",
        cause="strategies are inverse, sqrt_inverse and effective; beta lies from 0 up to, but not at, 1",
        fix="sqrt_inverse needs no beta; for effective 0.9999 is usual",
    )


def _classes(examples: Sequence[Example]) -> list[str]:
    """The class of each row: its label, or the rarest of its labels or tags; "" where it has none."""
    if any(isinstance(example.target, float) for example in examples):
        raise UsageError(
            "numbers have no classes to balance",
            cause="a regression's targets are numbers",
            fix="leave class weights and resampling out, or learn the numbers as ordinal classes",
        )
    names = [
        {name for name in example.names if not (example.words and name == OUTSIDE)} for example in examples
    ]
    counts = Counter(name for row in names for name in row)
    return [min(row, key=lambda name: (counts[name], name), default="") for row in names]
