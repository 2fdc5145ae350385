"""Class weights and resampling: the published figures, the bounds, and the seed."""

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import UsageError
from trainer.config import Sampling, WeightFormula
from trainer.data.examples import Example
from trainer.data.imbalance import class_weights, positive_weights, resample

COUNTS = {"often": 9000, "seldom": 800, "rare": 200}
FORMULAS: list[WeightFormula] = ["inverse", "sqrt_inverse", "effective"]

counts = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10**6), min_size=1)


def examples_of(targets: list[Any]) -> list[Example]:
    return [Example(row, f"t{row}", target) for row, target in enumerate(targets, 1)]


def test_documented_weights_of_sqrt_inverse() -> None:
    weights = class_weights(COUNTS, "sqrt_inverse")
    assert [round(weight, 2) for weight in weights.values()] == [0.27, 0.91, 1.82]
    assert list(weights) == ["often", "seldom", "rare"]


def test_weights_of_inverse_and_of_effective() -> None:
    assert class_weights(COUNTS, "inverse")["rare"] == pytest.approx(
        45 * class_weights(COUNTS, "inverse")["often"]
    )
    weights = class_weights(COUNTS, "effective")
    effective = {label: (1 - 0.9999**n) / (1 - 0.9999) for label, n in COUNTS.items()}
    assert effective["often"] == pytest.approx(5934.5, abs=0.1)
    for label in COUNTS:
        assert weights[label] * effective[label] == pytest.approx(weights["rare"] * effective["rare"])


@given(counts, st.sampled_from(FORMULAS))
def test_the_mean_is_one_and_rarer_labels_never_weigh_less(
    drawn: dict[str, int], formula: WeightFormula
) -> None:
    weights = class_weights(drawn, formula)
    assert sum(weights.values()) / len(weights) == pytest.approx(1)
    order = sorted(drawn, key=lambda label: drawn[label])
    for rarer, other in itertools.pairwise(order):
        assert weights[rarer] >= weights[other] * (1 - 1e-9)


def test_labels_without_rows_weigh_one_and_are_not_part_of_the_mean() -> None:
    assert class_weights({"a": 1, "never": 0, "b": 3}, "inverse")["never"] == 1.0
    assert class_weights({"a": 1, "never": 0, "b": 3}, "inverse")["a"] == 1.5


def test_positive_weights_are_rows_without_the_label_by_rows_with_it() -> None:
    assert positive_weights({"rare": 10, "half": 50, "all": 100, "none": 0}, 100, "inverse") == {
        "rare": 9.0,
        "half": 1.0,
        "all": 1.0,
        "none": 1.0,
    }
    assert positive_weights({"rare": 10}, 100, "sqrt_inverse")["rare"] == pytest.approx(3)
    assert 1 < positive_weights({"rare": 10}, 10**6, "effective")["rare"] < 10**5


def test_no_labelled_rows_and_numbers_are_rejected() -> None:
    for call in (
        lambda: class_weights({}, "inverse"),
        lambda: resample(examples_of([1.0, 2.0]), "over", 1),
    ):
        with pytest.raises(UsageError) as error:
            call()
        assert error.value.fix


rows = st.lists(st.sampled_from("aaaaabbc"), min_size=1, max_size=60)
samplings: st.SearchStrategy[Sampling] = st.sampled_from(["over", "under"])


@given(rows, samplings, st.integers(0, 99))
def test_resampled_classes_have_equal_sizes_for_every_seed(
    drawn: list[str], sampling: Sampling, seed: int
) -> None:
    examples = examples_of(drawn)
    taken = resample(examples, sampling, seed)
    assert taken == resample(examples, sampling, seed)
    before, after = Counter(drawn), Counter(drawn[index] for index in taken)
    times = Counter(taken)
    assert set(after) == set(before)
    if sampling == "over":
        assert set(taken) == set(range(len(drawn)))
        assert after == dict.fromkeys(before, max(before.values()))
        for label in before:
            of_label = [times[index] for index, name in enumerate(drawn) if name == label]
            assert max(of_label) - min(of_label) <= 1
    else:
        assert max(times.values()) == 1
        assert after == dict.fromkeys(before, min(before.values()))


def test_the_seed_changes_which_rows_are_dropped() -> None:
    examples = examples_of(["a"] * 50 + ["b"] * 5)
    assert resample(examples, "under", 1) != resample(examples, "under", 2)


def test_the_rarest_label_determines_the_class_of_a_row() -> None:
    examples = examples_of([("a",)] * 6 + [("a", "b")] * 2)
    assert Counter(index >= 6 for index in resample(examples, "over", 1)) == {False: 6, True: 6}


def test_the_tag_o_is_not_a_class() -> None:
    word_spans = ((0, 1),)
    examples = [
        Example(1, "x", ("O",), word_spans=word_spans),
        *(Example(n, "x", ("B-a",), word_spans=word_spans) for n in (2, 3, 4)),
    ]
    assert Counter(index == 0 for index in resample(examples, "over", 1)) == {True: 3, False: 3}
