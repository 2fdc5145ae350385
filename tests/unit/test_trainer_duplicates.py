"""Equal and near texts across parts: found, counted, and told; what is merely alike is not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.duplicates import leaks
from trainer.data.near import NEAR, SHINGLE, near_pairs
from trainer.data.read import Example
from trainer.data.splits import Splits

WORDS = ["card", "refund", "parcel", "late", "order", "price", "bill", "login", "reset", "address", "café"]


def similarity(a: str, b: str) -> float:
    """The definition, over the shingles themselves."""
    first, second = ({text[at : at + SHINGLE] for at in range(len(text) - SHINGLE + 1)} for text in (a, b))
    return len(first & second) / len(first | second)


def altered_texts(seed: int) -> list[str]:
    rng = random.Random(seed)
    texts = []
    for _ in range(60):
        words = rng.choices(WORDS, k=rng.randint(4, 30))
        texts.append(" ".join(words))
        for _ in range(3):
            changed = list(words)
            for _ in range(rng.randint(1, 3)):
                changed[rng.randrange(len(changed))] = rng.choice(WORDS)
            texts.append(" ".join(changed))
    return list(dict.fromkeys(texts))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_near_pairs_are_those_of_the_definition(seed: int) -> None:
    texts = altered_texts(seed)
    true = {(i, j) for j in range(len(texts)) for i in range(j) if similarity(texts[i], texts[j]) >= NEAR}
    found = set(near_pairs(texts))
    assert len(true) >= 20
    assert found <= true
    assert len(found) >= 0.95 * len(true)


@given(st.lists(st.text(max_size=12), unique=True, max_size=12))
def test_any_texts_can_be_compared(texts: list[str]) -> None:
    for i, j in near_pairs(texts):
        assert i < j
        assert similarity(texts[i], texts[j]) >= NEAR


def test_a_text_is_told_once_and_by_the_first_part_that_has_it() -> None:
    long = "the parcel came a week late and the door of the cupboard was broken when I opened it"
    splits = Splits(
        train=[Example(1, "Paid twice", "a"), Example(2, long, "a")],
        validation=[Example(3, "paid  TWICE", "a"), Example(4, "only here", "b")],
        test=[
            Example(5, "paid twice", "b"),
            Example(6, "Only here", "b"),
            Example(7, long + "!", "a"),
            Example(8, "only here?", "b"),
            Example(9, "something else altogether", "b"),
        ],
    )
    found = leaks(splits)
    assert [(leak.kind, leak.example.row, leak.other.row, leak.other_split) for leak in found.found] == [
        ("equal", 3, 1, "train"),
        ("equal", 5, 1, "train"),
        ("equal", 6, 4, "validation"),
        ("near", 7, 2, "train"),
        ("near", 8, 4, "validation"),
    ]
    assert found.as_metrics() == {
        "equal": {"test in train": 1, "test in validation": 1, "validation in train": 1},
        "near": {"test in train": 1, "test in validation": 1},
    }
    assert (found.count("equal"), found.count("near", "test"), found.count("near", "validation")) == (3, 2, 0)


def test_both_texts_of_a_pair_count() -> None:
    train = [Example(1, "a man is playing", "x", text_pair="a man is sleeping")]
    test = [
        Example(2, "a man is playing", "x", text_pair="a dog barks outside"),
        Example(3, "A man is playing", "x", text_pair="a man is  sleeping"),
    ]
    found = leaks(Splits(train, [], test)).found
    assert [(leak.kind, leak.example.row) for leak in found] == [("equal", 3)]
