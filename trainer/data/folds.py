"""Folds of labelled examples for cross-validation: stratified, with related rows in one fold."""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

from stream.errors import UsageError
from trainer.data.examples import Example
from trainer.data.splits import row_groups


def assign_folds(examples: Sequence[Example], folds: int, seed: int) -> dict[int, int]:
    """Assign each example to a fold; the same seed gives the same folds.

    Rows of one group, with equal texts, and near duplicates stay together, as in `split_examples`. The
    stratification is that of `trainer.data.splits`: groups with the rarest label are assigned first, each to
    the fold that lacks most of that label.

    Args:
        examples: the rows; extra rows, which are used for training only, get no fold.
        folds: the number of folds.
        seed: the seed of the order in which equal groups are assigned.

    Returns:
        The fold of each row number, from 1.

    Raises:
        UsageError: there are fewer groups of related rows than folds.
    """
    groups = row_groups([example for example in examples if not example.extra])
    if len(groups) < folds:
        raise UsageError(
            f"--cross-validate {folds} needs {folds} rows or groups that are independent",
            cause=f"the data have {len(groups)}: rows that share a group or a text stay in one fold",
            fix=f"use --cross-validate {len(groups)}" if len(groups) > 1 else "leave --cross-validate out",
        )
    random.Random(seed).shuffle(groups)
    groups.sort(key=len, reverse=True)
    contents = [Counter(stratum for _, strata in group for stratum in strata) for group in groups]
    assigned = _assign(contents, [len(group) for group in groups], folds)
    return {
        example.row: fold + 1 for group, fold in zip(groups, assigned, strict=True) for example, _ in group
    }


def _assign(contents: Sequence[Counter[str]], sizes: Sequence[int], folds: int) -> list[int]:
    """Return the fold of each group, given the rows of each stratum in it and its number of rows."""
    totals = sum(contents, Counter[str]())
    lacking = {stratum: [count / folds] * folds for stratum, count in totals.items()}
    rows_lacking = [sum(sizes) / folds] * folds
    containing: dict[str, list[int]] = defaultdict(list)
    for group, strata in enumerate(contents):
        for stratum in strata:
            containing[stratum].append(group)
    assigned: list[int | None] = [None] * len(contents)
    remaining = Counter(totals)
    while remaining:
        rarest = min(remaining, key=lambda stratum: (remaining[stratum], stratum))
        for group in (group for group in containing[rarest] if assigned[group] is None):
            fold = max(range(folds), key=lambda fold: (lacking[rarest][fold], rows_lacking[fold], -fold))
            assigned[group] = fold
            rows_lacking[fold] -= sizes[group]
            for stratum, count in contents[group].items():
                lacking[stratum][fold] -= count
                remaining[stratum] -= count
        remaining = +remaining
    return _without_empty_folds([fold or 0 for fold in assigned], sizes, folds)


def _without_empty_folds(assigned: list[int], sizes: Sequence[int], folds: int) -> list[int]:
    """Move the smallest groups of the largest folds to folds without a group."""
    for empty in (fold for fold in range(folds) if fold not in assigned):
        counts = Counter(assigned)
        movable = [group for group, fold in enumerate(assigned) if counts[fold] > 1]
        assigned[min(movable, key=lambda group: (-counts[assigned[group]], sizes[group], group))] = empty
    return assigned
