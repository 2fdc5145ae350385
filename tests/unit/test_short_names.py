"""Names in tables: cut to a width, and never to the same text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from stream.short_names import shorten_names

# Few characters make equal beginnings and ends likely, with wide and unprintable ones among them.
name = st.text(st.sampled_from("ab…1 語\u0301\x1b\n"), max_size=40) | st.text(max_size=60)
alike = st.builds(
    lambda start, end, middles: [start + middle + end for middle in middles],
    st.text("ab語", min_size=5, max_size=30),
    st.text("ab語", min_size=5, max_size=30),
    st.lists(st.text("ab12", max_size=4), max_size=30),
)


@given(st.lists(name, max_size=30) | alike, st.integers(1, 60))
def test_different_names_have_different_texts_that_fit(names: list[str], width: int) -> None:
    texts = shorten_names(names, width)
    assert list(texts) == list(dict.fromkeys(names))
    assert len(set(texts.values())) == len(texts)
    # A text is longer only if it needs a number: at most 30 names and the steps between their numbers.
    assert all(cell_len(text) <= max(width, 6) for text in texts.values())
    assert all(text.isprintable() for text in texts.values())


@given(st.lists(st.text("abc_語 -", max_size=20), max_size=20), st.integers(40, 80))
def test_names_that_fit_are_not_modified(names: list[str], width: int) -> None:
    assert all(text == name for name, text in shorten_names(names, width).items())


def test_1500_names_that_differ_in_their_middle() -> None:
    names = [f"customer_support_{number:04}_request_of_a_customer" for number in range(1500)]
    texts = list(shorten_names(names, 24).values())
    assert len(set(texts)) == 1500
    assert max(map(cell_len, texts)) <= 24
    assert texts[17] == "cus…0017_request_of_a_c…"


@pytest.mark.parametrize(
    ("names", "width", "expected"),
    [
        (["card_payment_not_recognised"], 15, ["card_pa…ognised"]),
        (["a" * 30 + "x", "a" * 30 + "y"], 10, ["aaaaa…aaax", "aaaaa…aaay"]),
        (["a" * 30 + "x" + "b" * 30, "a" * 30 + "y" + "b" * 30], 10, ["aa…xbbbbb…", "aa…ybbbbb…"]),
        # The positions distinguish names that differ at several distant places.
        (["a" * 9 + p + "b" * 9 + q + "c" * 9 for p in "xy" for q in "xy"], 9, None),
        (["語語語語語語"], 7, ["語…語"]),
    ],
)
def test_a_cut_name_shows_where_it_differs(names: list[str], width: int, expected: list[str] | None) -> None:
    texts = list(shorten_names(names, width).values())
    assert len(set(texts)) == len(names)
    assert expected is None or texts == expected
