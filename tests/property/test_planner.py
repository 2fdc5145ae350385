"""Every row is planned exactly once and no batch is over its budget."""

from hypothesis import given
from hypothesis import strategies as st

from stream.classify.planner import plan

LENGTHS = st.lists(st.integers(1, 512), max_size=300)


@given(LENGTHS, st.integers(1, 64), st.integers(1, 4096))
def test_every_row_once_within_budget(lengths: list[int], max_rows: int, max_tokens: int) -> None:
    batches = plan(lengths, max_rows=max_rows, max_tokens=max_tokens)
    assert sorted(at for batch in batches for at in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= max_rows
        cost = max(lengths[at] for at in batch) * len(batch)
        assert cost <= max_tokens or len(batch) == 1


@given(LENGTHS)
def test_rows_of_equal_length_keep_their_order(lengths: list[int]) -> None:
    planned = [at for batch in plan(lengths, max_rows=7, max_tokens=900) for at in batch]
    for length in set(lengths):
        same = [at for at in planned if lengths[at] == length]
        assert same == sorted(same)


def test_similar_lengths_share_a_batch() -> None:
    assert plan([3, 90, 4, 88], max_rows=2, max_tokens=1000) == [[0, 2], [3, 1]]
