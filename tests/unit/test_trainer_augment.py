"""Altered copies of training texts: never empty, the same for the same seed, and recognisable."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import UsageError
from trainer.config import METHODS
from trainer.data.augment import augmented
from trainer.data.read import Example

texts = st.lists(st.text(min_size=1, max_size=40).filter(str.strip), min_size=1, max_size=6)


@given(texts, st.integers(0, 999), st.floats(0.01, 1), st.integers(0, 3))
def test_copies_are_whole_altered_and_decided_by_the_seed(
    drawn: list[str], seed: int, rate: float, copies: int
) -> None:
    examples = [Example(at, text, ("a", "b"), text_pair=text) for at, text in enumerate(drawn)]
    found = augmented(examples, seed, rate=rate, copies=copies)
    assert found[: len(examples)] == examples
    assert len(found) <= len(examples) * (1 + copies)
    for example in found[len(examples) :]:
        source = examples[example.row]
        assert example.target == source.target
        assert example.text.strip()
        assert example.text_pair is not None
        assert example.text_pair.strip()
        assert (example.text, example.text_pair) != (source.text, source.text_pair)
    assert found == augmented(examples, seed, rate=rate, copies=copies)


def test_a_row_is_altered_alike_whatever_stands_beside_it() -> None:
    examples = [Example(at, f"the parcel {at} came a day too late", "a") for at in range(20)]
    alone = augmented(examples[3:4], 5)[1]
    assert alone in augmented(examples, 5)
    assert augmented(examples, 5) != augmented(examples, 6)


WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@given(st.integers(0, 999))
def test_dropout_leaves_words_out_in_order(seed: int) -> None:
    copy = augmented([Example(1, " ".join(WORDS), "a")], seed, methods=["dropout"], rate=0.3)[1]
    kept = copy.text.split()
    assert len(kept) == 7
    assert kept == [word for word in WORDS if word in kept]


@given(st.integers(0, 999))
def test_swap_moves_neighbours_only(seed: int) -> None:
    copy = augmented([Example(1, " ".join(WORDS), "a")], seed, methods=["swap"])[1]
    found = copy.text.split()
    assert Counter(found) == Counter(WORDS)
    assert sorted(WORDS.index(word) - at for at, word in enumerate(found)) == [-1, *[0] * 8, 1]


@given(st.integers(0, 999))
def test_noise_mistypes_one_character_of_a_word_and_keeps_the_spaces(seed: int) -> None:
    text = "one  two\nthree"
    found = augmented([Example(1, text, "a")], seed, methods=["noise"])[1:]
    for copy in found:
        assert len(copy.text.split()) == 3
        same = [a == b for a, b in zip(text.split(), copy.text.split(), strict=True)]
        assert same.count(False) == 1
        assert "  " in copy.text
        assert "\n" in copy.text


def test_a_single_word_is_never_dropped() -> None:
    assert augmented([Example(1, "word", "a")], 1, methods=["dropout", "swap"], copies=5) == [
        Example(1, "word", "a")
    ]


def test_what_cannot_be_augmented_is_refused() -> None:
    with pytest.raises(UsageError, match="tagged words"):
        augmented([Example(1, "a", ("O",), words=((0, 1),))], 1)
    for rate, methods in ((0.0, METHODS), (1.5, METHODS), (0.1, ())):
        with pytest.raises(UsageError, match="not possible"):
            augmented([Example(1, "a", "b")], 1, rate=rate, methods=methods)
