"""Sections, targets and paired differences of the quality program."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from benchmarks.quality.checks import checks
from benchmarks.quality.paired import Estimate, estimates, numbered
from benchmarks.quality.results import Findings, Trained
from benchmarks.quality.sections import provenance, section
from benchmarks.quality.sets import Comparison, QualitySet, Run, Target
from benchmarks.quality.training import Done
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


def trained(run: Run, f1: float, variants: dict[str, Any], minutes: float = 10) -> Trained:
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
    return Trained(
        run, Done(command, minutes * 60, "b", ["2026-01-01"], ["int8 is left out"]), manifest, metrics
    )


def wanted(**more: Any) -> QualitySet:
    given = {"targets": (Target("macro_f1", 0.8),), "runs": (Run("x", "model"),), **more}
    return QualitySet("Title", "Method.", "DATA/x", {}, {}, ("macro_f1",), **given)


def met(asked: QualitySet, found: Findings) -> dict[str, bool]:
    return {check.what: check.met for check in checks(asked, found)}


def test_a_section_tells_command_figures_floor_parity_calibration_and_facts() -> None:
    one = trained(Run("x", "model"), 0.85, {"fp32": FP32, "int8": variant("int8", 0.2, 0.99, 0.001)})
    floor = {"macro_f1": 0.7, "intervals": {"macro_f1": [0.6, 0.8]}}
    text = section(wanted(), Findings([one], floor, truncated={"test": 0.25})).markdown(
        provenance([one], "again")
    )
    for line in (
        "labelstream train DATA/x --seed 42",
        "| model | 0.8500 [0.7500, 0.9500] |",
        "| TF-IDF + linear SVM | 0.7000 [0.6000, 0.8000] |",
        "| model | 42 | 10.0 | 2 of 4 | bf16 |",
        "| model | int8 | 2.00e-01 | 99.00% | +0.0010 | – | 100 |",
        "| model | 1.500 | 0.1000 | 0.0200 | 0.1100 | 0.0300 |",
        "| macro-F1 | ≥ 0.8 | 0.8500 | yes |",
        "Left out for no text: 7.",
        "3 equal ones, 0 nearly equal ones",
        "test 25.00%",
        "int8 is left out",
        "seed 42. `again`",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("f1", "int8", "minutes", "missed"),
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
def test_targets_are_met_or_not(f1: float, int8: dict[str, Any], minutes: float, missed: set[str]) -> None:
    found = Findings([trained(Run("x", "model"), f1, {"fp32": FP32, "int8": int8}, minutes)])
    assert {what for what, right in met(wanted(), found).items() if not right} == missed


def test_a_variant_that_the_gate_refused_is_a_target_missed() -> None:
    without = Findings([trained(Run("x", "model"), 0.9, {"fp32": variant("fp32", 2e-3, 1, 0)})])
    answers = met(wanted(), without)
    assert not answers["int8 in the bundle"]
    assert not answers["fp32, largest logit difference"]


def test_the_worst_of_many_runs_counts() -> None:
    good, bad = variant("int8", 0.1, 0.999, 0.0), variant("int8", 0.1, 0.9, 0.0)
    runs = [Run(f"x{n}", "model", seed=n) for n in range(4)]
    every = [trained(run, 0.9, {"fp32": FP32, "int8": bad if run.seed == 3 else good}) for run in runs]
    found = Findings(every)
    assert not met(wanted(), found)["int8, agreement"]
    text = section(wanted(), found).markdown(provenance(every, "again"))
    assert "| worst of 4 | int8 | 1.00e-01 | 90.00% |" in text
    assert "seeds 0, 1, 2, 3" in text
    assert text.count("labelstream train") == 1


def test_equal_to_the_floor_or_to_half_is_not_above_it() -> None:
    one = trained(Run("x", "model"), 0.85, {"fp32": FP32})
    one.metrics["test"]["at_half"] = {"macro_f1": 0.85}
    floor = {"macro_f1": 0.85, "intervals": {}}
    answers = met(wanted(beats_floor=True, beats_half=True), Findings([one], floor))
    assert not answers["macro-F1 above the SVM's"]
    assert not answers["macro-F1 above that at 0.5"]


@pytest.mark.parametrize(("low", "right"), [(-0.004, True), (-0.005, False)])
def test_the_low_end_of_a_difference_has_to_lie_above_the_margin(low: float, right: bool) -> None:
    asked = wanted(comparison=Comparison("both", "text", "macro_f1", -0.005))
    value = Estimate(0.9, 0.8, 1.0)
    arms = {"text": (value, Estimate(0, 0, 0)), "both": (value, Estimate(0.001, low, 0.1))}
    every = [trained(Run("x", arm, arm=arm), 0.9, {"fp32": FP32}) for arm in arms]
    found = Findings(every, compared={"macro_f1": arms})
    assert met(asked, found)["macro-F1, both less text, low end"] is right
    assert f"+0.0010 [{low:+.4f}, +0.1000]" in section(asked, found).markdown("")


def test_an_arm_against_itself_differs_by_nothing() -> None:
    truth = numbered(["a", "b", "a", "b"] * 50, ["a", "b"])
    guesses = np.roll(truth, 1) * (np.arange(200) % 3 > 0)
    found = estimates({"one": [guesses], "same": [guesses]}, truth, 2, "macro_f1", "one")
    assert found["same"][1] == Estimate(0.0, 0.0, 0.0)
    assert found["one"][0].low < found["one"][0].value < found["one"][0].high


def test_a_difference_is_paired_and_of_the_means_over_the_runs() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    # Both are wrong on the same half of the rows; the second is right on eight more, in one of two runs.
    wrong = np.where(np.arange(400) < 200, 1 - truth, truth)
    better = np.where(np.arange(400) < 8, truth, wrong)
    found = estimates({"a": [wrong, wrong], "b": [wrong, better]}, truth, 2, "accuracy", "a")
    value, gain = found["b"]
    assert value.value == pytest.approx(0.51)
    assert gain.value == pytest.approx(0.01)
    # Unpaired, the interval would be as wide as that of the figure itself.
    assert gain.high - gain.low < (value.high - value.low) / 4
    assert estimates({"a": [wrong], "b": [better]}, truth, 2, "accuracy", "a") == estimates(
        {"a": [wrong], "b": [better]}, truth, 2, "accuracy", "a"
    )


def test_an_unknown_figure_is_refused() -> None:
    with pytest.raises(ValueError, match="pearson"):
        estimates({"a": [np.zeros(2, int)]}, np.zeros(2, int), 2, "pearson", "a")
