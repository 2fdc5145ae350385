"""`--cost`: what it accepts and refuses, and the curves and thresholds that it leads to."""

import numpy as np
import pytest

from stream.errors import UsageError
from trainer.evaluation.analysis import Costs, check_costs, parse_costs
from trainer.evaluation.analysis.costs import MAX_POINTS, cost_curves


@pytest.mark.parametrize(
    ("text", "costs"),
    [
        ("false_positive=1,false_negative=5", Costs(1, 5)),
        ("false_negative=2.5", Costs(1, 2.5)),
        (" false_negative = 1e2 , false_positive = 0 ", Costs(0, 100)),
        ("positive=spam,false_negative=5", Costs(1, 5, "spam")),
        ("false_negative=5,positive=a, b=c", Costs(1, 5, "a, b=c")),
        ("positive=grün", Costs(1, 1, "grün")),
    ],
)
def test_costs_are_read(text: str, costs: Costs) -> None:
    assert parse_costs(text) == costs


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "'' is not one of"),
        ("false_negative", "'false_negative' is not one of"),
        ("fn=5", "'fn' is not one of false_positive, false_negative, positive"),
        ("false_positive=1,fn=5", "'fn' is not one of"),
        ("false_positive=-1", "at least 0"),
        ("false_positive=nan", "at least 0"),
        ("false_positive=inf", "at least 0"),
        ("false_positive=much", "'much', which is not a number"),
        ("false_positive=", "'', which is not a number"),
        ("false_positive=1,false_positive=2", "given twice"),
        ("false_positive=0,false_negative=0", "both costs are 0"),
        ("positive=", "names no label"),
    ],
)
def test_costs_that_cannot_be_read_are_refused_with_the_cause(text: str, cause: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_costs(text)
    assert cause in refused.value.cause
    assert refused.value.fix


def test_the_example_of_an_error_can_be_read() -> None:
    with pytest.raises(UsageError) as refused:
        parse_costs("fn=5")
    example = refused.value.fix.split("--cost ")[1].replace("LABEL", "spam")
    assert parse_costs(example) == Costs(1, 5, "spam")


def test_costs_are_checked_before_a_training() -> None:
    check_costs(None, "regression", ["stars"])
    check_costs(Costs(positive="b"), "single-label", ["a", "b"])
    with pytest.raises(UsageError, match="'c'") as refused:
        check_costs(Costs(positive="c"), "multi-label", [str(at) for at in range(1500)])
    assert len(refused.value.cause) < 200
    for head in ("regression", "token"):
        with pytest.raises(UsageError, match="does not apply"):
            check_costs(Costs(), head, ["stars"])


def cost(probabilities: np.ndarray, positive: np.ndarray, threshold: float, costs: Costs) -> float:
    """Return the cost per row by its definition."""
    given = probabilities >= threshold
    return float(
        (costs.false_positive * (given & ~positive) + costs.false_negative * (~given & positive)).mean()
    )


@pytest.mark.parametrize("costs", [Costs(1, 1), Costs(1, 5), Costs(10, 1), Costs(0, 1), Costs(1, 0)])
def test_the_curve_and_its_best_threshold_match_the_definition(costs: Costs) -> None:
    rng = np.random.default_rng(0)
    # Rounded, so that several rows have equal probabilities.
    p = np.round(rng.random(150), 2)
    positive = rng.random(150) < p * 0.6
    flags = np.stack([~positive, positive], axis=1)
    (curve,), _ = cost_curves(["no", "yes"], np.stack([1 - p, p], axis=1), flags, costs, None)
    assert (curve.label, curve.current) == ("yes", 0.5)
    assert list(curve.thresholds) == sorted(set(curve.thresholds))
    assert curve.costs == pytest.approx([cost(p, positive, t, costs) for t in curve.thresholds])
    every = [cost(p, positive, t, costs) for t in np.linspace(0, 1, 2001)]
    assert cost(p, positive, curve.best, costs) == pytest.approx(min(every))
    assert {curve.best, 0.5} <= set(curve.thresholds)


def test_expensive_misses_lower_the_threshold() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(5000)
    positive = rng.random(5000) < p
    flags = np.stack([~positive, positive], axis=1)
    probabilities = np.stack([1 - p, p], axis=1)
    best = [
        cost_curves(["no", "yes"], probabilities, flags, Costs(1, misses, "yes"), None)[0][0].best
        for misses in (1, 5, 20)
    ]
    # These probabilities are calibrated, so the best thresholds are near 1 / 2, 1 / 6 and 1 / 21.
    assert best == pytest.approx([1 / 2, 1 / 6, 1 / 21], abs=0.06)


def curves_of(labels: list[str], costs: Costs | None, thresholds: dict[str, float] | None = None) -> tuple:
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet(np.ones(len(labels)), 400)
    flags = np.eye(len(labels), dtype=bool)[np.arange(400) % (len(labels) * 2) % len(labels)]
    return cost_curves(labels, probabilities, flags, costs, thresholds)


def test_the_rarer_of_two_labels_is_positive_and_another_can_be_named() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    flags = np.array([[True, False], [False, True], [False, True]])
    for costs in (None, Costs(1, 5)):
        (curve,), notes = cost_curves(["rare", "common"], probabilities, flags, costs, None)
        assert curve.label == "rare"
        assert any("rare is positive" in note for note in notes)
    named = cost_curves(["rare", "common"], probabilities, flags, Costs(positive="common"), None)[0]
    assert [curve.label for curve in named] == ["common"]


def test_of_many_labels_each_has_a_curve_against_the_rest_if_costs_are_given() -> None:
    labels = ["a", "b", "c"]
    assert curves_of(labels, None) == ([], [])
    curves, notes = curves_of(labels, Costs(1, 2))
    assert [(curve.label, curve.current) for curve in curves] == [("a", None), ("b", None), ("c", None)]
    assert any("one label against the rest" in note for note in notes)
    one, _ = curves_of(labels, Costs(1, 2, "b"))
    assert [curve.label for curve in one] == ["b"]
    assert any("0.333" in note and "new rows" in note for note in notes)


def test_labels_of_a_set_have_the_thresholds_of_the_bundle() -> None:
    curves, _ = curves_of(["a", "b", "c"], None, {"a": 0.2, "b": 0.5, "c": 0.7})
    assert [curve.current for curve in curves] == [0.2, 0.5, 0.7]
    assert all(curve.current in curve.thresholds for curve in curves)
    assert max(len(curve.thresholds) for curve in curves) <= MAX_POINTS + 2


def test_a_label_without_rows_has_no_curve_and_this_is_said() -> None:
    probabilities = np.array([[0.9, 0.1, 0.4], [0.8, 0.2, 0.4]])
    flags = np.array([[True, False, True], [True, False, False]])
    curves, notes = cost_curves(
        ["all", "none", "some"], probabilities, flags, None, dict.fromkeys("abc", 0.5)
    )
    assert [curve.label for curve in curves] == ["some"]
    assert any("2 of 3 labels have no cost curve" in note for note in notes)
    assert cost_curves(["only"], np.ones((2, 1)), np.ones((2, 1), bool), None, None)[0] == []


def test_many_labels_are_fast() -> None:
    labels = [f"label {at}" for at in range(1500)]
    probabilities = np.random.default_rng(0).dirichlet(np.ones(1500), 3000)
    flags = np.eye(1500, dtype=bool)[np.arange(3000) % 1500]
    curves, _ = cost_curves(labels, probabilities, flags, Costs(), None)
    assert len(curves) == 1500
