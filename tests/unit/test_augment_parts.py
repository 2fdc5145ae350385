"""Parts of `labelstream augment`: answers, the index of duplicates, and an interrupted run."""

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.chat_server import chat_server, completion, rows
from trainer.augment.answers import InvalidAnswerError, NewRow, parse_answer
from trainer.data.duplicates import DuplicateIndex, near_duplicate_pairs

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["rows", "text", "text_pair", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(anything)
def test_an_answer_is_rows_of_texts_or_invalid(value: object) -> None:
    for pair in (False, True):
        try:
            parsed = parse_answer(json.dumps(value), pair=pair)
        except InvalidAnswerError:
            continue
        assert parsed
        assert all(row.text.strip() and (row.text_pair is not None) == pair for row in parsed)
        members = [row._asdict() if pair else {"text": row.text} for row in parsed]
        assert value == {"rows": members}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '[{"text": "a"}]',
        '{"rows": []}',
        '{"rows": [{"text": "a"}], "note": 1}',
        '{"rows": [{"text": 1}]}',
        '{"rows": [{"text": "a", "text_pair": "b"}]}',
        '{"rows": ["a"]}',
        'Here: {"rows": [{"text": "a"}]}',
        '{"rows": [{"text": "\\ud800"}]}',
        '{"rows": [{"text": "a\\u0000"}]}',
        '{"rows": [{"text": "a"}]',
        "[" * 100_000,
    ],
)
def test_other_answers_are_invalid(content: str) -> None:
    with pytest.raises(InvalidAnswerError):
        parse_answer(content, pair=False)


def test_a_code_block_is_opened() -> None:
    assert parse_answer(f"\n```json\n{rows('ä', 'b')}\n```\n", pair=False) == [NewRow("ä"), NewRow("b")]


words = st.lists(st.sampled_from(["refund", "parcel", "card", "twice", "never", "came", "x"]), min_size=1)


@settings(deadline=None, max_examples=60)
@given(st.lists(words.map(" ".join), max_size=12))
def test_the_index_finds_what_the_pairs_of_all_texts_are(texts: list[str]) -> None:
    distinct = list(dict.fromkeys(texts))
    near = {b for _, b in near_duplicate_pairs(distinct)}
    index = DuplicateIndex()
    for at, text in enumerate(distinct):
        assert index.find(text) == ("near" if at in near else None)
        index.add([text])
        assert index.find(text) == "equal"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_keeps_the_rows(tmp_path: Path, number: signal.Signals) -> None:
    data, out = tmp_path / "data.csv", tmp_path / "new.jsonl"
    texts = [f"{at * 7919} number {at * 104729} of {at * 31}" for at in range(30)]
    data.write_text("text,label\n" + "".join(f"{text},{'ab'[at % 2]}\n" for at, text in enumerate(texts)))
    waiting, release = threading.Event(), threading.Event()

    def answer(at: int, body: object) -> tuple[int, dict[str, str], bytes]:
        if at == 1:
            waiting.set()
            release.wait(30)
        return completion(rows("a row that is like no other one" if at == 0 else f"too late {at}"))

    with chat_server(answer) as server:
        words = ["augment", str(data), "--endpoint", server.url, "--model", "m", "--rows-per-label", "3"]
        words += ["--rows-per-request", "1", "--concurrency", "1", "--output", str(out)]
        process = subprocess.Popen(
            [sys.executable, "-m", "stream", *words], stderr=subprocess.PIPE, text=True
        )
        assert waiting.wait(60)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        release.set()
    assert process.returncode == (130 if number == signal.SIGINT else 143), errors
    assert [json.loads(line)["text"] for line in out.read_text().splitlines()] == [
        "a row that is like no other one"
    ]
    assert re.search(r"^1 new row from 2 requests", errors, re.MULTILINE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "new.jsonl"]
