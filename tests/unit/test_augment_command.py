"""`labelstream augment` against a stand-in of the endpoint, and `train --extra-train` on its output."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from stream.errors import LabelstreamError, UsageError
from tests.unit.chat_server import ChatServer, Reply, chat_server, completion, rows
from trainer.augment.output import PROVENANCE
from trainer.cli_augment import augment
from trainer.config import DataConfig
from trainer.data.read import read_data
from trainer.data.splits import split_examples

KEY = "sk-secret-0123456789"
WORDS = ["amber", "basil", "cedar", "delta", "ember", "fable", "grove", "haven", "inlet", "jolly", "kayak"]
WORDS += ["lemon", "mango", "noble", "ocean"]


def unlike(number: int) -> str:
    """Return a text that is near to none of another number."""
    return f"{WORDS[number % 15]} {number * 7919} {WORDS[number // 15 % 15]} {number * 104729}"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file with 60 rows of a common label and 10 of a rare one."""
    file = tmp_path / "tickets.csv"
    lines = [f"{unlike(at)},{'rare, “odd” <b>' if at % 7 == 0 else 'common'}" for at in range(70)]
    quoted = [line.replace("rare, “odd” <b>", '"rare, “odd” <b>"') for line in lines]
    file.write_text("message,team\n" + "\n".join(quoted) + "\n", encoding="utf-8")
    return file


FLAGS = ("--text-column", "message", "--label-column", "team")
CONFIG = {"text_column": "message", "label_column": "team"}
RARE = "rare, “odd” <b>"


def run(data: Path, server: ChatServer, *arguments: object, env: dict[str, str] | None = None) -> Result:
    app = typer.Typer()
    app.command()(augment)
    words = [str(data), "--endpoint", server.url, "--model", "m-1", *map(str, arguments)]
    result = CliRunner().invoke(app, words, env={"OPENAI_API_KEY": KEY, **(env or {})}, standalone_mode=False)
    assert KEY not in result.output
    if result.exception is not None:
        assert KEY not in str(vars(result.exception))
        raise result.exception
    return result


def read_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def writes(number: int, body: dict[str, Any]) -> Reply:
    """Answer with the requested number of new rows."""
    count = int(re.findall(r"Write (\d+) new", body["messages"][0]["content"])[0])
    return completion(rows(*(unlike(1000 + number * 100 + at) for at in range(count))), number)


def test_rare_labels_get_rows_with_provenance_that_train_uses_for_training_only(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new.jsonl"
    splits = split_examples(read_data(data, DataConfig(**CONFIG)).examples, 42)
    before = sum(RARE in example.labels for example in splits.train)
    with chat_server(writes) as server:
        result = run(data, server, *FLAGS, "--to-rows", 20, "--output", out, "--rows-per-request", 4)
    assert {path for path, _, _ in server.requests} == {"/v1/chat/completions"}
    assert {headers["authorization"] for _, headers, _ in server.requests} == {f"Bearer {KEY}"}
    assert {body["model"] for _, _, body in server.requests} == {"m-1"}
    assert all(body["response_format"] == {"type": "json_object"} for _, _, body in server.requests)
    written = read_lines(out)
    assert len(written) == 20 - before
    train_rows = {example.row: example.text for example in splits.train}
    shown = "\n".join(server.prompts)
    for row in written:
        assert list(row) == ["message", "team", *PROVENANCE]
        assert row["team"] == row["augment_label"] == RARE
        assert row["augment_model"] == "m-1"
        assert row["augment_request"].startswith("chatcmpl-")
        assert re.fullmatch(r"[0-9a-f]{64}", row["augment_prompt_sha256"])
        assert row["augment_time"].endswith("+00:00")
        sources = [int(number) for number in row["augment_source_rows"].split(",")]
        assert all(train_rows[number] in shown for number in sources)
    # Held-out rows never leave the machine.
    assert not any(e.text in shown for e in (*splits.validation, *splits.test))
    command = f"next: labelstream train {data} --text-column message --label-column team --extra-train {out}"
    assert command in result.output
    # The training reads the file as it is; the splits of the other rows stay the same.
    extended = read_data(data, DataConfig(**CONFIG, extra_train=out))
    again = split_examples(extended.examples, 42)
    assert (again.validation, again.test, again.dropped) == (splits.validation, splits.test, [])
    added = [example for example in again.train if example.extra]
    assert [(example.text, example.target) for example in added] == [(r["message"], RARE) for r in written]
    assert [example for example in again.train if not example.extra] == splits.train


def test_duplicates_garbage_429_and_500_are_survived_and_counted(data: Path, tmp_path: Path) -> None:
    splits = split_examples(read_data(data, DataConfig(**CONFIG)).examples, 42)
    held_out = next(e for e in splits.test if e.target == RARE).text
    near = splits.validation[0].text + "!"
    training = splits.train[0].text.upper()
    wait = {"retry-after": "0"}
    answers: list[Reply] = [
        (429, wait, b"slow down"),
        (500, wait, b"oops"),
        (503, wait, b"<html>"),
        completion("Sure! Here are your texts."),
        completion('{"rows": [{"text": ""}]}'),
        completion('{"rows": [{"text": "a", "label": "b"}]}'),
        (200, {}, b"\xff\xfe no json"),
        completion(rows(held_out, near, training, unlike(900))),
        completion(f"```json\n{rows(unlike(900), unlike(901))}\n```"),
        completion(rows(unlike(902), unlike(903), unlike(904), unlike(905))),
    ]
    out = tmp_path / "new.csv"
    with chat_server(lambda number, _: answers[number]) as server:
        result = run(
            data, server, *FLAGS, "--labels", RARE, "--rows-per-label", 4, "--output", out,
            "--concurrency", 1, "--max-requests", 20,
        )  # fmt: skip
    assert len(server.requests) == len(answers)
    with out.open(newline="", encoding="utf-8") as file:
        assert [row["message"] for row in csv.DictReader(file)] == list(map(unlike, (900, 901, 902, 903)))
    assert (
        "4 new rows from 10 requests (retries: 3), 600 prompt tokens, 60 completion tokens" in result.output
    )
    assert "left out: 2 duplicates of validation or test rows" in result.output
    assert "left out: 1 duplicate of training rows" in result.output
    assert "left out: 1 duplicate of generated rows" in result.output
    assert "invalid answers: 1 (not JSON)" in result.output
    assert "invalid answers: 1 (no chat completion)" in result.output


def test_the_limit_of_requests_stops_the_run_and_the_next_one_continues(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "new.jsonl"
    flags = (*FLAGS, "--labels", RARE, "--rows-per-label", 6, "--rows-per-request", 1, "--output", out)
    with chat_server(writes) as server:
        result = run(data, server, *flags, "--max-requests", 4)
        assert result.return_value == 1
        assert len(server.requests) == 4
        assert "stopped at the limit of requests" in result.output
        assert f"missing rows: {RARE} 2" in result.output
        first = read_lines(out)
        assert len(first) == 4
    # The second run gets the same texts again, which are duplicates now, and then new ones.
    with chat_server(lambda number, body: writes(number + 2, body)) as server:
        result = run(data, server, *flags, "--max-requests", 10, "--concurrency", 1)
        assert result.return_value is None
        assert "left out: 2 duplicates of generated rows" in result.output
    assert read_lines(out)[:4] == first
    assert len({row["message"] for row in read_lines(out)}) == 6
    with chat_server(writes) as server:
        assert "nothing to write" in run(data, server, *flags).output
        assert server.requests == []


def test_a_label_without_new_rows_is_given_up(data: Path, tmp_path: Path) -> None:
    flags = (*FLAGS, "--rows-per-label", 2, "--concurrency", 1, "--max-requests", 50)
    with chat_server(lambda *_: completion(rows(unlike(900)))) as server:
        result = run(data, server, *flags, "--output", tmp_path / "new.jsonl")
    assert result.return_value == 1
    assert len(server.requests) < 15
    assert "missing rows: " in result.output


@pytest.mark.parametrize(
    ("reply", "message", "fix"),
    [
        ((401, {}, f"bad key {KEY}".encode()), "refuses the request", "--api-key-file"),
        ((404, {}, b""), "refuses the request", "--endpoint"),
        ((400, {}, b"response_format is unknown"), "refuses the request", "--no-json-mode"),
        ((302, {"location": "http://127.0.0.1:1/"}, b""), "refuses the request", "--model"),
        ((500, {"retry-after": "0"}, f"{KEY}".encode()), "failed 6 times", "run the same command again"),
    ],
)
def test_a_refusal_names_its_fix_and_keeps_the_rows(
    data: Path, tmp_path: Path, reply: Reply, message: str, fix: str
) -> None:
    out = tmp_path / "new.jsonl"
    flags = (*FLAGS, "--rows-per-label", 2, "--rows-per-request", 1, "--concurrency", 1, "--output", out)
    with (
        chat_server(lambda number, body: reply if number else writes(number, body)) as server,
        pytest.raises(LabelstreamError, match=message) as refused,
    ):
        run(data, server, *flags, "--max-requests", 20)
    assert fix in refused.value.fix
    assert len(read_lines(out)) == 1
    assert KEY not in out.read_text()


def test_an_unreachable_endpoint_and_wrong_arguments_cost_nothing(data: Path, tmp_path: Path) -> None:
    out, prompt, key = tmp_path / "new.jsonl", tmp_path / "prompt.txt", tmp_path / "key"
    enough = ("--rows-per-label", 1, "--output", out)
    key.write_text("two words\n")
    other = tmp_path / "other.jsonl"
    other.write_text('{"message": "a"}\n')
    with chat_server(writes) as server:
        for arguments, message in {
            (): "the number of rows is not given",
            ("--rows-per-label", 1, "--to-rows", 1): "cannot be combined",
            (*enough, "--labels", "rar"): "no label 'rar'",
            (*enough, "--task", "regression"): "--task regression",
            (*enough[:2], "--output", tmp_path / "a.parquet"): "neither CSV nor JSON lines",
            (*enough[:2], "--output", data): "is an input",
            (*enough[:2], "--output", other): "is not the output of this command",
            (*enough[:2], "--output", tmp_path / "no" / "a.jsonl", "--max-requests", 1): "cannot write",
            (*enough, "--api-key-file", key): "holds no API key",
            (*enough, "--prompt-file", prompt): "has the unknown placeholder",
            (*enough, "--format", "csv"): "would not read",
            (*enough[:2], "--output", tmp_path / "a.csv", "--no-header"): "would not read",
        }.items():
            prompt.write_text("$label $format $lable")
            with pytest.raises(UsageError, match=message) as refused:
                run(data, server, *FLAGS, *arguments)
            assert refused.value.fix
        assert server.requests == []
    with pytest.raises(UsageError, match="cannot connect to http://127"):
        run(data, server, *FLAGS, *enough)
    with pytest.raises(UsageError, match="--endpoint is not an HTTP URL"):
        run(data, ChatServer("localhost:8000"), *FLAGS, *enough)
    assert not out.exists()


def test_pairs_metadata_and_several_labels_are_read_again(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(
        "".join(
            json.dumps(
                {"text": unlike(at), "text_pair": unlike(500 + at), "label": "ab"[at % 2], "age": at % 3}
            )
            + "\n"
            for at in range(40)
        )
    )
    answer = completion(rows({"text": unlike(900), "text_pair": unlike(901)}))
    out = tmp_path / "new.csv"
    flags = ("--task", "pair", "--metadata-columns", "age", "--rows-per-label", 1, "--labels", "a")
    with chat_server(lambda *_: answer) as server:
        run(pairs, server, *flags, "--output", out)
    assert '"text_pair"' in server.prompts[0]
    config = DataConfig(task="pair", metadata_columns=("age",), extra_train=out)
    added = read_data(pairs, config).examples[-1]
    assert (added.text, added.text_pair, added.target) == (unlike(900), unlike(901), "a")
    assert added.metadata is not None
    assert str(added.metadata["age"]) in "012"

    topics = tmp_path / "topics.csv"
    cells = ["x", "y", "x|y", "x|y|z"]
    topics.write_text("text,tags\n" + "".join(f"{unlike(at)},{cells[at % 4]}\n" for at in range(60)))
    for name in ("tags.csv", "tags.jsonl"):
        with chat_server(writes) as server:
            several = ("--task", "multi-label", "--labels", "z", "--rows-per-label", 2)
            run(topics, server, *several, "--label-column", "tags", "--output", tmp_path / name)
        config = DataConfig(task="multi-label", label_column="tags", extra_train=tmp_path / name)
        extended = read_data(topics, config)
        assert [e.target for e in extended.examples if e.extra] == [("x", "y", "z")] * 2
        assert extended.labels == ["x", "y", "z"]

    flagged = tmp_path / "flags.csv"
    flagged.write_text("text,x,y\n" + "".join(f"{unlike(at)},{at % 2},{at % 3 % 2}\n" for at in range(60)))
    columns = ("--task", "multi-label", "--label-columns", "x,y")
    with chat_server(writes) as server:
        run(flagged, server, *columns, "--labels", "y", "--rows-per-label", 2, "--output", tmp_path / "f.csv")
    config = DataConfig(task="multi-label", label_columns=("x", "y"), extra_train=tmp_path / "f.csv")
    assert all("y" in e.labels for e in read_data(flagged, config).examples if e.extra)
    assert sum(e.extra for e in read_data(flagged, config).examples) == 2


def test_a_prompt_file_replaces_the_prompt_and_the_key_may_come_from_a_file(
    data: Path, tmp_path: Path
) -> None:
    prompt, key = tmp_path / "prompt.txt", tmp_path / "key"
    prompt.write_text(
        "${label}: for $$5, Write $rows new in the form $format of:\n$examples\n$labels", "utf-8"
    )
    key.write_text("sk-other\n")
    flags = (*FLAGS, "--labels", RARE, "--rows-per-label", 1, "--examples", 2, "--no-json-mode")
    with chat_server(writes) as server:
        run(data, server, *flags, "--prompt-file", prompt, "--api-key-file", key, "--temperature", 0.5,
            "--output", tmp_path / "new.jsonl")  # fmt: skip
        run(data, server, *flags, "--output", tmp_path / "x.jsonl", env={"OPENAI_API_KEY": ""})
    lines = server.prompts[0].splitlines()
    assert lines[0].startswith(f"{RARE}: for $5, Write 1 new in the form ")
    assert [list(json.loads(line)) for line in lines[1:-1]] == [["text"], ["text"]]
    _, headers, body = server.requests[0]
    assert headers["authorization"] == "Bearer sk-other"
    assert body["temperature"] == 0.5
    assert "response_format" not in body
    assert "authorization" not in server.requests[1][1]
