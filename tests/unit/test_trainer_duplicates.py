"""Equal and near-duplicate texts across splits are found and counted; merely similar texts are not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.duplicates import MIN_SIMILARITY, SHINGLE_LENGTH, find_leaks, near_duplicate_pairs
from trainer.data.examples import Example, Splits

WORDS = ["card", "refund", "parcel", "late", "order", "price", "bill", "login", "reset", "address", "café"]


def similarity(a: str, b: str) -> float:
    """Return the Jaccard similarity of two texts, computed from the shingles themselves."""
    first, second = (
        {text[start : start + SHINGLE_LENGTH] for start in range(len(text) - SHINGLE_LENGTH + 1)}
        for text in (a, b)
    )
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
def test_near_duplicate_pairs_match_the_definition(seed: int) -> None:
    texts = altered_texts(seed)
    expected = {
        (i, j)
        for j in range(len(texts))
        for i in range(j)
        if similarity(texts[i], texts[j]) >= MIN_SIMILARITY
    }
    pairs = set(near_duplicate_pairs(texts))
    assert len(expected) >= 20
    assert pairs <= expected
    assert len(pairs) >= 0.95 * len(expected)


@given(st.lists(st.text(max_size=12), unique=True, max_size=12))
def test_arbitrary_texts_can_be_compared(texts: list[str]) -> None:
    for i, j in near_duplicate_pairs(texts):
        assert i < j
        assert similarity(texts[i], texts[j]) >= MIN_SIMILARITY


def test_a_text_is_reported_once_with_the_first_split_that_contains_it() -> None:
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
    report = find_leaks(splits)
    assert [(leak.kind, leak.example.row, leak.other.row, leak.other_split) for leak in report.leaks] == [
        ("equal", 3, 1, "train"),
        ("equal", 5, 1, "train"),
        ("equal", 6, 4, "validation"),
        ("near", 7, 2, "train"),
        ("near", 8, 4, "validation"),
    ]
    assert report.as_metrics() == {
        "equal": {"test in train": 1, "test in validation": 1, "validation in train": 1},
        "near": {"test in train": 1, "test in validation": 1},
    }


def test_both_texts_of_a_pair_are_compared() -> None:
    train = [Example(1, "a man is playing", "x", text_pair="a man is sleeping")]
    test = [
        Example(2, "a man is playing", "x", text_pair="a dog barks outside"),
        Example(3, "A man is playing", "x", text_pair="a man is  sleeping"),
    ]
    leaks = find_leaks(Splits(train, [], test)).leaks
    assert [(leak.kind, leak.example.row) for leak in leaks] == [("equal", 3)]
