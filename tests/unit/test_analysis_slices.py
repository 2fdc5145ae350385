"""Slices: a planted bad slice comes first, with its interval; columns, ranges, languages and their limits."""

from typing import Any

import numpy as np
import pytest

from tests.unit.analysis_rows import (
    examples_of,
    labelled_rows,
    multi_label_rows,
    number_rows,
    tagged_example,
    tagged_rows,
)
from trainer.evaluation.analysis import AnalysisOptions, analyse
from trainer.evaluation.analysis.column_values import MAX_COLUMNS, column_values
from trainer.evaluation.analysis.properties import identify_languages, length_values, text_properties
from trainer.evaluation.analysis.slices import RowRatio, find_slices
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.findings import Findings, Slice

ROWS = 800


def rows_with(wrong: np.ndarray, texts: Any = None, columns: Any = None, **fields: Any) -> EvaluatedRows:
    """Return rows of two labels, of which some have a wrong answer."""
    rng = np.random.default_rng(1)
    gold = rng.integers(0, 2, len(wrong))
    answer = np.where(wrong, 1 - gold, gold)
    texts = texts or [f"a message about order number {'abcdefgh'[at % 8]}" for at in range(len(wrong))]
    examples = examples_of(texts, [["ham", "spam"][at] for at in gold], **fields)
    return labelled_rows(examples, np.eye(2)[answer] * 0.8 + 0.1, columns=columns)


def analysed(rows: EvaluatedRows, **options: Any) -> Findings:
    return analyse(rows, [], None, AnalysisOptions(**options))


def share(slices: Any, column: str, value: str) -> Slice:
    return next(found for found in slices if (found.column, found.value) == (column, value))


def test_a_planted_bad_value_of_a_column_comes_first_with_its_interval() -> None:
    rng = np.random.default_rng(0)
    shop = rng.choice(["Köln", "Paris", "<b>Rome</b>"], ROWS)
    wrong = rng.random(ROWS) < np.where(shop == "Paris", 0.4, 0.1)
    rows = rows_with(
        wrong, columns={"Ort, Straße": shop.tolist(), "noise": rng.choice(["a", "b"], ROWS).tolist()}
    )
    found = analysed(rows)
    worst = found.slices[0]
    assert (found.headline, worst.column, worst.value) == ("accuracy", "Ort, Straße", "Paris")
    here = shop == "Paris"
    assert worst.rows == here.sum()
    assert worst.metric == pytest.approx(1 - wrong[here].mean())
    assert worst.difference == pytest.approx(wrong[~here].mean() - wrong[here].mean())
    # The percentile bootstrap of a share agrees with the binomial distribution.
    error = np.sqrt(worst.metric * (1 - worst.metric) / worst.rows)
    assert (worst.low, worst.high) == pytest.approx(
        (worst.metric - 1.96 * error, worst.metric + 1.96 * error), abs=0.012
    )
    assert {of.value for of in found.slices if of.column == "Ort, Straße"} == {"Köln", "Paris", "<b>Rome</b>"}
    note = next(note for note in found.notes if "by chance alone" in note)
    assert f"{len(found.slices)} slices" in note
    assert note.endswith("1 are worse: Ort, Straße: Paris.")
    assert analysed(rows) == found


def test_a_small_slice_does_not_come_first_by_chance() -> None:
    kind = np.array(["small"] * 20 + ["large"] * 300 + ["rest"] * 680)
    wrong = np.zeros(1000, bool)
    # 30% of the small slice, 22% of the large one and 10% of the rest.
    wrong[:6] = wrong[20:86] = wrong[320:388] = True
    found = analysed(rows_with(wrong, columns={"kind": kind.tolist()}))
    shown = [of.value for of in found.slices if of.column == "kind"]
    assert shown.index("large") < shown.index("small")


def test_without_a_bad_slice_none_passes_the_correction() -> None:
    rng = np.random.default_rng(5)
    columns = {f"column {at}": rng.choice(["a", "b", "c", "d"], ROWS).tolist() for at in range(20)}
    note = next(
        note for note in analysed(rows_with(rng.random(ROWS) < 0.2, columns=columns)).notes if "Holm" in note
    )
    assert note.endswith("no slice is worse than the other rows.")


TEXTS = {
    ("negation", "with negation"): "I can't say that it was good",
    ("digits", "with digits"): "It came after 3 days",
    ("question", "with a question mark"): "Where is it?",
    ("upper case", "with a word in capitals"): "It is BROKEN again",
}


@pytest.mark.parametrize("planted", TEXTS)
def test_a_property_of_the_text_on_which_the_model_is_worse_comes_first(planted: tuple[str, str]) -> None:
    others = [text for key, text in TEXTS.items() if key != planted] + ["It is fine"]
    texts = [TEXTS[planted] if at % 4 == 0 else others[at % len(others)] for at in range(200)]
    wrong = np.array([at % 4 == 0 and at % 8 == 0 for at in range(200)])
    worst = analysed(rows_with(wrong, texts)).slices[0]
    assert (worst.column, worst.value) == planted
    assert worst.rows == 50
    assert (worst.metric, worst.difference) == pytest.approx((0.5, -0.5))


def test_properties_see_both_texts_of_a_pair_and_several_languages() -> None:
    examples = [
        *examples_of(["a b", "Das ist nicht gut", "c'est pas bon", "note", "nothing"], ["x"] * 5),
        *examples_of(["a"], ["x"], text_pair="Why not 2?"),
    ]
    found = text_properties(examples, 20)
    assert [value.startswith("with ") for value in found["negation"]] == [
        False,
        True,
        True,
        False,
        True,
        True,
    ]
    assert [found[name][-1].split()[0] for name in ("digits", "question")] == ["with", "with"]


def test_long_texts_on_which_the_model_is_worse_come_first() -> None:
    texts = ["word " * (40 if at % 5 == 0 else 6) for at in range(300)]
    worst = analysed(rows_with(np.array([at % 10 == 0 for at in range(300)]), texts)).slices[0]
    assert (worst.column, worst.value, worst.rows) == ("length", "9 to 40 words", 60)


def test_ranges_of_lengths_have_enough_rows_and_cover_all() -> None:
    lengths = [3] * 30 + [20] * 5 + [30] * 30 + [400] * 3
    found = length_values(lengths, "tokens", 20)
    assert sorted(set(found)) == ["3 to 8 tokens", "9 to 400 tokens"]
    assert found.count("9 to 400 tokens") == 38
    assert length_values([5, 5], "words", 20) == ["5 words"] * 2
    assert length_values([], "words", 20) == []
    assert length_values([0, 0, 9], "words", 1) == ["0 to 8 words", "0 to 8 words", "9 words"]


def test_the_language_is_a_slice_only_if_two_languages_have_enough_rows() -> None:
    english = "I was charged twice for the same order and nobody answers"
    german = "Ich habe die Bestellung nicht bekommen und will mein Geld zurück"
    assert identify_languages([english, german, "ok", "123", "", "💥"]) == ["en", "de", *["uncertain"] * 4]
    texts = [german if at % 4 == 0 else english for at in range(200)]
    wrong = np.array([at % 8 == 0 for at in range(200)])
    found = analysed(rows_with(wrong, texts, columns={"Language": ["x", "y"] * 100}))
    assert share(found.slices, "language", "de").metric == pytest.approx(0.5)
    assert share(found.slices, "language", "en").metric == pytest.approx(1)
    french = "je n'ai pas reçu ma commande et je voudrais être remboursé"
    few = analysed(rows_with(wrong, [german, french] * 15 + [english] * 170)).slices
    assert not [of for of in few if of.column == "language"]


def test_numeric_columns_and_metadata_are_grouped_by_quartiles() -> None:
    rng = np.random.default_rng(2)
    price = np.round(rng.random(ROWS) * 100, 2)
    age = rng.integers(18, 90, ROWS)
    wrong = (age < np.quantile(age, 0.25)) & (rng.random(ROWS) < 0.6)
    rows = rows_with(wrong, columns={"price": [f"{value}" if value > 1 else "" for value in price]})
    examples = [
        type(example)(example.row, example.text, example.target, metadata={"age": int(value)})
        for example, value in zip(rows.examples, age, strict=True)
    ]
    found = analysed(labelled_rows(examples, rows.probabilities, columns=rows.columns)).slices  # type: ignore[arg-type]
    worst = found[0]
    assert worst.column == "age"
    assert worst.value.startswith("18 to ")
    of_price = [of for of in found if of.column == "price"]
    assert sum(of.rows for of in of_price) == (price > 1).sum()
    assert len(of_price) == 4


def test_columns_that_say_nothing_about_the_rows_make_no_slices() -> None:
    examples = examples_of([f"text {at}" for at in range(100)], ["ham", "spam"] * 50, id=None)
    columns = {
        "message": [example.text for example in examples],
        "class_id": ["0", "1"] * 50,
        "row": [str(at) for at in range(7, 107)],
        "constant": ["x"] * 100,
        "comment": [f"comment {at}" for at in range(100)],
        "ham": ["1", "0"] * 50,
        "kind": ["a", "a", "b", " "] * 25,
        "grade": ["1", "2", "2", "3"] * 25,
    }
    found = column_values(columns, examples, ["ham", "spam"])
    assert found.values == {"kind": ["a", "a", "b", "missing"] * 25, "grade": columns["grade"]}
    assert found.skipped == ["comment"]
    stars = examples_of(["a", "b", "c", "d"], [1.0, 2.0, 2.0, 4.5])
    numbers = {"stars": ["1", "2", "2", "4.5"], "other": ["1", "2", "2", "1"]}
    assert list(column_values(numbers, stars, ["value"]).values) == ["other"]


def test_too_many_columns_and_values_are_left_out_and_said() -> None:
    columns = {f"c{at}": ["a", "b", "b"] * 20 for at in range(MAX_COLUMNS + 2)}
    columns["free text"] = [f"value {at}" for at in range(60)]
    found = analysed(rows_with(np.arange(60) % 3 == 0, columns=columns))
    assert any("free text" in note and "more than 50" in note for note in found.notes)
    assert any("c100, c101" in note for note in found.notes)
    assert not [of for of in found.slices if of.column in ("c100", "free text")]


def test_a_column_with_the_name_of_a_property_keeps_both() -> None:
    found = analysed(rows_with(np.arange(120) % 7 == 0, columns={"digits": ["few", "many"] * 60})).slices
    assert {of.column for of in found} >= {"digits (column)"}
    with_digits = rows_with(
        np.arange(120) % 7 == 0, ["a 1", "a b"] * 60, columns={"digits": ["x", "x", "y"] * 40}
    )
    assert {of.column for of in analysed(with_digits).slices} >= {"digits", "digits (column)"}


def test_slices_with_few_rows_are_left_out_and_counted() -> None:
    kind = ["rare"] * 19 + ["other"] * 30 + ["common"] * 51
    found = analysed(rows_with(np.arange(100) % 3 == 0, columns={"kind": kind}))
    assert {of.value for of in found.slices if of.column == "kind"} == {"other", "common"}
    assert any("fewer than 20 rows" in note for note in found.notes)


def test_the_largest_mean_error_is_the_worst_slice_of_a_regression() -> None:
    rng = np.random.default_rng(4)
    shop = rng.choice(["a", "b"], 400)
    errors = rng.normal(0, np.where(shop == "b", 2.0, 1.0))
    rows = number_rows(examples_of(["the text"] * 400, [3.0] * 400), 3 + errors, {"shop": shop.tolist()})
    found = analyse(rows, [], None, AnalysisOptions())
    assert (found.headline, found.slices[0].value) == ("mae", "b")
    here = np.abs(errors[shop == "b"])
    assert found.slices[0].metric == pytest.approx(here.mean())
    assert found.slices[0].difference > 0.5
    means = [rng.choice(here, len(here)).mean() for _ in range(1000)]
    assert [found.slices[0].low, found.slices[0].high] == pytest.approx(
        np.quantile(means, [0.025, 0.975]), abs=0.05
    )


def test_the_slices_of_several_labels_have_micro_f1() -> None:
    # Long texts miss one of two labels: F1 of 2 / 3; the others are right.
    texts = ["word " * 20 if at % 4 == 0 else "word" for at in range(200)]
    examples = examples_of(texts, [("a", "b")] * 200)
    probabilities = np.array([[0.9, 0.1 if at % 4 == 0 else 0.9] for at in range(200)])
    found = analyse(multi_label_rows(examples, probabilities, ["a", "b"]), [], None, AnalysisOptions())
    worst = found.slices[0]
    assert (found.headline, worst.column) == ("micro_f1", "length")
    assert worst.metric == pytest.approx(2 / 3)


def test_the_slices_of_spans_have_entity_f1() -> None:
    examples = [
        tagged_example(at + 1, "in Rome/B-CITY 1" if at % 2 else "in Rome/B-CITY now") for at in range(100)
    ]
    spans = [[("CITY", 3, 7 if at % 2 else 6, 0.9)] for at in range(100)]
    found = analyse(tagged_rows(examples, spans, ["O", "B-CITY"]), [], None, AnalysisOptions())
    assert found.headline == "entity_f1"
    worst = found.slices[0]
    assert (worst.column, worst.value, worst.metric) == ("digits", "without digits", 0)
    assert worst.difference == -1


def test_rows_without_spans_have_no_metric_and_are_no_slice() -> None:
    examples = [tagged_example(at + 1, "Rome/B-CITY 1" if at % 2 else "nothing here") for at in range(100)]
    spans: Any = [[("CITY", 0, 4, 0.9)] if at % 4 == 1 else [] for at in range(100)]
    found = analyse(tagged_rows(examples, spans, ["O", "B-CITY"]), [], None, AnalysisOptions())
    assert not [of for of in found.slices if of.column == "digits"]


def test_many_rows_and_columns_take_seconds() -> None:
    rng = np.random.default_rng(6)
    properties = {f"c{at}": rng.choice(["a", "b", "c"], 10_000).tolist() for at in range(20)}
    errors = RowRatio(rng.random(10_000), np.ones(10_000))
    slices, _ = find_slices(properties, errors, "regression", 20, 0)
    assert len(slices) == 60
    assert all(of.low < of.metric < of.high for of in slices)
