"""The rule by which the parity check accepts, refuses or does not decide about a variant."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta, binom

from stream.bundle import Parity, TargetScale
from stream.classify import TextInput
from stream.verify import within_tolerance
from tests.unit.table_model import recipe_of, table_bundle
from trainer.export.agreement import (
    Requirement,
    agreement_interval,
    judge,
    measure_real_rows,
    rounded_min_agreement,
)
from trainer.export.parity import ParityLimits, ValidationRows
from trainer.export.reference import further_rows
from trainer.export.variants import (
    FP16,
    INT8,
    MIN_SHOWN_AGREEMENT,
    VariantOutcome,
    VariantRecipe,
    make_variant,
)

KEPT, CHANGED = np.array([1.0, 0.9]), np.array([0.9, 1.0])


def outcome(
    folder: Path, reference: list[Any], found: list[Any], validation: ValidationRows, **options: Any
) -> VariantOutcome:
    """Return the verdict on a variant whose logits are these."""
    token = options.get("task") == "token"
    recipe = options.pop("recipe", INT8)
    draft = table_bundle(folder, reference, **options)
    return make_variant(draft, recipe_of(found, recipe, token=token), (), validation, lambda _: None)


def changed_rows(folder: Path, rows: int, changed: int, recipe: VariantRecipe = INT8) -> VariantOutcome:
    """Return the verdict on a variant that changes the labels of some validation rows."""
    reference = [KEPT] * rows
    found = [CHANGED] * changed + [KEPT] * (rows - changed)
    return outcome(folder, reference, found, ValidationRows(rows), recipe=recipe)


def parity_of(found: VariantOutcome) -> Parity:
    assert found.entry is not None
    return found.entry.parity


def verdict(
    rows: int, changed: int, required: float = 0.98, shown: float | None = MIN_SHOWN_AGREEMENT
) -> str:
    equal = np.arange(rows)[:, np.newaxis] >= changed
    real = measure_real_rows(equal, np.ones(rows, dtype=np.int64), required)
    minimum = rounded_min_agreement(required, rows)
    assert minimum is not None
    return judge(real, Requirement(minimum, shown))


@pytest.mark.parametrize(
    ("rows", "changed", "expected"),
    [
        (1000, 20, "passed"),
        (1000, 21, "undecided"),
        (1000, 29, "undecided"),
        (1000, 30, "refused"),
        (400, 8, "passed"),
        (400, 9, "undecided"),
        (400, 16, "refused"),
        (202, 4, "passed"),
        (201, 4, "undecided"),
        (72, 0, "passed"),
        (71, 0, "undecided"),
        (40, 0, "undecided"),
        (40, 2, "undecided"),
        (40, 5, "refused"),
        (1, 0, "undecided"),
        (1, 1, "refused"),
        (0, 0, "undecided"),
    ],
)
def test_the_interval_of_the_agreement_decides(rows: int, changed: int, expected: str) -> None:
    assert verdict(rows, changed) == expected


@pytest.mark.parametrize("rows", [40, 100, 250, 400, 1000])
def test_the_error_rates_are_bounded_for_every_number_of_rows(rows: int) -> None:
    verdicts = [verdict(rows, changed) for changed in range(rows + 1)]
    refused = [changed for changed, found in enumerate(verdicts) if found == "refused"]
    passed = [changed for changed, found in enumerate(verdicts) if found == "passed"]
    assert binom.pmf(refused, rows, 0.02).sum() <= 0.025, "a variant that keeps 98% is refused too often"
    assert binom.pmf(passed, rows, 0.05).sum() <= 0.025, "a variant that keeps 95% passes too often"
    order = {"passed": 0, "undecided": 1, "refused": 2}
    assert [order[found] for found in verdicts] == sorted(order[found] for found in verdicts)


def test_the_documented_error_rates_are_those_of_the_rule() -> None:
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    _, _, table = page.partition("| real rows | keeps 99.5% | 99% | 98% | 97% | 95% |\n")
    lines = table.split("\n\n")[0].splitlines()[1:]
    assert len(lines) == 5
    for line in lines:
        number, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows = int(number.replace(",", ""))
        verdicts = np.array([verdict(rows, changed) for changed in range(rows + 1)])
        for kept, cell in zip((0.995, 0.99, 0.98, 0.97, 0.95), cells, strict=True):
            chances = binom.pmf(np.arange(rows + 1), rows, 1 - kept)
            found = [100 * chances[verdicts == name].sum() for name in ("passed", "refused")]
            assert cell == " / ".join(f"{share:.0f}" for share in found), (rows, kept)


def test_the_interval_is_that_of_clopper_and_pearson() -> None:
    low, high = agreement_interval(38 / 40, 40)
    assert low == pytest.approx(beta.ppf(0.025, 38, 3))
    assert high == pytest.approx(beta.ppf(0.975, 39, 2))
    assert agreement_interval(1.0, 40)[1] == 1.0
    assert agreement_interval(0.0, 40)[0] == 0.0
    assert agreement_interval(1.0, 0) == (0.0, 1.0)


def test_the_decisions_of_one_row_are_not_independent_rows() -> None:
    equal = np.ones((40, 28), dtype=bool)
    equal[:2] = False
    ones = np.ones(40, dtype=np.int64)
    real = measure_real_rows(equal, ones, 0.98)
    alone = measure_real_rows(equal[:, :1], ones, 0.98)
    assert real is not None
    assert alone is not None
    assert (real.rows, real.decisions) == (40, 1120)
    assert real.interval == pytest.approx(alone.interval)


def test_rows_with_more_tokens_weigh_more() -> None:
    equal = np.ones((200, 1), dtype=bool)
    even = measure_real_rows(equal, np.full(100, 2), 0.98)
    uneven = measure_real_rows(equal, np.array([101] + [1] * 99), 0.98)
    assert even is not None
    assert uneven is not None
    assert even.interval[0] == pytest.approx(agreement_interval(1.0, 100)[0])
    assert uneven.interval[0] < 0.5


def test_two_changes_of_40_rows_are_undecided_and_the_message_has_the_interval(tmp_path: Path) -> None:
    found = changed_rows(tmp_path, 40, 2)
    parity = parity_of(found)
    assert parity.verdict == "undecided"
    assert "95.00% of 40 decisions (95% interval 83.1% to 99.4%), required 98%" in found.problem
    assert "40 rows are too few; with the same share, 136 rows would refuse it" in found.problem
    assert parity.real is not None
    assert (parity.real.rows, parity.real.label_agreement) == (40, 0.95)
    assert "w0" not in found.problem
    assert "row 0 ('w0')" in found.details


def test_training_rows_decide_what_validation_rows_do_not(tmp_path: Path) -> None:
    reference, found = [KEPT] * 400, [CHANGED] * 2 + [KEPT] * 398
    parity = parity_of(outcome(tmp_path, reference, found, ValidationRows(40, more=360)))
    assert parity.verdict == "passed"
    assert parity.validation_agreement == 0.95
    assert parity.real is not None
    assert (parity.real.rows, parity.real.label_agreement) == (400, 0.995)
    assert within_tolerance(parity)


def test_training_rows_do_not_hide_changes_of_validation_rows(tmp_path: Path) -> None:
    reference, found = [KEPT] * 1000, [CHANGED] * 10 + [KEPT] * 990
    result = outcome(tmp_path, reference, found, ValidationRows(40, more=960))
    parity = parity_of(result)
    assert parity.real is not None
    assert parity.real.label_agreement == 0.99
    assert parity.verdict == "refused"
    assert result.problem.startswith("refused: for 75.00% of the validation rows")


@pytest.mark.parametrize(("changed", "expected"), [(8, "passed"), (9, "undecided"), (20, "refused")])
def test_400_validation_rows(tmp_path: Path, changed: int, expected: str) -> None:
    found = changed_rows(tmp_path, 400, changed)
    assert parity_of(found).verdict == expected
    assert found.problem.startswith("" if expected == "passed" else f"{expected}: same decision for ")


def test_1000_rows_that_do_not_decide_say_so(tmp_path: Path) -> None:
    assert "1000 rows cannot decide it" in changed_rows(tmp_path, 1000, 25).problem


def test_few_rows_are_enough_for_fp16_whose_tolerance_is_absolute(tmp_path: Path) -> None:
    assert parity_of(changed_rows(tmp_path, 12, 0, FP16)).verdict == "passed"


@pytest.mark.parametrize("rows", [0, 1])
def test_without_real_rows_or_with_one_nothing_is_decided(tmp_path: Path, rows: int) -> None:
    found = outcome(tmp_path, [KEPT] * 3, [KEPT] * 3, ValidationRows(rows))
    assert parity_of(found).verdict == "undecided"
    assert ("there are no real rows" in found.problem) == (rows == 0)


def test_equal_logits_of_tied_labels_are_the_same_decision(tmp_path: Path) -> None:
    tied = np.array([1.0, 1.0])
    found = [np.array([1.0, 1.0 + 1e-3])] * 100
    assert parity_of(outcome(tmp_path, [tied] * 100, found, ValidationRows(100))).verdict == "passed"


def test_a_large_difference_is_refused_whatever_the_labels(tmp_path: Path) -> None:
    reference = [np.array([3.0, 0.0]), np.array([0.0, 3.0])] * 100
    found = [*reference[:-1], np.array([0.0, 9.0])]
    result = outcome(tmp_path, reference, found, ValidationRows(200))
    parity = parity_of(result)
    assert parity.verdict == "refused"
    assert parity.label_agreement == 1
    assert result.problem.startswith(
        "refused: largest logit difference 6 (allowed 1.5); same decision for 100"
    )


def test_logits_that_are_not_finite_cannot_be_published(tmp_path: Path) -> None:
    found = outcome(tmp_path, [KEPT] * 3, [KEPT, KEPT, np.array([np.nan, 0])], ValidationRows(3))
    assert found.entry is None
    assert found.problem == "its logits are not finite"


@pytest.mark.parametrize(("changed", "expected"), [(0, "passed"), (10, "refused")])
def test_a_regression_counts_values_within_the_tolerance(tmp_path: Path, changed: int, expected: str) -> None:
    rng = np.random.default_rng(1)
    reference = [rng.normal(size=1) for _ in range(100)]
    found = [row + 0.7 for row in reference[:changed]] + [row + 0.1 for row in reference[changed:]]
    result = outcome(
        tmp_path, reference, found, ValidationRows(100), task="regression", target=TargetScale(mean=3, std=2)
    )
    parity = parity_of(result)
    assert parity.verdict == expected
    assert parity.real is not None
    assert parity.real.label_agreement == 1 - changed / 100


def test_multi_label_counts_every_label_of_every_row(tmp_path: Path) -> None:
    sure, unsure, flipped = np.array([4.0, -4.0, -4.0]), np.array([0.1, -4, -4]), np.array([-0.1, -4, -4])
    reference = [unsure] * 4 + [sure] * 96
    result = outcome(
        tmp_path,
        reference,
        [flipped] * 4 + [sure] * 96,
        ValidationRows(100),
        task="multi-label",
        thresholds={"l0": 0.5, "l1": 0.5, "l2": 0.5},
    )
    parity = parity_of(result)
    assert parity.real is not None
    assert (parity.real.rows, parity.real.decisions) == (100, 300)
    assert parity.real.label_agreement == pytest.approx(296 / 300)
    assert "98.67% of 300 decisions in 100 rows" in result.problem
    assert parity.verdict == "undecided"


@pytest.mark.parametrize(("rows", "expected"), [(100, "passed"), (20, "undecided")])
def test_token_rows_count_as_rows_not_as_tokens(tmp_path: Path, rows: int, expected: str) -> None:
    reference = [np.tile(KEPT, (5, 1)) for _ in range(rows)]
    parity = parity_of(outcome(tmp_path, reference, reference, ValidationRows(rows), task="token"))
    assert parity.verdict == expected
    assert parity.real is not None
    assert (parity.real.rows, parity.real.decisions) == (rows, 5 * rows)


def accuracy(rows: Any, output: Any) -> float:
    """Return the accuracy if the reference is always right: label 0."""
    return float(np.mean([row.argmax() == 0 for row in output]))


def metric_loss(folder: Path, rows: int, changed: int, more: int, **options: Any) -> VariantOutcome:
    reference = [KEPT] * (rows + more)
    found = [CHANGED] * changed + [KEPT] * (rows + more - changed)
    validation = ValidationRows(rows, lambda output: accuracy((), output), accuracy, more)
    return outcome(folder, reference, found, validation, **options)


def test_one_changed_decision_of_40_is_no_proof_of_a_metric_loss(tmp_path: Path) -> None:
    found = metric_loss(tmp_path, 40, 1, more=360)
    parity = parity_of(found)
    assert parity.metric_loss == pytest.approx(0.025)
    assert parity.max_metric_loss is not None
    assert 0.025 < parity.max_metric_loss < 0.08
    assert parity.verdict == "passed"
    assert within_tolerance(parity)


def test_a_loss_that_many_rows_show_is_refused(tmp_path: Path) -> None:
    found = metric_loss(tmp_path, 1000, 15, more=0)
    parity = parity_of(found)
    assert (parity.verdict, parity.max_metric_loss) == ("refused", 0.01)
    assert "metric loss 0.0150 (allowed 0.01)" in found.problem


def test_the_metric_is_that_of_the_validation_rows_only(tmp_path: Path) -> None:
    lengths: list[int] = []

    def score(output: Any) -> float:
        lengths.append(len(output))
        return 1.0

    reference = [np.tile(KEPT, (2, 1)) for _ in range(30)]
    outcome(tmp_path, reference, reference, ValidationRows(10, score, more=20), task="token")
    assert lengths == [10, 10]


def test_different_edge_cases_are_refused(tmp_path: Path) -> None:
    reference = [KEPT] * 120
    found = [KEPT] * 100 + [CHANGED] * 20
    assert parity_of(outcome(tmp_path, reference, found, ValidationRows(100))).verdict == "refused"


def test_limits_without_a_share_to_show_accept_few_rows(tmp_path: Path) -> None:
    lenient = replace(INT8, limits=ParityLimits(50, 0.1))
    assert parity_of(changed_rows(tmp_path, 3, 1, lenient)).verdict == "passed"


def test_further_rows_are_new_distinct_and_evenly_spaced() -> None:
    validation = [TextInput("a"), TextInput("b", "c")]
    training = [TextInput(text) for text in ("a", "x", "y", "x", "b", "z")]
    assert further_rows(training, validation, 100) == [TextInput(text) for text in ("x", "y", "b", "z")]
    assert further_rows(training, validation, 2) == [TextInput("x"), TextInput("b")]
    assert further_rows(training, validation, 0) == []
