"""Tests of the quality program: sections, targets and paired differences."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from benchmarks.quality.checks import checks
from benchmarks.quality.paired import Estimate, estimates, label_numbers
from benchmarks.quality.results import SetResults, TrainedRun
from benchmarks.quality.sections import provenance, section
from benchmarks.quality.sets import Comparison, QualitySet, Run, Target
from benchmarks.quality.training import RunRecord
from stream.bundle import Manifest


def variant(precision: str, difference: float, agreement: float, loss: float | None) -> dict[str, Any]:
    parity = {
        "rows": 100,
        "max_abs_logit_diff": difference,
        "tolerance": 2,
        "label_agreement": agreement,
        "min_label_agreement": 0.5,
        "metric_loss": loss,
    }
    return {"file": f"{precision}.onnx", "precision": precision, "size_bytes": 1, "parity": parity}


FP32 = variant("fp32", 1e-5, 1.0, 0.0)


def trained_run(run: Run, f1: float, variants: dict[str, Any], minutes: float = 10) -> TrainedRun:
    manifest = Manifest.model_validate(
        {
            "name": "x",
            "task": "single-label",
            "labels": ["a", "b"],
            "max_length": 16,
            "inputs": ["input_ids"],
            "variants": variants,
            "created_at": datetime.now(UTC),
            "data": {"splits": {"train": 1000, "test": 100}, "left_out": {"no_text": 7}},
        }
    )
    metrics = {
        "training": {"best_epoch": 2, "epochs_run": 4, "precision": "bf16"},
        "leaks": {"equal": {"test in train": 3}, "near": {}},
        "calibration": {
            "temperature": 1.5,
            "validation": {"ece_before": 0.1, "ece_after": 0.02},
            "test": {"ece_before": 0.11, "ece_after": 0.03},
        },
        "test": {"rows": 100, "macro_f1": f1, "intervals": {"macro_f1": [f1 - 0.1, f1 + 0.1]}},
    }
    command = ["labelstream", "train", "DATA/x", "--seed", str(run.seed)]
    return TrainedRun(
        run, RunRecord(command, minutes * 60, "b", ["2026-01-01"], ["int8 is left out"]), manifest, metrics
    )


def quality_set(**overrides: Any) -> QualitySet:
    fields = {"targets": (Target("macro_f1", 0.8),), "runs": (Run("x", "model"),), **overrides}
    return QualitySet("Title", "Method.", "DATA/x", {}, {}, ("macro_f1",), **fields)


def check_results(tested_set: QualitySet, results: SetResults) -> dict[str, bool]:
    return {check.name: check.met for check in checks(tested_set, results)}


def test_a_section_shows_command_figures_baseline_parity_calibration_and_notes() -> None:
    run = trained_run(Run("x", "model"), 0.85, {"fp32": FP32, "int8": variant("int8", 0.2, 0.99, 0.001)})
    baseline = {"macro_f1": 0.7, "intervals": {"macro_f1": [0.6, 0.8]}}
    text = section(quality_set(), SetResults([run], baseline, truncated={"test": 0.25})).markdown(
        provenance([run], "again")
    )
    for line in (
        "labelstream train DATA/x --seed 42",
        "| model | 0.8500 [0.7500, 0.9500] |",
        "| TF-IDF + linear SVM | 0.7000 [0.6000, 0.8000] |",
        "| model | 42 | 10.0 | 2 of 4 | bf16 |",
        "| model | int8 | 2.00e-01 | 99.00% | +0.0010 | – | 100 |",
        "| model | 1.500 | 0.1000 | 0.0200 | 0.1100 | 0.0300 |",
        "| macro-F1 | ≥ 0.8 | 0.8500 | yes |",
        "Skipped: 7 (no text).",
        "3 duplicates, 0 near-duplicates",
        "test 25.00%",
        "int8 is left out",
        "seed 42. `again`",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("f1", "int8", "minutes", "missed_targets"),
    [
        (0.8, variant("int8", 0.2, 0.98, 0.01), 25, set()),
        (0.79, variant("int8", 0.2, 0.98, 0.01), 25, {"macro-F1"}),
        (
            0.8,
            variant("int8", 0.2, 0.97, 0.02),
            26,
            {"minutes of the longest run", "int8, agreement", "int8, metric loss"},
        ),
        (0.8, variant("int8", 0.2, 0.98, None), 1, {"int8, metric loss"}),
    ],
)
def test_checks_find_missed_targets(
    f1: float, int8: dict[str, Any], minutes: float, missed_targets: set[str]
) -> None:
    results = SetResults([trained_run(Run("x", "model"), f1, {"fp32": FP32, "int8": int8}, minutes)])
    assert {
        name for name, is_met in check_results(quality_set(), results).items() if not is_met
    } == missed_targets


def test_a_rejected_variant_misses_its_target() -> None:
    without = SetResults([trained_run(Run("x", "model"), 0.9, {"fp32": variant("fp32", 2e-3, 1, 0)})])
    met_targets = check_results(quality_set(), without)
    assert not met_targets["int8 in the bundle"]
    assert not met_targets["fp32, largest logit difference"]


def test_the_worst_of_many_runs_is_checked() -> None:
    good, bad = variant("int8", 0.1, 0.999, 0.0), variant("int8", 0.1, 0.9, 0.0)
    runs = [Run(f"x{n}", "model", seed=n) for n in range(4)]
    trained_runs = [
        trained_run(run, 0.9, {"fp32": FP32, "int8": bad if run.seed == 3 else good}) for run in runs
    ]
    results = SetResults(trained_runs)
    assert not check_results(quality_set(), results)["int8, agreement"]
    text = section(quality_set(), results).markdown(provenance(trained_runs, "again"))
    assert "| worst of 4 | int8 | 1.00e-01 | 90.00% |" in text
    assert "seeds 0, 1, 2, 3" in text
    assert text.count("labelstream train") == 1


def test_a_figure_equal_to_the_baseline_or_to_that_at_half_is_not_above() -> None:
    run = trained_run(Run("x", "model"), 0.85, {"fp32": FP32})
    run.metrics["test"]["at_half"] = {"macro_f1": 0.85}
    baseline = {"macro_f1": 0.85, "intervals": {}}
    met_targets = check_results(
        quality_set(beats_baseline=True, beats_half=True), SetResults([run], baseline)
    )
    assert not met_targets["macro-F1 above the baseline"]
    assert not met_targets["macro-F1 above thresholds of 0.5"]


@pytest.mark.parametrize(("low", "is_met"), [(-0.004, True), (-0.005, False)])
def test_the_lower_end_of_a_difference_must_exceed_the_margin(low: float, is_met: bool) -> None:
    set_with_comparison = quality_set(comparison=Comparison("both", "text", "macro_f1", -0.005))
    value = Estimate(0.9, 0.8, 1.0)
    arms = {"text": (value, Estimate(0, 0, 0)), "both": (value, Estimate(0.001, low, 0.1))}
    trained_runs = [trained_run(Run("x", arm, arm=arm), 0.9, {"fp32": FP32}) for arm in arms]
    results = SetResults(trained_runs, compared={"macro_f1": arms})
    assert check_results(set_with_comparison, results)["macro-F1, both minus text, lower end"] is is_met
    assert f"+0.0010 [{low:+.4f}, +0.1000]" in section(set_with_comparison, results).markdown("")


def test_an_arm_does_not_differ_from_itself() -> None:
    truth = label_numbers(["a", "b", "a", "b"] * 50, ["a", "b"])
    guesses = np.roll(truth, 1) * (np.arange(200) % 3 > 0)
    results = estimates({"one": [guesses], "same": [guesses]}, truth, 2, "macro_f1", "one")
    assert results["same"][1] == Estimate(0.0, 0.0, 0.0)
    assert results["one"][0].low < results["one"][0].value < results["one"][0].high


def test_a_difference_is_paired_and_computed_on_the_means_over_runs() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    # Both arms are wrong on the same half; one of the two runs of the second is correct on eight more.
    wrong = np.where(np.arange(400) < 200, 1 - truth, truth)
    better = np.where(np.arange(400) < 8, truth, wrong)
    results = estimates({"a": [wrong, wrong], "b": [wrong, better]}, truth, 2, "accuracy", "a")
    value, gain = results["b"]
    assert value.value == pytest.approx(0.51)
    assert gain.value == pytest.approx(0.01)
    # An unpaired interval would be as wide as that of the figure itself.
    assert gain.high - gain.low < (value.high - value.low) / 4
    assert estimates({"a": [wrong], "b": [better]}, truth, 2, "accuracy", "a") == estimates(
        {"a": [wrong], "b": [better]}, truth, 2, "accuracy", "a"
    )


def test_an_unknown_figure_is_rejected() -> None:
    with pytest.raises(ValueError, match="pearson"):
        estimates({"a": [np.zeros(2, int)]}, np.zeros(2, int), 2, "pearson", "a")
