"""The splits: disjoint, complete, stratified, reproducible by the seed, and without leaks."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.errors import UsageError
from trainer.data.examples import SHARES, Example, Splits, Target
from trainer.data.splits import split_examples


def examples_with(counts: dict[str, int]) -> list[Example]:
    labels = [label for label, n in counts.items() for _ in range(n)]
    return [Example(row, f"text {row}", label) for row, label in enumerate(labels, 1)]


def by_split(splits: Splits) -> dict[str, list[Example]]:
    return {name: getattr(splits, name) for name in SHARES}


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(3, 60), min_size=2),
    st.integers(0, 2**32 - 1),
)
def test_ungrouped_rows_meet_the_shares_exactly(counts: dict[str, int], seed: int) -> None:
    splits = split_examples(examples_with(counts), seed)
    label_counts = {
        name: Counter(example.target for example in split) for name, split in by_split(splits).items()
    }
    for label, n in counts.items():
        held_out = max(1, round(0.1 * n))
        assert label_counts["validation"][label] == label_counts["test"][label] == held_out
        assert label_counts["train"][label] == n - 2 * held_out >= 1


rows = st.lists(
    st.tuples(
        st.sampled_from(["a", " A", "b", "c", "d", "e", "f", "g"]),
        st.sampled_from("xy"),
        st.one_of(st.none(), st.sampled_from("123456")),
    ),
    min_size=1,
    max_size=40,
)


@given(rows, st.integers(0, 1000))
def test_no_text_and_no_group_is_in_two_splits_and_no_row_is_lost(
    drawn: list[tuple[str, str, str | None]], seed: int
) -> None:
    examples = [Example(row, text, label, group=group) for row, (text, label, group) in enumerate(drawn, 1)]
    try:
        splits = split_examples(examples, seed)
    except UsageError:
        return
    parts = by_split(splits)
    assert sorted(e.row for split in parts.values() for e in split) == [e.row for e in examples]
    for key in (lambda e: e.normalised_text, lambda e: e.group):
        seen = Counter(k for split in parts.values() for k in {key(e) for e in split} if k is not None)
        assert not [k for k, n in seen.items() if n > 1]


def test_the_seed_determines_the_splits() -> None:
    examples = examples_with({"a": 40, "b": 25})
    assert split_examples(examples, 5) == split_examples(list(examples), 5)
    assert split_examples(examples, 5) != split_examples(examples, 6)


def test_grouped_rows_are_stratified_approximately() -> None:
    examples = [Example(row, f"text {row}", "ab"[row % 2], group=f"g{row // 4}") for row in range(400)]
    splits = split_examples(examples, 1)
    assert splits.sizes["train"] == pytest.approx(320, abs=8)
    for split in by_split(splits).values():
        counts = Counter(example.target for example in split)
        assert counts["a"] == pytest.approx(counts["b"], abs=4)


def test_one_group_for_all_rows_is_rejected() -> None:
    with pytest.raises(UsageError, match="split is empty"):
        split_examples([Example(row, f"text {row}", "ab"[row % 2], group="g") for row in range(30)], 1)


def test_a_label_in_three_groups_is_in_all_splits_regardless_of_their_sizes() -> None:
    examples = [Example(row, f"text {row}", "a") for row in range(60)]
    examples += [Example(60 + row, f"rare {row}", "b", group=f"g{row % 3}") for row in range(9)]
    for split in by_split(split_examples(examples, 3)).values():
        assert "b" in {example.target for example in split}


def multi_label_examples(seed: int, rows: int) -> list[Example]:
    rng = random.Random(seed)
    shares = {"common": 0.5, "usual": 0.2, "rare": 0.05, "rarest": 0.01}
    examples = []
    for row in range(rows):
        labels = tuple(label for label, share in shares.items() if rng.random() < share)
        examples.append(Example(row, f"text {row}", labels))
    return examples


@pytest.mark.parametrize("seed", range(5))
def test_all_labels_of_multi_label_rows_are_stratified(seed: int) -> None:
    examples = multi_label_examples(seed, 2000)
    splits = split_examples(examples, seed)
    assert splits.sizes == {
        "train": pytest.approx(1600, abs=10),
        "validation": pytest.approx(200, abs=10),
        "test": pytest.approx(200, abs=10),
    }
    totals = Counter(name for example in examples for name in example.labels)
    for name, share in SHARES.items():
        counts = Counter(label for example in by_split(splits)[name] for label in example.labels)
        for label, total in totals.items():
            assert counts[label] == pytest.approx(share * total, abs=max(2, 0.02 * total)), (label, name)


def test_numbers_are_stratified_by_quantile() -> None:
    rng = random.Random(1)
    examples = [Example(row, f"text {row}", rng.expovariate(1)) for row in range(1000)]
    splits = split_examples(examples, 1)
    assert splits.sizes == {"train": 800, "validation": 100, "test": 100}
    tenth = sorted(float(e.target) for e in examples if isinstance(e.target, float))[900]
    for split in (splits.validation, splits.test):
        assert sum(isinstance(e.target, float) and e.target >= tenth for e in split) == 10


def test_sentences_are_stratified_by_their_spans() -> None:
    def sentence(row: int) -> Example:
        tags = ("B-rare", "O") if row % 20 == 0 else ("O", "B-usual") if row % 2 else ("O", "O")
        return Example(row, f"word {row}", tags, word_spans=((0, 4), (5, 5 + len(str(row)))))

    splits = split_examples([sentence(row) for row in range(400)], 2)
    for name, rows in {"train": 16, "validation": 2, "test": 2}.items():
        assert sum("B-rare" in example.labels for example in by_split(splits)[name]) == rows


GIVEN = st.sampled_from([None, "train", "validation", "test"])


@settings(max_examples=60)
@given(st.lists(GIVEN, min_size=40, max_size=80), st.integers(0, 99))
def test_given_splits_are_kept_and_only_missing_ones_are_cut(drawn: list[str | None], seed: int) -> None:
    examples = [Example(row, f"text {row}", "ab"[row % 2], split=name) for row, name in enumerate(drawn)]
    free = [example for example in examples if example.split in (None, "train")]
    try:
        parts = by_split(split_examples(examples, seed))
    except UsageError:
        assert len(free) < 6
        return
    for name in ("validation", "test"):
        if name in drawn:
            assert parts[name] == [example for example in examples if example.split == name]
        else:
            assert parts[name]
            assert all(example in free for example in parts[name])
    assert sorted(e.row for split in parts.values() for e in split) == [e.row for e in examples]


def test_a_missing_split_is_a_tenth_of_the_other_rows() -> None:
    examples = [Example(row, f"text {row}", "ab"[row % 2], split="train") for row in range(200)]
    examples += [Example(row, f"text {row}", "a", split="test") for row in range(200, 250)]
    assert split_examples(examples, 1).sizes == {"train": 180, "validation": 20, "test": 50}


def test_extra_rows_are_for_training_only_and_do_not_leak() -> None:
    examples = examples_with({"a": 40, "b": 40})
    extra = [replace(e, row=100 + e.row, text=e.text.upper(), split="train", extra=True) for e in examples]
    extra.append(Example(999, "something new", "a", split="train", extra=True))
    plain, splits = split_examples(examples, 4), split_examples(examples + extra, 4)
    assert (splits.validation, splits.test) == (plain.validation, plain.test)
    assert [e.row for e in splits.dropped] == sorted(100 + e.row for e in plain.validation + plain.test)
    assert len(splits.train) == len(plain.train) * 2 + 1


def test_near_duplicates_stay_together() -> None:
    stems = [
        f"order {n} of {n * 7919 % 1009} pieces left the warehouse {n * 104729 % 9973}" for n in range(60)
    ]
    examples = [
        Example(2 * row + twin, stem + "!" * twin, "ab"[row % 2])
        for row, stem in enumerate(stems)
        for twin in (0, 1)
    ]
    for split in by_split(split_examples(examples, 7)).values():
        stems_here = Counter(example.text.rstrip("!") for example in split)
        assert set(stems_here.values()) == {2}


def test_large_clusters_of_near_duplicates_are_split() -> None:
    template = "your parcel is on its way and will reach you in the course of the day, number {}"
    targets: list[Target] = ["a", "b"]
    splits = split_examples([Example(row, template.format(row), targets[row % 2]) for row in range(200)], 1)
    assert splits.sizes == {"train": 160, "validation": 20, "test": 20}
