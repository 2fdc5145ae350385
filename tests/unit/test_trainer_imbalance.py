"""Weights and resampling against class imbalance: the published figures, the bounds, the seed."""

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import UsageError
from trainer.data.imbalance import (
    Resampling,
    Strategy,
    class_weights,
    positive_weights,
    resampled,
    sampling_weights,
)
from trainer.data.read import Example

COUNTS = {"often": 9000, "seldom": 800, "rare": 200}
STRATEGIES: list[Strategy] = ["inverse", "sqrt_inverse", "effective"]

counts = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10**6), min_size=1)


def examples_of(targets: list[Any]) -> list[Example]:
    return [Example(at, f"t{at}", target) for at, target in enumerate(targets, 1)]


def test_the_figures_of_the_root() -> None:
    weights = class_weights(COUNTS, "sqrt_inverse")
    assert [round(weight, 2) for weight in weights.values()] == [0.27, 0.91, 1.82]
    assert list(weights) == ["often", "seldom", "rare"]


def test_the_figures_of_the_inverse_and_of_the_effective_number() -> None:
    assert class_weights(COUNTS, "inverse")["rare"] == pytest.approx(
        45 * class_weights(COUNTS, "inverse")["often"]
    )
    weights = class_weights(COUNTS, "effective", beta=0.9999)
    effective = {label: (1 - 0.9999**n) / (1 - 0.9999) for label, n in COUNTS.items()}
    assert effective["often"] == pytest.approx(5934.5, abs=0.1)
    for label in COUNTS:
        assert weights[label] * effective[label] == pytest.approx(weights["rare"] * effective["rare"])


@given(counts, st.sampled_from(STRATEGIES))
def test_the_mean_is_one_and_rarer_labels_never_weigh_less(found: dict[str, int], strategy: Strategy) -> None:
    weights = class_weights(found, strategy)
    assert sum(weights.values()) / len(weights) == pytest.approx(1)
    order = sorted(found, key=lambda label: found[label])
    for rarer, other in itertools.pairwise(order):
        assert weights[rarer] >= weights[other] * (1 - 1e-9)


def test_rows_do_as_well_as_counts_and_labels_without_rows_weigh_one() -> None:
    rows = ["b", "a", "b", "b"]
    assert class_weights(rows, "inverse") == class_weights({"a": 1, "b": 3}, "inverse")
    several = [("a", "b"), ("b",), (), ("b",)]
    assert class_weights(several, "inverse") == class_weights({"a": 1, "b": 3}, "inverse")
    assert class_weights({"a": 1, "never": 0, "b": 3}, "inverse")["never"] == 1.0
    assert class_weights({"a": 1, "never": 0, "b": 3}, "inverse")["a"] == 1.5


def test_positive_weights_are_rows_without_over_rows_with() -> None:
    assert positive_weights({"rare": 10, "half": 50, "all": 100, "none": 0}, 100, "inverse") == {
        "rare": 9.0,
        "half": 1.0,
        "all": 1.0,
        "none": 1.0,
    }
    assert positive_weights({"rare": 10}, 100, "sqrt_inverse")["rare"] == pytest.approx(3)
    assert 1 < positive_weights({"rare": 10}, 10**6, "effective")["rare"] < 10**5


def test_what_cannot_be_weighed_is_refused() -> None:
    wrong: Any = "cubic"
    for call in (
        lambda: class_weights({}, "inverse"),
        lambda: class_weights(COUNTS, wrong),
        lambda: class_weights(COUNTS, "effective", beta=1),
        lambda: resampled(examples_of([1.0, 2.0]), "over", 1),
        lambda: resampled(examples_of(["a", "b"]), "over", 1, ratio=0),
    ):
        with pytest.raises(UsageError) as refused:
            call()
        assert refused.value.fix


rows = st.lists(st.sampled_from("aaaaabbc"), min_size=1, max_size=60)
hows: st.SearchStrategy[Resampling] = st.sampled_from(["over", "under"])


@given(rows, hows, st.integers(0, 99), st.sampled_from([0.25, 0.5, 1.0]))
def test_resampling_reaches_the_ratio_and_the_seed_decides(
    drawn: list[str], how: Resampling, seed: int, ratio: float
) -> None:
    examples = examples_of(drawn)
    taken = resampled(examples, how, seed, ratio)
    assert taken == resampled(examples, how, seed, ratio)
    before, after = Counter(drawn), Counter(drawn[at] for at in taken)
    times = Counter(taken)
    assert set(after) == set(before)
    if how == "over":
        assert set(taken) == set(range(len(drawn)))
        assert after == {label: max(n, round(ratio * max(before.values()))) for label, n in before.items()}
        for label in before:
            of_label = [times[at] for at, name in enumerate(drawn) if name == label]
            assert max(of_label) - min(of_label) <= 1
    else:
        assert max(times.values()) == 1
        assert after == {label: min(n, round(min(before.values()) / ratio)) for label, n in before.items()}


def test_the_seed_changes_which_rows_are_left_out() -> None:
    examples = examples_of(["a"] * 50 + ["b"] * 5)
    assert resampled(examples, "under", 1) != resampled(examples, "under", 2)


def test_of_several_labels_the_rarest_decides() -> None:
    examples = examples_of([("a",)] * 6 + [("a", "b")] * 2)
    assert Counter(at >= 6 for at in resampled(examples, "over", 1)) == {False: 6, True: 6}
    weights = sampling_weights(examples, "inverse")
    assert sum(weights) / len(weights) == pytest.approx(1)
    assert weights[6] == pytest.approx(3 * weights[0])


def test_tags_outside_of_spans_are_no_class() -> None:
    words = ((0, 1),)
    examples = [
        Example(1, "x", ("O",), words=words),
        *(Example(n, "x", ("B-a",), words=words) for n in (2, 3, 4)),
    ]
    assert Counter(at == 0 for at in resampled(examples, "over", 1)) == {True: 3, False: 3}
