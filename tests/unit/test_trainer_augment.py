"""Augmented texts: never empty, reproducible by the seed, and similar to the original."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import UsageError
from trainer.config import AUGMENTATIONS
from trainer.data.examples import Example
from trainer.data.imbalance import augment_examples

texts = st.lists(st.text(min_size=1, max_size=40).filter(str.strip), min_size=1, max_size=6)


@given(texts, st.integers(0, 999))
def test_copies_are_altered_complete_and_reproducible(drawn: list[str], seed: int) -> None:
    examples = [Example(row, text, ("a", "b"), text_pair=text) for row, text in enumerate(drawn)]
    augmented = augment_examples(examples, seed, AUGMENTATIONS)
    assert augmented[: len(examples)] == examples
    assert len(augmented) <= len(examples) * 2
    for example in augmented[len(examples) :]:
        original = examples[example.row]
        assert example.target == original.target
        assert example.text.strip()
        assert example.text_pair is not None
        assert example.text_pair.strip()
        assert (example.text, example.text_pair) != (original.text, original.text_pair)
    assert augmented == augment_examples(examples, seed, AUGMENTATIONS)


def test_other_rows_do_not_change_the_copy_of_a_row() -> None:
    examples = [Example(row, f"the parcel {row} came a day too late", "a") for row in range(20)]
    alone = augment_examples(examples[3:4], 5, AUGMENTATIONS)[1]
    assert alone in augment_examples(examples, 5, AUGMENTATIONS)
    assert augment_examples(examples, 5, AUGMENTATIONS) != augment_examples(examples, 6, AUGMENTATIONS)


WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@given(st.integers(0, 999))
def test_dropout_drops_words_and_keeps_their_order(seed: int) -> None:
    copy = augment_examples([Example(1, " ".join(WORDS * 3), "a")], seed, ["dropout"])[1]
    words = copy.text.split()
    assert len(words) == 27
    remaining = iter(WORDS * 3)
    assert all(word in remaining for word in words)


@given(st.integers(0, 999))
def test_swap_exchanges_neighbouring_words_only(seed: int) -> None:
    copy = augment_examples([Example(1, " ".join(WORDS), "a")], seed, ["swap"])[1]
    augmented = copy.text.split()
    assert Counter(augmented) == Counter(WORDS)
    assert sorted(WORDS.index(word) - index for index, word in enumerate(augmented)) == [-1, *[0] * 8, 1]


@given(st.integers(0, 999))
def test_noise_changes_one_word_and_keeps_white_space(seed: int) -> None:
    text = "one  two\nthree"
    augmented = augment_examples([Example(1, text, "a")], seed, ["noise"])[1:]
    for copy in augmented:
        assert len(copy.text.split()) == 3
        same = [a == b for a, b in zip(text.split(), copy.text.split(), strict=True)]
        assert same.count(False) == 1
        assert "  " in copy.text
        assert "\n" in copy.text


def test_a_single_word_is_never_dropped() -> None:
    example = Example(1, "word", "a")
    for seed in range(5):
        assert augment_examples([example], seed, ["dropout", "swap"]) == [example]


def test_tagged_words_cannot_be_augmented() -> None:
    with pytest.raises(UsageError, match="tagged words"):
        augment_examples([Example(1, "a", ("O",), word_spans=((0, 1),))], 1, AUGMENTATIONS)
