"""The search for label errors finds planted ones, and searches no row that the model was trained on."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream.bundle import SpanRules
from tests.unit.analysis_rows import (
    LABELS,
    WordModel,
    examples_of,
    labelled_rows,
    multi_label_rows,
    number_rows,
    tagged_example,
    tagged_rows,
)
from trainer.evaluation.analysis import AnalysisOptions, analyse, find_label_errors
from trainer.evaluation.evaluated_rows import EvaluatedRows

FLIPPED = [3, 40, 77]


def rows_with_flips(flipped: list[int], **fields: Any) -> EvaluatedRows:
    """Return 120 rows of a good model, whose labels are wrong in some rows."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, 120)
    sure = rng.uniform(0.75, 0.95, 120)
    sure[flipped] = 0.97
    probabilities = np.where(np.eye(2)[true] == 1, sure[:, None], 1 - sure[:, None])
    given = [LABELS[1 - at if row in flipped else at] for row, at in enumerate(true)]
    examples = examples_of([f"text {row}" for row in range(120)], given, **fields)
    return labelled_rows(examples, probabilities)


def test_flipped_labels_are_found_the_worst_first() -> None:
    rows = rows_with_flips(FLIPPED)
    found, notes = find_label_errors(rows, examples_of(["other"], ["ham"]), split="test")
    assert {error.row - 1 for error in found} == set(FLIPPED)
    assert {error.split for error in found} == {"test"}
    for error in found:
        example = rows.examples[error.row - 1]
        assert (error.text, error.given) == (example.text, example.target)
        assert {error.given, error.suggested} == set(LABELS)
    assert [error.quality for error in found] == sorted(error.quality for error in found)
    assert found[0].quality < 0.25
    assert notes == ["Label errors were searched in 120 rows by confident learning (cleanlab)."]
    assert find_label_errors(rows_with_flips([]))[0] == []


def test_many_suspicious_rows_say_more_about_the_model_than_about_the_labels() -> None:
    flipped = [*range(0, 120, 8)]
    found, notes = find_label_errors(rows_with_flips(flipped), examples_of(["other"], ["ham"]))
    assert len(found) == len(flipped)
    assert notes[-1].startswith("15 of these 120 rows were found. With so many, most labels may be right")


def test_rows_that_the_model_was_trained_on_are_not_searched() -> None:
    rows = rows_with_flips(FLIPPED)
    training = examples_of([rows.examples[3].text.upper() + " "], ["ham"])
    found, notes = find_label_errors(rows, training)
    assert {error.row - 1 for error in found} == set(FLIPPED) - {3}
    assert any("1 rows are left out" in note and "trained" in note for note in notes)
    nothing, why = find_label_errors(rows, rows.examples)
    assert nothing == []
    assert any("not searched" in note for note in why)


def test_unknown_training_rows_are_said_and_out_of_fold_rows_are_included() -> None:
    held_out, folds = rows_with_flips([5], split="test"), rows_with_flips([9, 60])
    found = analyse(held_out, [], None, AnalysisOptions(out_of_fold=folds))
    assert {(error.split, error.row - 1) for error in found.suspicions} == {
        ("test", 5),
        ("train", 9),
        ("train", 60),
    }
    assert any("no training rows were given" in note for note in found.notes)
    assert any("cross-validation" in note for note in found.notes)


def test_unknown_labels_and_unanswered_rows_are_not_searched() -> None:
    rows = rows_with_flips(FLIPPED)
    examples = list(rows.examples)
    examples[40] = replace(examples[40], target="newsletter")
    predictions = [{"error": "x"} if at == 77 else of_row for at, of_row in enumerate(rows.predictions)]
    found, _ = find_label_errors(replace(rows, examples=examples, predictions=predictions))
    assert [error.row - 1 for error in found] == [3]


def test_rows_of_one_label_are_not_searched() -> None:
    rows = labelled_rows(examples_of([f"t{at}" for at in range(30)], ["ham"] * 30), np.full((30, 2), 0.5))
    found, notes = find_label_errors(rows)
    assert found == []
    assert any("two labels" in note for note in notes)


def test_a_label_of_1500_that_is_wrong_is_found() -> None:
    labels = [f"label {at}" for at in range(1500)]
    true = np.arange(3000) % 1500
    probabilities = np.full((3000, 1500), 0.1 / 1499)
    probabilities[np.arange(3000), true] = 0.9
    given = true.copy()
    given[7] = 1200
    examples = examples_of([f"text {at}" for at in range(3000)], [labels[at] for at in given])
    found, _ = find_label_errors(labelled_rows(examples, probabilities, labels))
    assert [(error.row, error.given, error.suggested) for error in found] == [(8, "label 1200", "label 7")]


def test_a_label_that_is_missing_from_a_set_is_found() -> None:
    rng = np.random.default_rng(1)
    labels = ["joy", "anger", "a, b", "never", "always"]
    true = rng.random((200, 3)) < 0.4
    probabilities = np.concatenate(
        [
            np.where(true, rng.uniform(0.8, 0.98, (200, 3)), rng.uniform(0.02, 0.2, (200, 3))),
            [[0.05, 0.9]] * 200,
        ],
        1,
    )
    given = true.copy()
    missing = [row for row in range(200) if true[row, 0] and true[row, 1]][4]
    given[missing, 0] = False
    targets = [
        (*(label for label, has in zip(labels, of_row, strict=False) if has), "always") for of_row in given
    ]
    examples = examples_of([f"text {row}" for row in range(200)], targets)
    found, _ = find_label_errors(multi_label_rows(examples, probabilities, labels))
    assert found[0].row - 1 == missing
    assert "joy" not in found[0].given.split(", ")
    assert found[0].suggested.split(", ")[0] == "joy"
    assert len(found) == 1


def test_a_number_far_from_the_prediction_is_found() -> None:
    rng = np.random.default_rng(2)
    values = rng.uniform(1, 5, 100)
    targets = values + rng.normal(0, 0.2, 100)
    targets[11] += 3
    rows = number_rows(examples_of([f"text {row}" for row in range(100)], targets.tolist()), values)
    found, notes = find_label_errors(rows)
    assert [error.row - 1 for error in found] == [11]
    assert float(found[0].given) == pytest.approx(targets[11])
    assert float(found[0].suggested) == pytest.approx(values[11])
    assert any("residuals" in note for note in notes)


def test_a_wrong_tag_of_a_word_is_found_with_the_word() -> None:
    model = WordModel({"Rome": (0, 4, 0), "Paris": (0, 3, 0), "to": (4, 0, 0), "we": (4, 0, 0)}, "token")
    rows = []
    for row in range(1, 61):
        city = ("Rome", "Paris")[row % 2]
        rows.append(tagged_example(row, f"we go to {city}" + ("" if row == 12 else "/B-CITY")))
    tags = ["O", "B-CITY", "I-CITY"]
    evaluated = tagged_rows(rows, [[("CITY", 9, len(of.text), 0.9)] for of in rows], tags)
    found = analyse(evaluated, [], model, AnalysisOptions()).suspicions
    assert [(error.row, error.given, error.suggested) for error in found] == [
        (12, 'O "Rome"', 'B-CITY "Rome"')
    ]
    assert 0 <= found[0].quality < 0.3


def test_bio_tags_are_compared_in_the_scheme_of_the_model() -> None:
    # The labels O and PAD mean the same tag.
    tags = ["O", "O", "B-CITY", "E-CITY", "S-CITY"]
    model = WordModel(
        {"New": (0, 0, 4, 0, 0), "York": (0, 0, 0, 4, 0), "Rome": (0, 0, 0, 0, 4), "to": (2, 2, 0, 0, 0)},
        "token",
    )
    rows = [tagged_example(at, "New/B-CITY York/I-CITY to Rome/B-CITY") for at in range(1, 61)]
    rows[11] = tagged_example(12, "New/B-CITY York/I-CITY to Rome")
    rules = SpanRules(scheme="bioes", tags=tags)
    labels = ["O", "PAD", "B", "E", "S"]
    evaluated = tagged_rows(rows, [[("CITY", 0, 8, 0.9), ("CITY", 12, 16, 0.9)]] * 60, labels, rules)
    found = analyse(evaluated, [], model, AnalysisOptions())
    assert [(error.row, error.given, error.suggested) for error in found.suspicions] == [
        (12, 'O "Rome"', 'S-CITY "Rome"')
    ]
    assert [mistake.index for mistake in found.mistakes] == [11]


def test_truncated_words_and_unknown_tags_are_not_searched() -> None:
    class Truncating(WordModel):
        def word_probabilities(self, inputs: Any, words: Any) -> Any:
            found = super().word_probabilities(inputs, words)
            for of_row in found:
                of_row[3:] = np.nan
            return found

    model = Truncating({"Rome": (0, 4, 0), "we": (4, 0, 0), "to": (4, 0, 0), "go": (4, 0, 0)}, "token")
    rows = [tagged_example(row, "we go to Rome/B-CITY") for row in range(1, 41)]
    rows += [tagged_example(row, "Rome/B-CITY to Rome/E-CITY we") for row in range(41, 61)]
    evaluated = tagged_rows(rows, [[]] * 60, ["O", "B-CITY", "I-CITY"])
    assert analyse(evaluated, [], model, AnalysisOptions()).suspicions == []
