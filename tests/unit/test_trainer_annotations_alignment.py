"""Spans of annotation tools that do not end where words end, or whose offsets are of another unit."""

from pathlib import Path
from typing import Any

import pytest

from stream.errors import UsageError
from tests.unit.annotation_files import BOTH, TEXT, notes, read, region, spans, task

EMOJI = "\U0001f468\U0001f3fb\U0001f692 Anna went to New York"


@pytest.mark.parametrize("shift", [0, 3])
def test_emoji_before_a_span_do_not_shift_it(tmp_path: Path, shift: int) -> None:
    """Tools count characters, or UTF-16 code units: three more before the name here."""
    start, end = EMOJI.index("Anna") + shift, EMOJI.index("New York") + shift
    rows = [{"text": EMOJI, "label": [[start, start + 4, "person"], [end, end + 8, "place"]]}]
    data = read(tmp_path, rows)
    assert spans(data) == [[("person", "Anna"), ("place", "New York")]]
    assert ("UTF-16" in notes(data)) == (shift > 0)


def test_the_quoted_text_decides_the_unit_of_a_row(tmp_path: Path) -> None:
    at = EMOJI.index("Anna")
    old, new = region(at + 3, at + 7, "person", "Anna"), region(at, at + 4, "person", "Anna")
    data = read(tmp_path, [task(EMOJI, [old]), task(EMOJI, [new]), task(EMOJI, [new])], "data.json")
    assert spans(data) == [[("person", "Anna")]] * 3


def test_corrections_are_counted_with_their_rows(tmp_path: Path) -> None:
    rows = [
        {"text": TEXT, "label": [[0, 12, "person"]]},
        {"text": TEXT, "label": [[2, 12, "person"], [22, 28, "place"]]},
        {"text": TEXT, "label": [[0, 12, "person"], [0, 4, "first"], [22, 22, "place"]]},
        {"text": TEXT, "label": [[21, 30, "place"], [12, 13, "space"]]},
        {"text": TEXT, "label": [[22, 31, "place"], [0, 4, "first"]]},
        {"text": TEXT, "label": [[22, 99, "place"], [0, 4, "first"]]},
    ]
    data = read(tmp_path, rows)
    assert spans(data) == [
        [("person", "Anna van Dam")],
        BOTH,
        [("person", "Anna van Dam")],
        [("place", "New York")],
        [("first", "Anna"), ("place", "New York.")],
    ]
    assert data.no_label == [6]
    for note in (
        "7 spans in 5 rows were aligned",
        "2 spans begin or end inside a word and were extended to the whole word (row 2)",
        "1 spans share a word with a longer span and were left out (row 3)",
        "2 spans had white space at an edge, which was removed (row 4)",
        "2 spans hold no character and were left out (rows 3, 4)",
        "1 rows were left out, because a span lies outside the text or differs from its text (row 6)",
    ):
        assert note in notes(data)


def test_the_longest_of_overlapping_spans_is_read(tmp_path: Path) -> None:
    rows = [{"text": TEXT, "label": [[0, 4, "first"], [0, 12, "person"], [9, 18, "last"]]}]
    data = read(tmp_path, rows)
    assert spans(data) == [[("person", "Anna van Dam")]]
    assert "2 spans share a word with a longer span and were left out (row 1)" in notes(data)


def test_words_have_no_white_space_at_their_edges(tmp_path: Path) -> None:
    rows = [{"tokens": ["Anna ", "\n", " sings"], "tags": ["B-x", "O", "O"]}]
    (example,) = read(tmp_path, rows).examples
    assert (example.text, example.word_spans) == ("Anna sings", ((0, 4), (5, 10)))


def test_offsets_that_do_not_belong_to_the_texts_are_refused(tmp_path: Path) -> None:
    rows = [
        {"text": "short", "label": [[20, 30, "x"]]},
        {"text": TEXT, "label": []},
        {"text": "a", "label": [[1, 3, "x"]]},
    ]
    with pytest.raises(UsageError, match=r"data.jsonl, row 1: a span lies outside its text") as error:
        read(tmp_path, rows)
    assert "2 of 3 rows" in error.value.cause


@pytest.mark.parametrize(
    "item",
    [
        ["x", 3, "y"],
        [0, 3],
        [0, 3, None],
        [0.5, 3, "y"],
        [True, 3, "y"],
        {"start": "/p[1]", "end": "/p[1]", "label": "x"},
        {"start": 0, "end": 3, "label": " "},
        "person",
    ],
)
def test_an_item_that_is_no_span_is_refused_with_its_row(tmp_path: Path, item: Any) -> None:
    rows = [{"text": TEXT, "label": [[0, 4, "x"]]}, {"text": TEXT, "label": [item]}]
    with pytest.raises(UsageError, match=r"data.jsonl, row 2: an item of column 'label' is no span"):
        read(tmp_path, rows)


def test_words_end_where_the_worker_ends_them(tmp_path: Path) -> None:
    text = "e-mail: o_k's u\u0301ber\u00a0x2!"
    data = read(tmp_path, [{"text": text, "label": [[0, 1, "x"]]}])
    (example,) = data.examples
    words = [example.text[start:end] for start, end in example.word_spans]
    assert words == ["e", "-", "mail", ":", "o_k", "'", "s", "u\u0301ber", "x2", "!"]
    (thai,) = read(tmp_path, [{"text": "กรุง", "label": [[0, 4, "x"]]}]).examples
    assert [thai.text[start:end] for start, end in thai.word_spans] == ["ก", "รุ", "ง"]


@pytest.mark.parametrize(
    ("text", "span", "found"),
    [
        ("我住在北京市", (3, 5), "北京"),
        ("アンナは東京に", (0, 3), "アンナ"),
        ("ผมอยู่กรุงเทพ", (6, 13), "กรุงเทพ"),
        ("저는 서울에 삽니다", (3, 5), "서울에"),
    ],
)
def test_spans_within_a_text_without_spaces_keep_their_edges(
    tmp_path: Path, text: str, span: tuple[int, int], found: str
) -> None:
    assert spans(read(tmp_path, [{"text": text, "label": [[*span, "x"]]}])) == [[("x", found)]]
