"""Values of annotations: objects of flags, and the syntax of spans in cells."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from stream.errors import UsageError
from tests.unit.annotation_files import BOTH, PERSON, PLACE, TEXT, read, spans
from trainer.config import DataConfig
from trainer.data.read import read_data


@pytest.mark.parametrize("cell", [{"a": 0.4, "b": 0.6}, {"a": 0, "b": 1, "c": 2}, {"a": -1.0, "b": 1.0}])
@pytest.mark.parametrize("task", ["multi-label", "single-label"])
def test_objects_of_scores_or_counts_are_refused(tmp_path: Path, cell: Any, task: str) -> None:
    rows = [{"text": f"t{n}", "labels": {"a": n % 2, "b": 1 - n % 2}} for n in range(6)]
    with pytest.raises(UsageError, match="row 7: column 'labels' holds scores or counts, not labels"):
        read(tmp_path, [*rows, {"text": "odd", "labels": cell}], task=task)


@pytest.mark.parametrize("values", [(1, 0), (1.0, 0.0), (True, False)])
def test_objects_of_ones_and_zeros_hold_labels(tmp_path: Path, values: Any) -> None:
    rows = [{"text": f"t{n}", "labels": {"a": values[n % 2], "b": values[0]}} for n in range(4)]
    data = read(tmp_path, rows, task="multi-label")
    assert [e.labels for e in data.examples] == [("a", "b"), ("b",), ("a", "b"), ("b",)]


@pytest.mark.parametrize("column", ["label", "entities"])
@pytest.mark.parametrize(
    "cell",
    [
        str([[*PERSON, "person"], [*PLACE, "place"]]),
        str([(*PERSON, "person"), (*PLACE, "place")]),
        str(((*PERSON, "person"), (*PLACE, "place"))),
        str([{"start": 0, "end": 12, "label": "person"}, {"start": 22, "end": 30, "label": "place"}]),
        json.dumps(
            [
                {"BeginOffset": 0, "EndOffset": 12, "Type": "person"},
                {"BeginOffset": 22, "EndOffset": 30, "Type": "place"},
            ]
        ),
        json.dumps(
            [{"offset": 0, "length": 12, "type": "person"}, {"offset": 22, "length": 8, "type": "place"}]
        ),
    ],
)
def test_spans_in_csv_cells_may_be_written_by_python(tmp_path: Path, cell: str, column: str) -> None:
    path = tmp_path / "data.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", column), (TEXT, cell), ("Hi there", "[]")])
    assert spans(read_data(path, DataConfig(task="token"))) == [BOTH, []]


def test_spans_that_begin_with_the_label_are_refused_with_their_form(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="row 1: an item of column 'label' is no span") as error:
        read(tmp_path, [{"text": TEXT, "label": [["person", *PERSON]]}])
    assert "a span is [start, end, label]" in error.value.cause
    rows = [{"text": TEXT, "label": [[*PERSON, "person"]], "relations": [["knows", 1, 2]]}]
    assert spans(read(tmp_path, rows)) == [BOTH[:1]]


@pytest.mark.parametrize("number", [3, "3"])
def test_spans_with_ids_of_labels_are_refused(tmp_path: Path, number: Any) -> None:
    item = {"start_offset": 0, "end_offset": 12, "label": number}
    with pytest.raises(
        UsageError, match="row 2: the labels of the spans in column 'annotations' are numbers: 3"
    ):
        read(tmp_path, [{"text": "Hi", "annotations": []}, {"text": TEXT, "annotations": [item]}])


@pytest.mark.parametrize(
    "cell", ["{'entities': [[0, 12, 'person']]}", "[['Anna', 'person']]", "{0: 'person'}"]
)
def test_lists_that_are_neither_tags_nor_spans_have_the_fix_of_both(tmp_path: Path, cell: str) -> None:
    with pytest.raises(UsageError, match="row 1: column 'label' holds a list") as error:
        read(tmp_path, [{"text": TEXT, "label": cell}, {"text": "Hi", "label": "O"}])
    assert error.value.fix.startswith(
        'write the tags of the words as ["B-x", "O"], or spans as [[0, 4, "x"]]'
    )
