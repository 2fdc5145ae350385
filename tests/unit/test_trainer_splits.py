"""The three parts: disjoint, whole, stratified, the same for the same seed, and without leaks."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import UsageError
from trainer.data import Example
from trainer.splits import SHARES, Splits, split


def examples_of(counts: dict[str, int]) -> list[Example]:
    labels = [label for label, n in counts.items() for _ in range(n)]
    return [Example(at, f"text {at}", label) for at, label in enumerate(labels, 1)]


def parts(splits: Splits) -> dict[str, list[Example]]:
    return {name: getattr(splits, name) for name in SHARES}


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(3, 60), min_size=2),
    st.integers(0, 2**32 - 1),
)
def test_single_rows_meet_the_shares_exactly(counts: dict[str, int], seed: int) -> None:
    splits = split(examples_of(counts), seed)
    found = {name: Counter(example.target for example in part) for name, part in parts(splits).items()}
    for label, n in counts.items():
        held_out = max(1, round(0.1 * n))
        assert found["validation"][label] == found["test"][label] == held_out
        assert found["train"][label] == n - 2 * held_out >= 1


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
def test_no_text_and_no_group_is_in_two_parts_and_no_row_is_lost(
    drawn: list[tuple[str, str, str | None]], seed: int
) -> None:
    examples = [Example(at, text, label, group=group) for at, (text, label, group) in enumerate(drawn, 1)]
    try:
        splits = split(examples, seed)
    except UsageError:
        return
    found = parts(splits)
    assert sorted(e.row for part in found.values() for e in part) == [e.row for e in examples]
    for key in (lambda e: e.folded, lambda e: e.group):
        seen = Counter(k for part in found.values() for k in {key(e) for e in part} if k is not None)
        assert not [k for k, n in seen.items() if n > 1]


def test_the_seed_decides() -> None:
    examples = examples_of({"a": 40, "b": 25})
    assert split(examples, 5) == split(list(examples), 5)
    assert split(examples, 5) != split(examples, 6)


def test_groups_keep_labels_near_their_shares() -> None:
    examples = [Example(at, f"text {at}", "ab"[at % 2], group=f"g{at // 4}") for at in range(400)]
    splits = split(examples, 1)
    assert splits.sizes["train"] == pytest.approx(320, abs=8)
    for part in parts(splits).values():
        counts = Counter(example.target for example in part)
        assert counts["a"] == pytest.approx(counts["b"], abs=4)


def test_one_group_for_all_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing is left"):
        split([Example(at, f"text {at}", "ab"[at % 2], group="g") for at in range(30)], 1)
