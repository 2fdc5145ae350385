"""The paired comparison of two recipes, and the metric that it compares."""

from typing import Any

import numpy as np
import pytest

from stream.bundle import HeadKind
from trainer.data.examples import Example
from trainer.evaluation.evaluator import DecisionRule, Evaluator
from trainer.evaluation.figures import SELECTION_METRIC
from trainer.evaluation.paired import PairedDifference, paired_difference
from trainer.evaluation.selection import _span_counts, selection_statistic
from trainer.evaluation.statistics import mean_statistic, unit_weights
from trainer.model.output_files import load_outputs, save_outputs
from trainer.sweep.results import conclude

RNG = np.random.default_rng(5)


def models(rates: list[float], rows: int = 400) -> list[Any]:
    rng = np.random.default_rng(3)
    return [mean_statistic((rng.random(rows) < rate).astype(np.float64)) for rate in rates]


def test_a_clear_difference_is_found_and_a_small_one_is_undecided() -> None:
    clear = paired_difference(models([0.95, 0.94]), models([0.70, 0.72]), 400, seed=1)
    assert clear.verdict == "better"
    assert clear.low < clear.difference < clear.high
    reverse = paired_difference(models([0.70, 0.72]), models([0.95, 0.94]), 400, seed=1)
    assert reverse.verdict == "worse"
    assert paired_difference(models([0.90, 0.91]), models([0.90, 0.90]), 400, seed=1).verdict == "undecided"


def test_models_that_agree_on_every_row_have_no_difference() -> None:
    same = models([0.9])
    found = paired_difference(same, same, 400, seed=1)
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_the_interval_covers_the_seeds() -> None:
    rows = np.ones(400)
    first = [mean_statistic(rows * value) for value in (0.9, 0.7, 0.8)]
    second = [mean_statistic(rows * 0.75)] * 3
    found = paired_difference(first, second, 400, seed=1)
    assert (found.low, found.high) == pytest.approx((-0.05, 0.15), abs=0.02)
    assert found.verdict == "undecided"


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.01, 0.03, "The winner is better than the default recipe"),
        (-0.01, 0.03, "The winner is not better than the default recipe: the interval contains 0"),
        (-0.03, -0.01, "The winner is not better than the default recipe, but worse"),
    ],
)
def test_the_conclusion_says_when_the_winner_is_not_better(low: float, high: float, text: str) -> None:
    found = conclude(PairedDifference([0.9], [0.89], low, high), "macro-F1")
    assert found.startswith(text)
    assert f"95% interval {low:+.4f} to {high:+.4f}, 1 seed" in found


def test_the_statistic_is_the_metric_of_the_evaluation() -> None:
    labels = ["a", "b", "c"]
    heads: list[tuple[HeadKind, list[Any], int]] = [
        ("single-label", [labels[at] for at in RNG.integers(0, 3, 50)], 3),
        ("multi-label", [tuple(label for label in labels if RNG.random() < 0.4) for _ in range(50)], 3),
        ("regression", [float(value) for value in RNG.random(50)], 1),
    ]
    for head, targets, width in heads:
        examples = [Example(row, f"text {row}", target) for row, target in enumerate(targets, 1)]
        logits = RNG.normal(size=(50, width)).astype(np.float32)
        evaluator = Evaluator(head, labels[:width], examples)
        thresholds = {"a": 0.3, "b": 0.5, "c": 0.6} if head == "multi-label" else None
        rule = DecisionRule(1.5, thresholds)
        value = selection_statistic(evaluator, logits, rule)(unit_weights(50))[0]
        assert value == pytest.approx(evaluator.evaluate(logits, rule)[SELECTION_METRIC[head]]), head


def test_spans_count_by_type_and_position() -> None:
    from stream.classify import Span

    predicted = [[Span("PER", 0, 4, 0.9), Span("LOC", 5, 9, 0.8)], []]
    actual = [[Span("PER", 0, 4, 1.0), Span("ORG", 5, 9, 1.0)], [Span("PER", 0, 2, 1.0)]]
    counts = _span_counts(predicted, actual)
    assert counts.micro_f1(unit_weights(2))[0] == pytest.approx(2 * 1 / (2 + 3))
    assert counts.micro_f1(np.array([[0.0, 1.0]]))[0] == 0


def test_outputs_survive_their_file(tmp_path: Any) -> None:
    rows = RNG.normal(size=(4, 3)).astype(np.float32)
    tokens = [rows[:1], rows[1:], rows[:0]]
    save_outputs(tmp_path / "outputs.npz", {"validation": rows, "test": tokens})
    found = load_outputs(tmp_path / "outputs.npz")
    assert found is not None
    np.testing.assert_array_equal(found["validation"], rows)
    assert [row.tolist() for row in found["test"]] == [row.tolist() for row in tokens]
    content = (tmp_path / "outputs.npz").read_bytes()
    (tmp_path / "outputs.npz").write_bytes(content[: len(content) // 2])
    assert load_outputs(tmp_path / "outputs.npz") is None
    assert load_outputs(tmp_path / "none.npz") is None
