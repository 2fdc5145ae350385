"""The benchmarks' order of ways, their events and their texts."""

import gzip
from pathlib import Path

import orjson
import pytest
from rich.progress import Progress

from benchmarks.speed.context import Bench, NotRun, Options, Runs, failures, nothing
from benchmarks.speed.events import few_texts, small_events
from benchmarks.speed.texts import text_sets, unique_texts


def bench(repeats: int = 3, rows: tuple[str, ...] = ()) -> Bench:
    options = Options(repeats, False, "cpu", None, Path(), "none", rows)
    return Bench(options, Progress(disable=True))


def test_the_order_turns_round_from_repeat_to_repeat() -> None:
    seen: list[str] = []
    ways = {name: lambda _, name=name: seen.append(name) for name in "abc"}
    bench().alternate("x", ways, nothing)
    assert seen == list("abccbaabc")


def test_a_failing_way_is_told_and_the_others_go_on() -> None:
    def fail(_: None) -> int:
        raise RuntimeError("worker ended with 7:\nnoise\nerror: no device\nfix: buy one")

    def lack(_: None) -> int:
        raise NotRun("no openvino")

    found = bench().alternate("x", {"bad": fail, "good": lambda _: 1, "lacking": lack}, nothing)
    assert found["good"].done == [1, 1, 1]
    assert failures(found) == [
        "bad: failed: worker ended with 7: … error: no device",
        "lacking: not run: no openvino",
    ]


def test_rows_are_chosen_by_a_part_of_their_name() -> None:
    found: dict[str, Runs[int]] = bench(rows=("FP32",)).alternate(
        "x", {"ours fp32": lambda _: 1, "ours int8": lambda _: 2}, nothing
    )
    assert list(found) == ["ours fp32"]


def test_small_events_are_200_bytes_with_unique_texts() -> None:
    values = list(small_events(1_000))
    assert {len(value) for value in values} == {200}
    assert len({orjson.loads(value)["text"] for value in values}) == 1_000
    few = [orjson.loads(value) for value in few_texts(1_000, 10)]
    assert len({event["id"] for event in few}) == 1_000
    assert len({event["text"] for event in few}) == 10


@pytest.mark.parametrize("packed", [False, True])
def test_texts_may_hold_line_breaks_and_be_packed(tmp_path: Path, packed: bool) -> None:
    (tmp_path / "banking77").mkdir()
    content = b'text,category\n"two\nlines, and a comma",a\n ,b\nplain,c\n'
    if packed:
        (tmp_path / "banking77" / "test.csv.gz").write_bytes(gzip.compress(content))
    else:
        (tmp_path / "banking77" / "test.csv").write_bytes(content)
    (texts,) = text_sets(tmp_path).values()
    assert sorted(texts) == ["plain", "two\nlines, and a comma"]
    assert len(set(unique_texts(texts, 7))) == 7


def test_a_folder_without_known_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotRun):
        text_sets(tmp_path)
