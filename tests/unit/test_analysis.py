"""The error analysis: planted mistakes, neighbours, words, duplicates, and what is left out and said."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream.bundle import SpanRules
from stream.classify import TextInput
from stream.errors import UsageError
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
from trainer.evaluation.analysis import AnalysisOptions, Costs, analyse
from trainer.evaluation.analysis.neighbours import nearest_rows
from trainer.evaluation.analysis.words import leave_out, split_words
from trainer.evaluation.answers import NO_LABEL, NO_SPAN, confusion

SPAM = WordModel({"prize": (0.0, 3.0), "mum": (2.0, 0.0), "call": (0.0, 0.5)})
TAGS = ["O", "B-CITY", "I-CITY"]


def answered(texts: list[str], targets: list[str], model: WordModel = SPAM, **fields: Any) -> Any:
    examples = examples_of(texts, targets, **fields)
    return labelled_rows(examples, model.probabilities([example.input for example in examples]))


def test_mistakes_come_most_confident_first_with_the_planted_neighbour_and_words() -> None:
    rows = answered(
        ["call me", "you win a prize call now", "hello mum", "prize draw at school"],
        ["ham", "ham", "ham", "ham"],
    )
    training = examples_of(
        ["nothing like it", "win a prize call now", "see you at school", "mum and dad"],
        ["ham", "spam", "ham", "ham"],
    )
    found = analyse(rows, training, SPAM, AnalysisOptions(max_neighbours=2))
    assert [mistake.index for mistake in found.mistakes] == [1, 3, 0]
    first = found.mistakes[0]
    assert (first.gold, first.predicted, first.scored) == ("ham", "spam", "spam")
    assert first.confidence == pytest.approx(1 / (1 + np.exp(-3.5)))
    nearest = first.neighbours[0]
    assert (nearest.row, nearest.text, nearest.target) == (2, "win a prize call now", "spam")
    assert nearest.similarity == pytest.approx(5 / np.sqrt(5 * 6))
    assert len(first.neighbours) == 2
    assert first.neighbours[1].similarity <= nearest.similarity
    effects = {rows.examples[1].text[word.start : word.end]: word.effect for word in first.words}
    assert list(effects) == ["you", "win", "a", "prize", "call", "now"]
    assert max(effects, key=lambda word: effects[word]) == "prize"
    assert effects["prize"] > effects["call"] > effects["you"] == pytest.approx(0)


def test_words_are_measured_for_the_shown_mistakes_only_and_this_is_said() -> None:
    model = WordModel(SPAM.weights)
    rows = answered(["prize " + "word " * 30, "prize call", "prize", "call"], ["ham"] * 4, model)
    model.inputs.clear()
    found = analyse(rows, [], model, AnalysisOptions(max_mistakes=2, max_words=5))
    assert [len(mistake.words) for mistake in found.mistakes] == [2, 5, 0, 0]
    # Each shown row is read once as it is, and once without each measured word.
    assert len(model.inputs) == 3 + 6
    assert any("first 2 of 4 mistakes" in note for note in found.notes)
    assert any("effects of 5 words" in note for note in found.notes)
    assert any("no training rows were given" in note for note in found.notes)


def test_the_second_text_and_the_metadata_stay_when_words_are_left_out() -> None:
    model = WordModel(SPAM.weights)
    rows = answered(["prize call"], ["ham"], model, text_pair="and this", metadata={"via": "web"})
    model.inputs.clear()
    found = analyse(rows, [], model, AnalysisOptions())
    assert [(given.text, given.text_pair, given.metadata) for given in model.inputs] == [
        ("prize call", "and this", {"via": "web"}),
        ("call", "and this", {"via": "web"}),
        ("prize", "and this", {"via": "web"}),
    ]
    assert any("first text of each pair" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't  do that!", ["Don't", "do", "that!"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("返金 please", ["返", "金", "please"]),
        ("", []),
        (" \n", []),
        ("👍🏽<b>", ["👍🏽<b>"]),
    ],
)
def test_words_are_found_in_every_script(text: str, words: list[str]) -> None:
    assert [text[slice(*word)] for word in split_words(text)] == words


def test_leaving_a_word_out_joins_no_other_words() -> None:
    text = "a  (b) 返金 c"
    assert leave_out(text, (0, 1)) == "(b) 返金 c"
    assert leave_out(text, (3, 4)) == "a  b) 返金 c"
    assert leave_out(text, (3, 6)) == "a 返金 c"
    assert leave_out(text, (7, 8)) == "a  (b) 金 c"
    assert leave_out(text, (10, 11)) == "a  (b) 返金"
    assert leave_out("word", (0, 4)) == ""


def test_an_abstained_and_an_unanswered_row_are_no_mistakes_and_are_counted() -> None:
    rows = answered(["prize", "prize", "prize mum"], ["ham"] * 3)
    predictions = [
        {"error": "the logits are not finite"},
        rows.predictions[1],
        {"label": None, "abstained": True},
    ]
    rows = replace(rows, predictions=predictions, abstain_below=0.8)
    assert rows.probabilities is not None
    rows.probabilities[0] = np.nan
    found = analyse(rows, [], SPAM, AnalysisOptions())
    assert [mistake.index for mistake in found.mistakes] == [1]
    assert any("1 of 3 rows have no answer" in note for note in found.notes)
    assert any("no label for 1 rows" in note for note in found.notes)


def test_the_most_confident_wrong_label_of_a_set_decides() -> None:
    labels = ["joy", "anger", "a, b"]
    probabilities = np.array([[0.9, 0.2, 0.6], [0.05, 0.9, 0.1], [0.7, 0.1, 0.1]])
    examples = examples_of(["one", "two", "three"], [("joy",), ("joy", "anger"), ("joy",)])
    rows = multi_label_rows(examples, probabilities, labels)
    found = analyse(rows, [], None, AnalysisOptions())
    assert [(m.index, m.gold, m.predicted, m.scored) for m in found.mistakes] == [
        (1, "joy, anger", "anger", "joy"),
        (0, "joy", "joy, a, b", "a, b"),
    ]
    assert [m.confidence for m in found.mistakes] == [pytest.approx(0.95), pytest.approx(0.6)]
    assert any("need the PyTorch model" in note for note in found.notes)


def test_a_row_without_labels_is_described() -> None:
    rows = multi_label_rows(examples_of(["one"], [()]), np.array([[0.9]]), ["joy"])
    assert analyse(rows, [], None, AnalysisOptions()).mistakes[0].gold == NO_LABEL


def test_the_largest_errors_of_a_regression_come_first() -> None:
    errors = np.linspace(0, 1, 300)
    rows = number_rows(examples_of([f"text {at}" for at in range(300)], [2.0] * 300), 2 + errors)
    found = analyse(rows, [], None, AnalysisOptions())
    assert [mistake.index for mistake in found.mistakes] == list(range(299, 269, -1))
    assert (found.mistakes[0].gold, found.mistakes[0].predicted) == ("2", "3")
    assert found.mistakes[0].confidence == pytest.approx(1)
    assert found.headline == "mae"
    assert any("30 rows with the largest errors" in note for note in found.notes)


def test_wrong_and_missed_spans_are_mistakes_with_words() -> None:
    model = WordModel(
        {"Paris": (0.0, 4.0, 0.0), "in": (0.0, 1.0, 0.0), "March": (0.0, 2.0, 0.0), "Lyon": (3, 0, 0)}
    )
    examples = [
        tagged_example(1, "rain in March and Paris/B-CITY today"),
        tagged_example(2, "the town Lyon/B-CITY sleeps"),
        tagged_example(3, "Paris/B-CITY is fine"),
    ]
    rows = tagged_rows(
        examples,
        [[("CITY", 8, 13, 0.7), ("CITY", 18, 29, 0.6)], [], [("CITY", 0, 5, 0.9)]],
        TAGS,
    )
    found = analyse(rows, examples, model, AnalysisOptions(max_neighbours=1))
    shown = [(m.index, m.gold, m.predicted, m.scored) for m in found.mistakes]
    assert shown == [
        (1, 'CITY "Lyon"', NO_SPAN, 'CITY "Lyon"'),
        (0, NO_SPAN, 'CITY "March"', 'CITY "March"'),
        (0, 'CITY "Paris"', 'CITY "Paris today"', 'CITY "Paris today"'),
    ]
    missed, wrong, _ = found.mistakes
    assert missed.confidence == pytest.approx(np.exp(3) / (np.exp(3) + 2))
    text = examples[0].text
    effects = {text[word.start : word.end]: word.effect for word in wrong.words}
    assert "March" not in effects
    assert max(effects, key=lambda word: effects[word]) == "in"
    assert effects["today"] == pytest.approx(0)
    assert wrong.neighbours[0].target == 'CITY "Paris"'
    assert any("PyTorch" in note for note in analyse(rows, [], None, AnalysisOptions()).notes)


@pytest.mark.parametrize(("noun", "verb"), [("NOUN", "VERB"), ("B-x", "I-x")])
def test_each_word_is_a_span_where_the_bundle_says_so(noun: str, verb: str) -> None:
    rows = tagged_rows(
        [tagged_example(1, f"dogs/{noun} run/{verb}")],
        [[(noun, 0, 4, 0.9), (noun, 5, 8, 0.8)]],
        [noun, verb],
        SpanRules(scheme="word"),
    )
    (mistake,) = analyse(rows, [], None, AnalysisOptions()).mistakes
    assert (mistake.gold, mistake.predicted) == (f'{verb} "run"', f'{noun} "run"')
    found = confusion(rows)
    named = {(found.names[a], found.names[p]): count for (a, p), count in found.cells.items()}
    assert named == {(noun, noun): 1, (verb, noun): 1}


def test_the_nearest_rows_are_those_of_the_whole_matrix_in_bounded_memory() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((12_000, 24)).astype(np.float32)
    vectors[9_000] = vectors[4_000]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = np.concatenate([vectors[[9_000, 11_999]], vectors[:2_300] + 0.1])
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    inputs = [TextInput(str(at)) for at in range(len(vectors))]
    tracemalloc.start()
    found = nearest_rows(queries, inputs, lambda chunk: vectors[[int(row.text) for row in chunk]], 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The whole matrix has 110 MB.
    assert peak < 40e6
    assert [at for at, _ in found[0][:2]] == [4_000, 9_000]
    similarities = queries @ vectors.T
    expected = -np.sort(-similarities, axis=1)[:, :3]
    assert np.allclose([[near for _, near in row] for row in found], np.clip(expected, -1, 1), atol=1e-6)
    at = [[similarities[query, index] for index, _ in row] for query, row in enumerate(found)]
    assert np.allclose(at, expected, atol=1e-6)


def test_fewer_training_rows_than_neighbours_are_all_returned() -> None:
    queries = np.eye(2, dtype=np.float32)
    found = nearest_rows(queries, [TextInput("a")], lambda _: np.eye(2, dtype=np.float32)[:1], 3)
    assert found == [[(0, 1.0)], [(0, 0.0)]]


def test_a_sample_of_many_training_rows_is_searched_and_this_is_said() -> None:
    rows = answered(["prize"], ["ham"])
    training = examples_of(["prize"] * 50, ["spam"] * 50)
    searched = []
    model = WordModel(SPAM.weights)
    vectors = model.vectors
    model.vectors = lambda inputs: searched.append(len(inputs)) or vectors(inputs)  # type: ignore[method-assign,func-returns-value]
    found = analyse(rows, training, model, AnalysisOptions(max_training_rows=10))
    assert searched == [1, 10]
    assert any("random sample of 10 of 50 rows" in note for note in found.notes)


def test_a_row_is_not_its_own_neighbour() -> None:
    rows = answered(["prize call", "prize mum call"], ["ham", "ham"])
    others = examples_of(["call me", "prize call"], ["ham", "spam"])
    training = [*rows.examples, *others]
    found = analyse(rows, training, SPAM, AnalysisOptions(max_neighbours=2)).mistakes
    nearest = {mistake.index: [near.text for near in mistake.neighbours] for mistake in found}
    # An equal text of another row is a neighbour.
    assert nearest[0] == ["prize call", "prize mum call"]
    assert all(len(texts) == 2 for texts in nearest.values())


def test_duplicates_across_splits_are_named_by_their_rows() -> None:
    text = "please send my parcel to the other address as soon as you possibly can"
    training = [*examples_of(["A  prize FOR you", text], ["spam", "ham"])]
    rows = answered(["a prize for you", "unrelated", f"{text} !"], ["spam", "ham", "ham"])
    pairs = analyse(rows, training, SPAM, AnalysisOptions(split="test")).duplicates
    assert [(p.kind, p.split, p.row, p.other_split, p.other_row) for p in pairs] == [
        ("equal", "test", 1, "train", 1),
        ("near", "test", 3, "train", 2),
    ]
    assert (pairs[0].text, pairs[0].other_text) == ("a prize for you", "A  prize FOR you")
    assert analyse(rows, [], SPAM, AnalysisOptions()).duplicates == []
    assert analyse(rows, training, SPAM, AnalysisOptions()).duplicates[0].split == "data"


def test_an_evaluated_training_row_is_no_duplicate_of_itself() -> None:
    rows = answered(["a prize for you", "unrelated", "A prize for you"], ["spam", "ham", "spam"])
    (pair,) = analyse(rows, rows.examples[:2], SPAM, AnalysisOptions()).duplicates
    assert (pair.split, pair.row, pair.other_split, pair.other_row) == ("data", 3, "train", 1)


def test_rows_that_name_their_split_are_compared_with_each_other() -> None:
    examples = [
        *examples_of(["the same words"], ["ham"], split="validation"),
        *examples_of(["The same words"], ["ham"], split="test"),
    ]
    rows = labelled_rows(examples, np.array([[0.9, 0.1]] * 2))
    (pair,) = analyse(rows, [], None, AnalysisOptions()).duplicates
    assert (pair.split, pair.other_split) == ("test", "validation")


def test_progress_covers_every_row_and_mistake() -> None:
    totals: dict[str, int] = {}
    done: dict[str, int] = {}

    def stage(name: str, total: int) -> Any:
        totals[name] = total

        def advance(rows: int) -> None:
            done[name] = done.get(name, 0) + rows

        return advance

    rows = answered(["prize", "call", "mum"], ["ham"] * 3)
    analyse(rows, examples_of(["a b"] * 5, ["ham"] * 5), SPAM, AnalysisOptions(stage=stage))
    assert totals == done == {"embed rows": 7, "leave out words": 2}


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("head", ["single-label", "multi-label", "regression", "token"])
def test_hardly_any_rows_give_notes_and_no_errors(head: str, rows: int) -> None:
    made = {
        "single-label": lambda: labelled_rows(
            examples_of(["a"], ["ham"])[:rows], np.array([[0.2, 0.8]])[:rows]
        ),
        "multi-label": lambda: multi_label_rows(
            examples_of(["a"], [("ham",)])[:rows], np.array([[0.2, 0.8]])[:rows], LABELS
        ),
        "regression": lambda: number_rows(examples_of(["a"], [2.0])[:rows], [3.0][:rows]),
        "token": lambda: tagged_rows([tagged_example(1, "a b/B-CITY")][:rows], [[]][:rows], TAGS),
    }[head]()
    model = WordModel({"a": (1.0, 0.0, 0.0)}, head)  # type: ignore[arg-type]
    found = analyse(made, made.examples, model, AnalysisOptions())
    assert len(found.mistakes) == rows
    assert (found.slices, found.suspicions) == ([], [])
    assert any("There are no slices" in note for note in found.notes)
    assert any("Label errors were not searched" in note for note in found.notes)


def test_a_gold_label_that_the_model_does_not_have_is_a_mistake() -> None:
    rows = answered(["prize"] * 60, ["newsletter"] * 30 + ["spam"] * 30)
    found = analyse(rows, [], SPAM, AnalysisOptions())
    assert len(found.mistakes) == 30
    assert found.mistakes[0].gold == "newsletter"


def test_costs_that_do_not_apply_are_refused() -> None:
    rows = number_rows(examples_of(["a"], [1.0]), [1.0])
    with pytest.raises(UsageError, match="does not apply"):
        analyse(rows, [], None, AnalysisOptions(costs=Costs()))
    with pytest.raises(UsageError, match="'sparm'"):
        analyse(answered(["a"], ["ham"]), [], SPAM, AnalysisOptions(costs=Costs(positive="sparm")))
