"""The file of `--texts`: read rightly, or refused with the row."""

import gzip
from pathlib import Path

import pytest

from stream.classify import TextInput
from stream.errors import UsageError
from trainer.export.reference import read_texts


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("t.txt", b"one\ntwo\r\nthree\rfour", ["one", "two", "three", "four"]),
        (
            "t.txt",
            "one\u2028still one\x0cstill\x85one\n two ".encode(),
            ["one\u2028still one\x0cstill\x85one", "two"],
        ),
        ("t.txt", "é\nü".encode("utf-8-sig"), ["é", "ü"]),
        ("t.txt", "é\nü".encode("utf-16"), ["é", "ü"]),
        ("t.TXT", b"one", ["one"]),
        ("stdin", b"one\n\ntwo", ["one", "two"]),
        ("t.jsonl", b'{"text": "a"}\n\n{"text": null}\n{"text": ""}\n{"text": " b "}\n', ["a", " b "]),
        ("t.jsonl", b'\xef\xbb\xbf{"text": "a\\u2028b"}', ["a\u2028b"]),
        ("t.jsonl", b'[{"text": "a"},\n {"text": "b"}]', ["a", "b"]),
        ("t.json", b'[{"text": "a"}]', ["a"]),
        ("t.ndjson", b'{"text": "a", "label": 3}', ["a"]),
        ("t.csv", b'text,label\n"a, b",1\n"c\nd",2\n', ["a, b", "c\nd"]),
        ("t.csv", b"id;text\n1;a, b\n", ["a, b"]),
        ("t.csv", "id\ttext\n1\té\n".encode("utf-16"), ["é"]),
        ("t.tsv", b"text\na, b\n", ["a, b"]),
    ],
)
def test_texts_are_read(tmp_path: Path, name: str, content: bytes, texts: list[str]) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_texts(tmp_path / name, pair=False) == [TextInput(text) for text in texts]


def test_second_texts_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,text_pair\na,b\nc,\n")
    assert read_texts(tmp_path / "t.csv", pair=True) == [TextInput("a", "b"), TextInput("c", "")]


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("t.jsonl", b'{"text": "a"}\n{"text": 5}', "text of row 2 is 5, not a string"),
        ("t.jsonl", b'{"text": ["a"]}', "text of row 1 is ['a'], not a string"),
        ("t.jsonl", b'{"text": false}', "text of row 1 is False, not a string"),
        ("t.jsonl", b'{"text": "a"}\n{"body": "b"}', "row 2 has no member text; it has: body"),
        ("t.jsonl", b'{"text": "a"}\n{}', "row 2 has no member text; it has: none"),
        ("t.jsonl", b'{"text": "a"}\n"b"', "row 2 is not a JSON object"),
        ("t.jsonl", b"5", "row 1 is not a JSON object"),
        ("t.jsonl", b"null", "row 1 is not a JSON object"),
        ("t.jsonl", b'["a"]', "row 1 is not a JSON object"),
        ("t.jsonl", b'{"text": "a"}\n{"text": "b', "line 2 is not valid JSON"),
        ("t.jsonl", b'{"text": "\\ud83d"}', "line 1 is not valid JSON"),
        ("t.jsonl", b'{\n "text": "a"\n}', "line 1 is not valid JSON"),
        ("t.json", b"[1, 2", "line 1 is not valid JSON"),
        ("t.csv", b"id,body\n1,a\n", "no column text; its header is: id,body"),
        ("t.csv", b"text,label\na,1\nHello, please cancel,2\n", "line 3 has 3 cells"),
        ("t.csv", b"text,label\na\n", "line 2 has 1 cells"),
        ("t.csv", b'text,label\n"a,1\n', "line 2"),
        ("t.txt", b"one\ntwo \xe9\n", "line 2 has bytes that are not UTF-8"),
        ("t.txt", "one".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        ("t.txt", b"\xff\xfea", "not UTF-16"),
        ("t.txt", bytes(100), "binary"),
        ("t.txt.gz", gzip.compress(b"one", mtime=0), "packed with gzip"),
        ("t.txt", gzip.compress(b"one", mtime=0), "packed with gzip"),
        ("t.xlsx", b"PK\x03\x04abc", "a ZIP archive"),
        ("t.parquet", b"PAR1abc", ".parquet is not a format of texts"),
        ("t.md", b"one", ".md is not a format of texts"),
    ],
)
def test_texts_that_are_not_clear_are_refused_with_the_row(
    tmp_path: Path, name: str, content: bytes, cause: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read") as refused:
        read_texts(tmp_path / name, pair=False)
    assert cause in refused.value.cause
    assert refused.value.fix
    assert "\n" not in refused.value.cause


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["t.txt", "t.csv", "t.jsonl"])
def test_a_file_without_texts_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match="has no texts"):
        read_texts(tmp_path / name, pair=False)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path, cause in ((tmp_path, "Is a directory"), (tmp_path / "no.txt", "No such file")):
        with pytest.raises(UsageError, match="cannot be read") as refused:
            read_texts(path, pair=False)
        assert cause in refused.value.cause


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b'{"text": "a", "text_pair": "b"}\n{"text": "c"}', "row 2 has no text_pair"),
        (b'{"text": "a", "text_pair": 5}', "text_pair of row 1 is 5, not a string"),
    ],
)
def test_pairs_need_a_second_text_in_every_row(tmp_path: Path, content: bytes, cause: str) -> None:
    (tmp_path / "t.jsonl").write_bytes(content)
    with pytest.raises(UsageError) as refused:
        read_texts(tmp_path / "t.jsonl", pair=True)
    assert cause in refused.value.cause
