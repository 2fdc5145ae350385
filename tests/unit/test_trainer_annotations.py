"""Exports of annotation tools: the words, tags and labels that a training reads from them."""

import json
from pathlib import Path
from typing import Any

import pytest

from stream.errors import UsageError
from tests.unit.annotation_files import BOTH, PERSON, PLACE, TEXT, notes, read, region, spans, task
from trainer.config import DataConfig
from trainer.data.read import read_data


@pytest.mark.parametrize("column", ["label", "labels", "entities", "spans"])
def test_lists_of_start_end_and_label_become_tags(tmp_path: Path, column: str) -> None:
    rows = [
        {"id": 7, "text": TEXT, column: [[*PERSON, "person"], [*PLACE, "place"]], "Comments": []},
        {"id": 8, "text": "Hi there", column: [], "Comments": []},
    ]
    data = read(tmp_path, rows)
    assert spans(data) == [BOTH, []]
    assert data.examples[0].text == TEXT
    assert data.examples[0].labels[:4] == ("B-person", "I-person", "I-person", "O")
    assert data.examples[0].id == "7"
    assert "2 spans in 2 rows were aligned to words" in notes(data)
    assert f"guessed columns: text = text, label = {column}" in notes(data)


@pytest.mark.parametrize(
    "keys",
    [("start_offset", "end_offset", "label"), ("start", "end", "label"), ("begin", "end", "type")],
)
def test_objects_with_offsets_become_tags(tmp_path: Path, keys: tuple[str, str, str]) -> None:
    items = [
        dict(zip(keys, (*PERSON, "person"), strict=True)),
        dict(zip(keys, (*PLACE, "place"), strict=True)),
    ]
    rows = [{"data": TEXT, "entities": items, "relations": []}]
    assert spans(read(tmp_path, rows)) == [BOTH]
    assert spans(read(tmp_path, rows, "data.json")) == [BOTH]


def test_named_columns_of_spans_and_texts_are_read(tmp_path: Path) -> None:
    rows = [{"headline": "Rome", "story": TEXT, "people": [[*PERSON, "p"]], "places": [[*PLACE, "l"]]}]
    with pytest.raises(UsageError) as error:
        read(tmp_path, rows)
    assert "people, places" in error.value.cause
    with pytest.raises(UsageError, match=r"cannot guess the text column of data.jsonl"):
        read(tmp_path, rows, label_column="places")
    data = read(tmp_path, rows, label_column="places", text_column="story")
    assert spans(data) == [[("l", "New York")]]


def test_spacy_examples_become_tags(tmp_path: Path) -> None:
    examples = [[TEXT, {"entities": [[*PERSON, "person"], [*PLACE, "place"]]}], ["Hi", {"entities": []}]]
    for rows, name in (
        (examples, "data.json"),
        (examples, "data.jsonl"),
        ({"classes": ["person", "place"], "annotations": [*examples, None]}, "data.json"),
    ):
        assert spans(read(tmp_path, rows, name)) == [BOTH, []]


def test_a_spacy_document_becomes_tags(tmp_path: Path) -> None:
    ents = [{"start": 0, "end": 12, "label": "person"}, {"start": 22, "end": 30, "label": "place"}]
    tokens = [{"id": 0, "start": 0, "end": 4, "tag": "NNP"}]
    rows = [{"text": TEXT, "ents": ents, "tokens": tokens, "sents": [{"start": 0, "end": 31}]}]
    assert spans(read(tmp_path, rows, "data.json")) == [BOTH]


def prodigy(text: str, answer: str = "accept", **fields: Any) -> dict[str, Any]:
    return {"text": text, "_input_hash": 1, "_task_hash": 2, **fields, "answer": answer}


def test_prodigy_spans_become_tags_and_other_answers_have_no_label(tmp_path: Path) -> None:
    tokens = [{"text": "Anna", "start": 0, "end": 4, "id": 0, "ws": True}]
    found = [{"start": 0, "end": 12, "token_start": 0, "token_end": 2, "label": "person"}]
    rows = [
        prodigy(TEXT, tokens=tokens, spans=found),
        prodigy("Nobody here"),
        prodigy("Bob", "reject", spans=[{"start": 0, "end": 3, "label": "place"}]),
        prodigy("Eve", "ignore"),
    ]
    data = read(tmp_path, rows)
    assert spans(data) == [[("person", "Anna van Dam")], []]
    assert data.no_label == [3, 4]
    assert "1 rows have the answer reject and no label" in notes(data)


def test_prodigy_choices_become_labels(tmp_path: Path) -> None:
    options = [{"id": "a", "text": "A"}, {"id": "b", "text": "B"}]
    rows = [prodigy(f"t{n}", options=options, accept=["ab"[n % 2]]) for n in range(6)]
    rows.append(prodigy("no", "reject", options=options, accept=["a"]))
    single = read(tmp_path, rows, task="single-label")
    assert [example.target for example in single.examples] == ["a", "b"] * 3
    assert single.no_label == [7]
    several = read(tmp_path, [*rows, prodigy("both", accept=["a", "b"])], task="multi-label")
    assert several.examples[-1].target == ("a", "b")
    with pytest.raises(UsageError, match=r"data.jsonl, row 8: column 'accept' holds a list of 2 labels"):
        read(tmp_path, [*rows, prodigy("both", accept=["a", "b"])], task="single-label")


def choice(*choices: str) -> dict[str, Any]:
    return {"value": {"choices": list(choices)}, "from_name": "mood", "to_name": "text", "type": "choices"}


def test_label_studio_regions_become_tags(tmp_path: Path) -> None:
    result = [region(*PERSON, "person", "Anna van Dam"), region(*PLACE, "place", "New York"), choice("good")]
    rows = [
        task(TEXT, result),
        task("Hi", []),
        task("skipped", [region(0, 7, "x")], was_cancelled=True),
        task("new"),
    ]
    data = read(tmp_path, rows, "data.json")
    assert spans(data) == [BOTH, []]
    assert (data.columns.text, data.columns.label) == ("text", "ner")
    assert data.no_label == [3, 4]
    assert "2 tasks have no annotation that is not cancelled" in notes(data)


def test_the_ground_truth_or_the_first_of_several_annotations_is_read(tmp_path: Path) -> None:
    first, second = [region(*PERSON, "person")], [region(*PLACE, "place")]
    marked = task(TEXT, first, second)
    marked["annotations"][1]["ground_truth"] = True
    data = read(tmp_path, [marked, task(TEXT, first, second), task(TEXT, first, first)], "data.json")
    assert spans(data) == [
        [("place", "New York")],
        [("person", "Anna van Dam")],
        [("person", "Anna van Dam")],
    ]
    assert "3 tasks have several annotations, which differ in 2 tasks" in notes(data)


def test_label_studio_choices_become_labels(tmp_path: Path) -> None:
    rows = [task(f"t{n}", [choice("good" if n % 2 else "bad"), region(0, 2, "x")]) for n in range(6)]
    data = read(tmp_path, rows, "data.json", task="single-label")
    assert [example.target for example in data.examples] == ["bad", "good"] * 3
    assert data.columns.label == "mood"
    rows = [task("both", [choice("good", "bad")]), *rows]
    assert read(tmp_path, rows, "data.json", task="multi-label").examples[0].target == ("good", "bad")


def test_label_studio_ratings_become_numbers(tmp_path: Path) -> None:
    rating = {"from_name": "stars", "to_name": "text", "type": "rating"}
    rows = [task(f"t{n}", [{"value": {"rating": n}, **rating}]) for n in range(1, 5)]
    data = read(tmp_path, rows, "data.json", task="regression")
    assert [example.target for example in data.examples] == [1.0, 2.0, 3.0, 4.0]


def test_the_short_export_of_label_studio_is_read(tmp_path: Path) -> None:
    items = [
        {"start": 0, "end": 12, "text": "Anna van Dam", "labels": ["person"]},
        {"start": 22, "end": 30, "text": "New York", "labels": ["place"]},
    ]
    row = {"id": 1, "text": TEXT, "label": items, "annotator": 1, "annotation_id": 2, "lead_time": 3.5}
    without = {"id": 2, "text": "Hi there", "annotator": 1, "annotation_id": 3, "lead_time": 1.5}
    data = read(tmp_path, [row, without], "data.json")
    assert spans(data) == [BOTH, []]
    assert "2 spans in 2 rows were aligned to words; 1 rows have no span" in notes(data)
    rows = [{"text": f"t{n}", "mood": {"choices": ["x"]} if n % 2 else "y"} for n in range(6)]
    data = read(tmp_path, rows, "data.json", task="single-label")
    assert [example.target for example in data.examples] == ["y", "x"] * 3


def test_spans_in_the_cells_of_a_csv_file_are_read(tmp_path: Path) -> None:
    cell = json.dumps([{"start": 0, "end": 12, "labels": ["person"]}]).replace('"', '""')
    (tmp_path / "data.csv").write_text(f'text,label,annotator\n{TEXT},"{cell}",me\n')
    data = read_data(tmp_path / "data.csv", DataConfig(task="token"))
    assert spans(data) == [[("person", "Anna van Dam")]]


def test_a_cell_that_is_no_list_among_lists_of_spans_is_refused(tmp_path: Path) -> None:
    rows = [{"text": TEXT, "label": [[0, 4, "x"]]}, {"text": TEXT, "label": "person"}]
    with pytest.raises(UsageError, match=r"row 2: an item of column 'label' is no span: person"):
        read(tmp_path, rows)


def test_regions_of_html_are_refused(tmp_path: Path) -> None:
    html = region(0, 4, "x")
    html["value"] = {"start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]", "hypertextlabels": ["x"]}
    html["type"] = "hypertextlabels"
    with pytest.raises(UsageError, match=r"row 1: an item of column 'ner' is no span") as error:
        read(tmp_path, [task("<p>Rome</p>", [html])], "data.json")
    assert "regions of HTML" in error.value.fix


def test_offsets_may_be_written_as_floats_or_texts(tmp_path: Path) -> None:
    rows = [{"text": TEXT, "label": [[0.0, 12.0, "person"], ["22", "30", "place"]]}]
    assert spans(read(tmp_path, rows)) == [BOTH]


@pytest.mark.parametrize("name", ["label", "labels"])
def test_lists_with_one_label_are_single_labels(tmp_path: Path, name: str) -> None:
    rows = [{"id": n, "data": f"t{n}", name: ["ab"[n % 2]]} for n in range(6)] + [{"data": "x", name: []}]
    data = read(tmp_path, rows, task="single-label")
    assert [example.target for example in data.examples] == ["a", "b"] * 3
    assert data.no_label == [7]


def test_categories_of_spacy_become_labels(tmp_path: Path) -> None:
    rows = [[f"t{n}", {"cats": {"a": float(n % 2), "b": 1.0 - n % 2}}] for n in range(6)]
    data = read(tmp_path, rows, "data.json", task="single-label")
    assert [example.target for example in data.examples] == ["b", "a"] * 3


def test_the_choices_of_a_region_are_not_the_choices_of_the_text(tmp_path: Path) -> None:
    of_region = choice("bad")
    of_region["value"] |= {"start": 0, "end": 1, "text": "t"}
    rows = [task(f"t{n}", [of_region, choice("good" if n % 2 else "bad")]) for n in range(6)]
    data = read(tmp_path, rows, "data.json", task="single-label")
    assert [example.target for example in data.examples] == ["bad", "good"] * 3


def test_a_column_of_labels_is_preferred_to_lists(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "label": "ab"[n % 2], "topics": ["x"]} for n in range(6)]
    data = read(tmp_path, rows, task="single-label")
    assert (data.columns.label, data.labels) == ("label", ["a", "b"])


def test_lists_of_words_and_tags_are_read_although_the_rows_hold_spans(tmp_path: Path) -> None:
    rows = [{"text": TEXT, "tokens": ["Anna", "!"], "ner_tags": ["B-x", "O"], "spans": [[0, 4, "y"]]}]
    assert spans(read(tmp_path, rows)) == [[("x", "Anna")]]
    assert spans(read(tmp_path, rows, label_column="spans", text_column="text")) == [[("y", "Anna")]]


def test_rows_of_further_files_are_named_by_their_own_file(tmp_path: Path) -> None:
    for name, label in (("train", [[0, 4, "x"]]), ("test", [[0, 4]])):
        rows = [{"text": TEXT, "label": [[0, 4, "x"]]}, {"text": TEXT, "label": label}]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(UsageError, match=r"test.jsonl, row 4: an item of column 'label' is no span"):
        read_data(tmp_path, DataConfig(task="token"))


@pytest.mark.parametrize("name", ["data.csv", "data.jsonl"])
def test_a_column_named_answer_alone_is_not_prodigys(tmp_path: Path, name: str) -> None:
    rows = [
        {"text": f"t{n}", "answer": ["accept", "reject"][n % 2], "label": "ab"[n // 2 % 2]} for n in range(20)
    ]
    path = tmp_path / name
    cells = [list(rows[0]), *(list(row.values()) for row in rows)]
    lines = map(",".join, cells) if name == "data.csv" else map(json.dumps, rows)
    path.write_text("\n".join(lines), encoding="utf-8")
    data = read_data(path, DataConfig())
    assert [example.target for example in data.examples] == [row["label"] for row in rows]
    assert "the column answer is not read" in notes(data)
    answers = read_data(path, DataConfig(label_column="answer"))
    assert [example.target for example in answers.examples] == [row["answer"] for row in rows]
    assert "answer is not read" not in notes(answers)


@pytest.mark.parametrize("key", ["_input_hash", "_task_hash", "options", "tokens"])
def test_prodigy_is_recognised_by_each_member_that_it_writes(tmp_path: Path, key: str) -> None:
    member = [{"id": 1, "text": "a"}] if key in ("options", "tokens") else 7
    rows = [{"text": f"t{n}", "label": "ab"[n % 2], "answer": "accept", key: member} for n in range(8)]
    data = read(tmp_path, [*rows, {**rows[0], "answer": "reject"}], task="single-label")
    assert len(data.examples) == 8
    assert "1 rows have the answer reject and no label" in notes(data)
