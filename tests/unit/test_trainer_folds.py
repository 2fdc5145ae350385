"""The folds of a cross-validation, and the mean and interval over them."""

from collections import Counter

import numpy as np
import pytest

from stream.errors import UsageError
from trainer.cross_validation.summary import FoldMetrics, interval
from trainer.data.examples import Example
from trainer.data.folds import assign_folds


def examples(labels: list[str], groups: list[str | None] | None = None) -> list[Example]:
    rng = np.random.default_rng(1)
    letters = np.array([*"abcdefghijklmnopqrstuvwxyz"])
    return [
        Example(row, "".join(rng.choice(letters, 40)), label, group=groups[row - 1] if groups else None)
        for row, label in enumerate(labels, 1)
    ]


def test_folds_are_stratified_and_cover_every_row_once() -> None:
    rows = examples(["a"] * 40 + ["b"] * 10 + ["c"] * 3)
    found = assign_folds(rows, 5, seed=1)
    assert sorted(found) == [*range(1, 54)]
    counts = Counter((found[row.row], row.target) for row in rows)
    assert {counts[fold, "a"] for fold in range(1, 6)} == {8}
    assert {counts[fold, "b"] for fold in range(1, 6)} == {2}
    assert max(counts[fold, "c"] for fold in range(1, 6)) == 1
    assert found == assign_folds(rows, 5, seed=1)
    assert found != assign_folds(rows, 5, seed=2)


def test_groups_and_duplicates_stay_in_one_fold() -> None:
    rows = examples(["a", "b"] * 30, [f"g{row // 6}" for row in range(60)])
    copies = [Example(61 + at, rows[at].text.upper(), "a") for at in range(4)]
    near = [Example(65 + at, f"{rows[at].text} again", "b") for at in range(6, 9)]
    found = assign_folds([*rows, *copies, *near], 3, seed=1)
    for group in range(10):
        assert len({found[row] for row in range(6 * group + 1, 6 * group + 7)}) == 1
    assert all(found[copy.row] == found[at + 1] for at, copy in enumerate(copies))
    assert all(found[copy.row] == found[at] for copy, at in zip(near, (7, 8, 9), strict=True))


def test_extra_rows_have_no_fold() -> None:
    rows = [*examples(["a", "b"] * 4), Example(9, "synthetic text", "a", extra=True)]
    assert sorted(assign_folds(rows, 2, seed=1)) == [*range(1, 9)]


def test_no_fold_is_empty_if_there_are_as_many_rows_as_folds() -> None:
    assert sorted(assign_folds(examples(["a", "b", "b", "c"]), 4, seed=1).values()) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("groups", "fix"), [(3, "use --cross-validate 3"), (1, "leave --cross-validate out")]
)
def test_too_few_independent_rows_are_refused(groups: int, fix: str) -> None:
    rows = examples(["a", "b"] * 6, [f"g{row % groups}" for row in range(12)])
    with pytest.raises(UsageError, match="--cross-validate 5") as refused:
        assign_folds(rows, 5, seed=1)
    assert refused.value.fix == fix


def test_the_interval_is_that_of_the_corrected_t_test() -> None:
    low, high = interval([0.8, 0.9, 0.85, 0.95, 0.9])
    # The standard deviation is 0.0570, t with 4 degrees of freedom 2.776, the factor sqrt(1/5 + 1/4).
    assert (low, high) == pytest.approx((0.88 - 0.1062, 0.88 + 0.1062), abs=1e-4)


def test_the_section_of_metrics_json() -> None:
    folds = [{"rows": 10, "accuracy": value, "answered": None} for value in (0.5, 0.7)]
    found = FoldMetrics(folds, "oof.csv").as_metrics()
    assert (found["folds"], found["rows"], found["accuracy"]) == (2, 20, pytest.approx(0.6))
    assert found["by_fold"] == {"accuracy": [0.5, 0.7]}
    assert set(found["intervals"]) == {"accuracy"}
