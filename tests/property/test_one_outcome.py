"""One record, whatever it is, leads to exactly one outcome, the same with both codecs."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codec import load_codec
from tests.property.fuzz import both_codecs, fuzz_batch
from tests.property.odd_records import INT64, encode_body
from tests.property.one_outcome import RecordPath, check_both
from tests.real.components import unavailable
from tests.unit.record_path import NOT_BUILT

BATCHES = 12
RECORDS = 250
HEADERS = st.lists(st.tuples(st.binary(max_size=12), st.none() | st.binary(max_size=12)), max_size=3)


@pytest.fixture(scope="module")
def paths() -> Iterator[Sequence[RecordPath]]:
    if load_codec().name != "compiled":
        unavailable(NOT_BUILT)
    with both_codecs() as made:
        yield made


@pytest.mark.parametrize("number", range(BATCHES))
def test_generated_records_have_one_outcome(paths: Sequence[RecordPath], number: int) -> None:
    assert len(fuzz_batch(paths, f"ci-{number}", RECORDS)) > 4


@given(
    st.none() | st.binary(max_size=8),
    st.none() | st.binary(max_size=60),
    HEADERS,
    st.integers(*INT64),
)
def test_arbitrary_bytes_have_one_outcome(
    paths: Sequence[RecordPath],
    key: bytes | None,
    value: bytes | None,
    headers: list[tuple[bytes, bytes | None]],
    timestamp: int,
) -> None:
    check_both(paths, [encode_body(key, value, headers)], [timestamp])


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_arbitrary_record_bodies_have_one_outcome(paths: Sequence[RecordPath], bodies: list[bytes]) -> None:
    check_both(paths, bodies, [0] * len(bodies))
