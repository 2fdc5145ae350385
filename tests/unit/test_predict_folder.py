"""`labelstream predict` for a folder: an output for each file, and finished files are skipped."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream.bundle import Bundle
from stream.errors import UsageError
from stream.predict import folder as prediction_folder
from stream.predict.run_record import RECORD_NAME, RunRecord
from tests.real.kinds import BY_NAME, make_bundle_of
from tests.unit.predict_command import run


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle_of(BY_NAME["single"], tmp_path_factory.mktemp("store"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "deep" / ".hidden").mkdir(parents=True)
    (folder / "a.csv").write_text("text\nmy card\nrefund\n")
    (folder / "b.jsonl").write_text('{"text": "my card", "stars": 5}\n')
    pq.write_table(pa.table({"text": ["refund", None]}), folder / "deep" / "c.parquet")
    (folder / "deep" / "empty.jsonl").touch()
    for name in ("_SUCCESS", ".a.csv.crc", "deep/.hidden/d.csv"):
        (folder / name).write_text("not data")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "jsonl.gz"])
def test_each_file_has_the_output_of_its_own_run(
    bundle: Bundle, source: Path, out: Path, tmp_path: Path, form: str
) -> None:
    result = run(bundle, "--input", source, "--output", out, "--output-format", form)
    names = [f"{name}.{form}" for name in ("a", "b", "deep/c", "deep/empty")]
    assert files(out) == sorted([RECORD_NAME, *names])
    for name, given in (("a", "a.csv"), ("b", "b.jsonl"), ("deep/c", "deep/c.parquet")):
        one = tmp_path / f"one.{form}"
        run(bundle, "--input", source / given, "--output", one)
        assert (out / f"{name}.{form}").read_bytes() == one.read_bytes()
    assert "4 rows predicted, 1 failed: schema 1" in result.stderr
    assert "deep/empty.jsonl" in result.stderr


def test_finished_files_are_skipped(
    bundle: Bundle, source: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(bundle, "--input", source, "--output", out)
    before = {name: (out / name).stat().st_mtime_ns for name in files(out)}
    (out / "b.jsonl").unlink()
    (source / "new.csv").write_text("text\nmy card\n")
    result = run(bundle, "--input", source, "--output", out)
    assert "finished before: 3 of 5 files" in result.stderr
    assert "2 rows predicted" in result.stderr
    after = {name: (out / name).stat().st_mtime_ns for name in files(out)}
    assert {name for name in before if before[name] != after[name]} == {"b.jsonl", RECORD_NAME}
    monkeypatch.setattr(prediction_folder, "RowPredictor", None)
    assert "finished before: 5 of 5 files" in run(bundle, "--input", source, "--output", out).stderr


def test_an_error_keeps_the_finished_files(bundle: Bundle, source: Path, out: Path) -> None:
    (source / "bad.csv").write_text("message\nmy card\n")
    with pytest.raises(UsageError, match="no column 'text'"):
        run(bundle, "--input", source, "--output", out)
    assert files(out) == [RECORD_NAME, "a.jsonl", "b.jsonl"]
    (source / "bad.csv").write_text("text\nmy card\n")
    assert "finished before: 2 of 5" in run(bundle, "--input", source, "--output", out).stderr


def test_a_run_with_other_options_or_inputs_is_refused(
    bundle: Bundle, source: Path, out: Path, tmp_path: Path
) -> None:
    run(bundle, "--input", source, "--output", out)
    with pytest.raises(UsageError, match="cannot continue") as raised:
        run(bundle, "--input", source, "--output", out, "--top-k", "2")
    assert (raised.value.exit_code, raised.value.cause) == (2, "--top-k was None, and is 2")
    assert "--overwrite" in raised.value.fix
    other = make_bundle_of(BY_NAME["many"], tmp_path / "store")
    with pytest.raises(UsageError) as raised:
        run(other, "--input", source, "--output", out)
    assert "the bundle was single@1" in raised.value.cause
    (source / "a.csv").write_text("text\nanother text\n")
    with pytest.raises(UsageError) as raised:
        run(bundle, "--input", source, "--output", out)
    assert "a.csv has changed" in raised.value.cause
    result = run(bundle, "--input", source, "--output", out, "--top-k", "2", "--overwrite")
    assert "3 rows predicted" in result.stderr
    assert "another text" in (out / "a.jsonl").read_text()


def test_a_record_with_a_cut_line_forgets_only_its_file(bundle: Bundle, source: Path, out: Path) -> None:
    run(bundle, "--input", source, "--output", out)
    record = out / RECORD_NAME
    record.write_bytes(record.read_bytes()[:-5])
    assert "finished before: 3 of 4" in run(bundle, "--input", source, "--output", out).stderr
    assert "finished before: 4 of 4" in run(bundle, "--input", source, "--output", out).stderr


def test_files_of_another_command_are_not_replaced(bundle: Bundle, source: Path, out: Path) -> None:
    out.mkdir()
    (out / "a.jsonl").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        run(bundle, "--input", source, "--output", out)
    assert files(out) == ["a.jsonl"]
    run(bundle, "--input", source, "--output", out, "--overwrite")
    assert "my card" in (out / "a.jsonl").read_text()


def test_a_second_run_at_the_same_time_is_refused(bundle: Bundle, source: Path, out: Path) -> None:
    run(bundle, "--input", source, "--output", out)
    facts = json.loads((out / RECORD_NAME).read_text().split("\n")[1])
    with RunRecord(out, facts), pytest.raises(UsageError, match="cannot write") as raised:
        run(bundle, "--input", source, "--output", out)
    assert "another `labelstream predict`" in raised.value.cause


def test_unknown_files_are_named_and_a_pattern_leaves_them_out(
    bundle: Bundle, source: Path, out: Path
) -> None:
    (source / "README.md").write_text("about")
    with pytest.raises(UsageError, match=r"unknown formats: README\.md") as raised:
        run(bundle, "--input", source, "--output", out)
    assert "--glob" in raised.value.fix
    assert not out.exists()
    run(bundle, "--input", source, "--output", out, "--glob", "*.csv")
    assert files(out) == [RECORD_NAME, "a.jsonl"]


def test_two_files_with_one_output_are_refused(bundle: Bundle, source: Path, out: Path) -> None:
    (source / "a.tsv").write_text("text\nmy card\n")
    with pytest.raises(UsageError, match=r"would both be written to a\.jsonl"):
        run(bundle, "--input", source, "--output", out)


@pytest.mark.parametrize("place", [".", "out", ".."])
def test_folders_inside_each_other_are_refused(bundle: Bundle, source: Path, place: str) -> None:
    with pytest.raises(UsageError, match="cannot write to"):
        run(bundle, "--input", source, "--output", source / place)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "needs an output folder"),
        (("--output", "-"), "needs an output folder"),
        (("--evaluate-with", "stars", "--output", "out"), "--evaluate-with cannot be used"),
        (("--output", "out", "--output-format", "xlsx"), "is not valid"),
        (("--output", "out", "--actors", "2"), "only with --engine ray"),
        (("--output", "out", "--glob", "*.none"), "holds no data files"),
    ],
)
def test_arguments_that_do_not_fit_a_folder_are_refused(
    bundle: Bundle, source: Path, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    with pytest.raises(UsageError, match=message):
        run(bundle, "--input", source, *arguments)
    assert not (source.parent / "out").exists()
