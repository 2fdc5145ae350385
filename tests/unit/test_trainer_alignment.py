"""Alignment of word tags with tokens: training and the worker use the same pieces for any tokenizer."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.bundle import SpanRules, Windows
from stream.classify import Piece, RowTokens
from tests.real.tiny_bundle import save_tiny_base
from trainer.data.examples import Example
from trainer.model.encoding import IGNORED, Preprocessing, encode
from trainer.model.targets import (
    TaggedExamples,
    continuation_labels,
    first_pieces,
    piece_targets,
    tagged_pieces,
    token_dataset,
    token_targets,
)

TAGS = ["O", "B-loc", "B-per", "I-loc", "I-per"]
CONTINUATION = continuation_labels(TAGS)
FIRST = SpanRules(scheme="bio", subwords="first")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> object:
    return save_tiny_base(Path(tmp_path_factory.mktemp("base")))[1]


def example(words: list[str], tags: list[str]) -> Example:
    spans, at = [], 0
    for word in words:
        spans.append((at, at + len(word)))
        at += len(word) + 1
    return Example(1, " ".join(words), tuple(tags), word_spans=tuple(spans))


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 2), st.integers(0, 4)), max_size=12))
def test_the_first_piece_of_a_word_has_its_label_and_further_pieces_continue_it(
    drawn: list[tuple[int, int, int]],
) -> None:
    """Words consist of pieces of one character, with gaps between; tokens without a piece are ignored."""
    pieces, words, targets, at, token = [], [], [], 0, 1
    for length, gap, target in drawn:
        words.append((at, at + length))
        targets.append(target)
        for offset in range(length):
            pieces.append(Piece(token, at + offset, at + offset + 1))
            token += 2
        at += length + gap
    piece_labels = piece_targets(pieces, words, targets, CONTINUATION)
    expected = [
        target if offset == 0 else CONTINUATION[target]
        for length, _, target in drawn
        for offset in range(length)
    ]
    assert piece_labels == expected
    on_tokens = token_targets(pieces, piece_labels, token + 1)
    assert [on_tokens[piece.at] for piece in pieces] == expected
    assert sum(target != IGNORED for target in on_tokens) == len(pieces)


def test_only_b_tags_continue_as_another_tag() -> None:
    assert {TAGS[a]: TAGS[b] for a, b in CONTINUATION.items()} == {
        "O": "O",
        "B-loc": "I-loc",
        "B-per": "I-per",
        "I-loc": "I-loc",
        "I-per": "I-per",
    }
    assert continuation_labels(["O", "B-x"]) == {0: 0, 1: 1}, "the tags have no I-x"


def test_a_window_that_starts_inside_a_word_has_no_first_piece_of_it() -> None:
    assert first_pieces([Piece(1, 2, 4), Piece(2, 5, 7)], [(0, 4), (5, 7)]) == {1: 1}


letters = st.text(st.sampled_from("abcdefghij-'.é🙂"), min_size=1, max_size=8).filter(str.strip)


@given(st.lists(st.tuples(letters, st.sampled_from(TAGS)), min_size=1, max_size=8))
@settings(deadline=None, max_examples=80)
def test_only_the_first_sub_word_is_labelled(tokenizer: object, drawn: list[tuple[str, str]]) -> None:
    row = example([word for word, _ in drawn], [tag for _, tag in drawn])
    labels = token_dataset(tokenizer, [row], TAGS, FIRST, Preprocessing(64))[0]["labels"]
    encoding = tokenizer(row.text, max_length=64, truncation=True).encodings[0]  # type: ignore[operator]
    assert len(labels) == len(encoding)
    first = {piece.at for piece in tagged_pieces(RowTokens(encoding, row.text, None), FIRST)}
    assert {at for at, label in enumerate(labels) if label != IGNORED} == first
    for (start, _), tag in zip(row.word_spans, row.labels, strict=True):
        begins = [at for at in first if encoding.offsets[at][0] == start]
        assert [TAGS[labels[at]] for at in begins] == [tag] * len(begins)


def test_every_sub_word_is_labelled_with_the_rule_all(tokenizer: object) -> None:
    row = example(["zzyx", "came"], ["B-per", "O"])
    first = token_dataset(tokenizer, [row], TAGS, FIRST, Preprocessing(64))[0]["labels"]
    every = token_dataset(tokenizer, [row], TAGS, SpanRules(subwords="all"), Preprocessing(64))[0]["labels"]
    number = TAGS.index
    assert first == [IGNORED, number("B-per"), *[IGNORED] * 3, *first[5:]]
    assert every[1:5] == [number("B-per"), *[number("I-per")] * 3]


@pytest.mark.parametrize("windows", [None, Windows(stride=4)])
def test_logits_equal_to_the_targets_give_the_true_spans(tokenizer: object, windows: Windows | None) -> None:
    words = ["john", "smith-jones", "lives", "in", "new", "york", "since", "the", "courier", "left", "him"]
    tags = ["B-per", "I-per", "O", "O", "B-loc", "I-loc", *["O"] * 5]
    rows = [example(words, tags), example(["refund"], ["O"])]
    preprocessing = Preprocessing(64 if windows is None else 16, windows)
    evaluated = TaggedExamples(tokenizer, rows, TAGS, FIRST, preprocessing)
    training = token_dataset(tokenizer, rows, TAGS, FIRST, preprocessing)
    assert windows is None or len(training) > len(rows)
    parts: list[list[np.ndarray]] = [[] for _ in rows]
    owners = encode(tokenizer, [row.input for row in rows], preprocessing).owners
    for at, owner in enumerate(owners):
        targets = [max(0, target) for target in training[at]["labels"]]
        parts[owner].append(np.eye(len(TAGS), dtype=np.float32)[targets] * 9)
    output = [np.concatenate(windows_of_row) for windows_of_row in parts]
    predicted = evaluated.predicted_spans(output)
    assert [[span[:3] for span in row] for row in predicted] == [
        [span[:3] for span in row] for row in evaluated.true_spans()
    ]
    assert [span.type for span in predicted[0]] == ["per", "loc"]
    assert rows[0].text[predicted[0][0].start : predicted[0][0].end] == "john smith-jones"
    assert evaluated.word_accuracy(output) == 1.0
    logits, truth = evaluated.piece_logits(output)
    assert (logits.argmax(axis=1) == truth).all()


def test_truncated_words_count_as_outside(tokenizer: object) -> None:
    row = example(["a"] * 20 + ["york"], [*["O"] * 20, "B-loc"])
    evaluated = TaggedExamples(tokenizer, [row], TAGS, FIRST, Preprocessing(12))
    output = [np.eye(len(TAGS), dtype=np.float32)[[0] * 12]]
    assert evaluated.word_accuracy(output) == pytest.approx(20 / 21)
    assert evaluated.predicted_spans(output) == [[]]
    assert len(evaluated.true_spans()[0]) == 1
