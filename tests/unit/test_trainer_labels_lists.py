"""Lists of labels in a cell: the syntax of JSON, Python, numpy and pandas; every other list is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.label_files import notes, refusal, targets, write_csv, write_jsonl
from trainer.config import DataConfig
from trainer.data.cells import CellError
from trainer.data.lists import as_list, as_words
from trainer.data.read import read_data

MULTI = DataConfig(task="multi-label", label_column="label")


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("['a' 'b']", ("a", "b")),
        ("['a'\n 'b']", ("a", "b")),
        ("['a, b' 'c']", ("a, b", "c")),
        ("[\"it's\" 'b']", ("it's", "b")),
        (r"['it\'s' 'b']", ("it's", "b")),
        ("[1 2 3]", ("1", "2", "3")),
        ("[1. 2.]", ("1", "2")),
        ("array(['a', 'b'], dtype=object)", ("a", "b")),
        ("array(['a', 'b'], dtype='<U1')", ("a", "b")),
        ("array([], dtype=object)", ()),
        ("[np.str_('a'), np.str_('b')]", ("a", "b")),
        ("[np.int64(7), np.int64(9)]", ("7", "9")),
        ("{'a', 'b'}", ("a", "b")),
        ("set()", ()),
        ("frozenset({'a'})", ("a",)),
        ("('a', 'b')", ("a", "b")),
        ("('a',)", ("a",)),
        ("()", ()),
        ("[u'a', u'b',]", ("a", "b")),
        ('["a", null]', ("a",)),
        ("['a', None, nan]", ("a",)),
        ('["a", NaN]', ("a",)),
        (r'["caf\u00e9", "b"]', ("café", "b")),
        ("['a', 'a', ' b ']", ("a", "b")),
        ("[]", ()),
    ],
)
def test_a_printed_list_holds_its_labels(tmp_path: Path, cell: str, labels: tuple[str, ...]) -> None:
    data = read_data(write_csv(tmp_path / "data.csv", [cell, "['other']"]), MULTI)
    assert targets(data) == [labels, ("other",)]
    assert data.no_label == []


@pytest.mark.parametrize("cell", ["[nan]", "[None]", "[null, null]", '["NaN"]', "null", "<NA>", ""])
def test_a_list_of_missing_items_is_a_missing_label(tmp_path: Path, cell: str) -> None:
    data = read_data(write_csv(tmp_path / "data.csv", ["['a']", cell, "['b']"]), MULTI)
    assert targets(data) == [("a",), ("b",)]
    assert data.no_label == [2]
    if cell:
        assert f"{cell!r} (1)" in notes(data)


@pytest.mark.parametrize(
    ("cell", "cause"),
    [
        ("['a' 'b', 'c']", "a comma is missing"),
        ("['a', 'b' 'c']", "a comma is missing"),
        ("['a''b']", "no comma follows 'a'"),
        ("[['a'], ['b']]", "a list in a list"),
        ('[{"label": "a"}]', "an object in a list"),
        ("['a', 'b'", "its closing bracket is missing"),
        ("['a', 'b", "its closing bracket is missing"),
        ("[", "its closing bracket is missing"),
        ("[a, b]", "'a' has no quotes"),
        ("{a,b}", "'a' has no quotes"),
        ("{'a': 1}", "no comma follows 'a'"),
        ("[b'a']", "has no quotes"),
        ("['a' 'b' ... 'z']", "'...' in the middle"),
        ("[0 1 2 ... 7 8 9]", "'...' in the middle"),
        ("['a', ..., 'z']", "'...' in the middle"),
    ],
)
def test_any_other_list_is_refused_with_its_row(tmp_path: Path, cell: str, cause: str) -> None:
    path = write_csv(tmp_path / "data.csv", ["['x']", "['y']", cell])
    error = refusal(path, task="multi-label", label_column="label")
    assert error.message.startswith("data.csv, row 3: column 'label' holds a list")
    assert cause in error.cause
    assert cell[:15] in error.cause


@pytest.mark.parametrize("label", ["['a' 'b']", "['a']", '["a", "b"]', "[1]", "array(['a'], dtype=object)"])
def test_a_printed_list_is_not_a_single_label(tmp_path: Path, label: str) -> None:
    error = refusal(write_csv(tmp_path / "data.csv", ["x", "y", label] * 3))
    assert "data.csv, row 3: column 'label' holds a list, not a text" in error.message
    assert "--task multi-label" in error.fix


@pytest.mark.parametrize("label", ["[PAD]", "(other)", "{x}", "set(x)", "[see below"])
def test_a_single_label_may_begin_with_a_bracket(tmp_path: Path, label: str) -> None:
    data = read_data(write_csv(tmp_path / "data.csv", [label, "y"] * 3))
    assert data.class_counts == {label: 3, "y": 3}


def test_lists_of_json_skip_null_and_refuse_lists(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "data.jsonl", [["ham", None], ["x"], [None], []])
    data = read_data(path, MULTI)
    assert targets(data) == [("ham",), ("x",), ()]
    assert data.no_label == [3]
    error = refusal(write_jsonl(path, [["x"], [["a"]]]), task="multi-label", label_column="label")
    assert "data.jsonl, row 2" in error.message


def test_numpy_printed_words_and_tags_are_read(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("tokens,tags\n\"['New' 'York']\",\"['B-place' 'I-place']\"\n[x] y,O O\n")
    data = read_data(path, DataConfig(task="token"))
    assert [example.text for example in data.examples] == ["New York", "[x] y"]
    assert targets(data) == [("B-place", "I-place"), ("O", "O")]
    assert as_words("[laughs]", "tokens") is None
    with pytest.raises(CellError):
        as_words("['a' ... 'b']", "tokens")


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=8)


@given(st.lists(texts, min_size=1, max_size=4))
def test_what_numpy_and_python_print_is_read_back(labels: list[str]) -> None:
    printed: list[Any] = [str(np.array(labels, dtype=object)), str(labels), repr(tuple(labels))]
    for text in printed:
        assert as_list(text, "label") == labels


def test_the_separator_of_doccano_is_guessed_if_labels_recur(tmp_path: Path) -> None:
    data = read_data(write_csv(tmp_path / "data.csv", ["ham#spam", "spam", "eggs#ham"]), MULTI)
    assert targets(data) == [("ham", "spam"), ("spam",), ("eggs", "ham")]
    assert "guessed label separator: '#'" in notes(data)
    for labels in (["C#", "F#", "C"], ["A#minor", "B#major", "C"], ["c#, java", "java"]):
        data = read_data(write_csv(tmp_path / "other.csv", labels), MULTI)
        assert "'#'" not in notes(data)


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_a_constant_formula_of_excel_is_its_text(tmp_path: Path, task: Any) -> None:
    path = write_csv(tmp_path / "data.csv", ['="ham"', "spam", "ham"] * 3)
    data = read_data(path, DataConfig(task=task, label_column="label"))
    assert data.class_counts == {"ham": 6, "spam": 3}
    several = read_data(write_csv(path, ['="a,b"', "a", "b"]), MULTI)
    assert targets(several) == [("a", "b"), ("a",), ("b",)]
    numbers = write_csv(path, ['="1.5"', "2"])
    assert targets(read_data(numbers, DataConfig(task="regression", label_column="label"))) == [1.5, 2.0]
    flags = DataConfig(task="multi-label", text_column="text", label_columns=("a", "b"))
    path.write_text('text,a,b\nx,"=""1""",0\ny,0,1\n')
    assert targets(read_data(path, flags)) == [("a",), ("b",)]


def test_empty_cells_beside_other_label_columns_are_zeros_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("text,a,b\nx,1,0\ny,1,\nz,,1\nw,,\n")
    data = read_data(path, DataConfig(task="multi-label", label_columns=("a", "b")))
    assert targets(data) == [("a",), ("a",), ("b",)]
    assert data.no_label == [4]
    assert (
        "2 rows have empty cells in some label columns, which are read as 0 (first in data.csv, row 2)"
        in data.notes
    )


@pytest.mark.parametrize("cell", ["'a', 'b'", '"a","b"', "'a' 'b'"])
def test_quoted_labels_without_brackets_are_labels(tmp_path: Path, cell: str) -> None:
    data = read_data(write_csv(tmp_path / "data.csv", [cell, "c, d", "'e'"]), MULTI)
    assert targets(data) == [("a", "b"), ("c", "d"), ("e",)]


def test_two_separators_are_refused_unless_a_flag_names_one(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "data.csv", ["food, drink;travel", "travel", "food, drink"])
    error = refusal(path, task="multi-label", label_column="label")
    assert "the cells contain ',' and ';', such as 'food, drink;travel'" in error.message
    assert error.fix == "name the separator: --label-separator ';'"
    data = read_data(path, DataConfig(task="multi-label", label_column="label", label_separator=";"))
    assert targets(data) == [("food, drink", "travel"), ("travel",), ("food, drink",)]


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("Index(['a', 'b'], dtype='str')", ("a", "b")),
        ("pd.Index(['a', 'b'], dtype='object', name='x')", ("a", "b")),
        ("tensor([3, 5])", ("3", "5")),
        ("tensor([3, 5], device='cuda:0')", ("3", "5")),
        ("dict_keys(['a', 'b'])", ("a", "b")),
        ("dict_values(['a'])", ("a",)),
        ("deque(['a', 'b'], maxlen=4)", ("a", "b")),
        ("OrderedSet(['a', 'b'])", ("a", "b")),
        ("<ArrowStringArray>\n['a', 'b']\nLength: 2, dtype: string", ("a", "b")),
        ("<IntegerArray>\n[3, 5]\nLength: 2, dtype: Int64", ("3", "5")),
        ('c("a", "b, c")', ("a", "b, c")),
        ("c(3, 5)", ("3", "5")),
        ('list("a", "b")', ("a", "b")),
        ("character(0)", ()),
        (r'"[\"a\", \"b\"]"', ("a", "b")),
        ("\"['a', 'b']\"", ("a", "b")),
        ('\'["a", "b"]\'', ("a", "b")),
    ],
)
def test_a_printed_container_holds_its_labels(tmp_path: Path, cell: str, labels: tuple[str, ...]) -> None:
    data = read_data(write_csv(tmp_path / "data.csv", [cell, "['other']"]), MULTI)
    assert targets(data) == [labels, ("other",)]


@pytest.mark.parametrize(
    "cell",
    [
        "0    a\n1    b\ndtype: object",
        "0    a\n1    b\nName: label, dtype: str",
        "tensor(0)",
        "tensor(0, device='cuda:0')",
        "array('a', dtype='<U1')",
        "np.str_('a')",
        "np.int64(3)",
        "<Label.SPAM: 1>",
        "<Label object at 0x7f00dead>",
    ],
)
@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_a_printed_object_without_a_list_is_refused(tmp_path: Path, cell: str, task: str) -> None:
    path = write_csv(tmp_path / "data.csv", ["x", "y", cell] * 3)
    error = refusal(path, task=task, label_column="label")
    assert error.message == "data.csv, row 3: column 'label' holds a printed object, not its value"


@pytest.mark.parametrize(
    "cell",
    [
        "CategoricalIndex(['a'], categories=['a', 'b'], ordered=False)",
        "tensor([[1, 0], [0, 1]])",
        "dict_items([('a', 1)])",
        "Counter({'a': 1})",
        "array(['a', 'b'",
        'c(x = "a", "b")',
        'c("a", "b"',
        '["[\'a\']", "b"]',
    ],
)
def test_a_nested_or_cut_container_is_refused(tmp_path: Path, cell: str) -> None:
    path = write_csv(tmp_path / "data.csv", ["['x']", "['y']", cell])
    error = refusal(path, task="multi-label", label_column="label")
    assert error.message.startswith("data.csv, row 3: column 'label' holds a list")


@pytest.mark.parametrize("cell", ["Index(['a'], dtype='str')", 'c("a", "b")', r'"[\"a\"]"'])
def test_a_printed_container_is_not_a_single_label(tmp_path: Path, cell: str) -> None:
    error = refusal(write_csv(tmp_path / "data.csv", ["x", "y", cell] * 3))
    assert "row 3: column 'label' holds a list, not a text" in error.message


@pytest.mark.parametrize("text", ["call f([1, 2])", "c(1)", "tensor(0)", "list of 3, and c(x)"])
def test_texts_with_calls_are_texts(text: str) -> None:
    assert as_words(text, "tokens") is None


@pytest.mark.parametrize(
    ("cell", "finding"),
    [
        ("WrappedArray(ham, spam)", "',' in brackets"),
        ("range(0, 3)", "',' in brackets"),
        ("List('a', 'b')", "',' in brackets"),
        ("food (thai, indian), drink", "',' in brackets"),
        ("R&amp;D; sales", "with an HTML entity"),
    ],
)
def test_a_guessed_separator_does_not_split_a_label(tmp_path: Path, cell: str, finding: str) -> None:
    other = "x; y" if ";" in cell else "x, y"
    path = write_csv(tmp_path / "data.csv", [other, cell, "z"])
    error = refusal(path, task="multi-label", label_column="label")
    assert error.message.startswith("data.csv, row 2: column 'label' holds ")
    assert finding in error.message
    separator = ";" if ";" in cell else ","
    named = read_data(path, DataConfig(task="multi-label", label_column="label", label_separator=separator))
    assert len(targets(named)[1]) == cell.count(separator) + 1


def test_emoticons_and_entities_are_labels(tmp_path: Path) -> None:
    data = read_data(write_csv(tmp_path / "data.csv", [":),:(", "a (b),c", "R&D"]), MULTI)
    assert targets(data) == [(":)", ":("), ("a (b)", "c"), ("R&D",)]
    data = read_data(write_csv(tmp_path / "data.csv", ["R&amp;D", "sales|R&amp;D", "x"]), MULTI)
    assert targets(data) == [("R&amp;D",), ("sales", "R&amp;D"), ("x",)]
