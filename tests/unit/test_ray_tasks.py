"""The tasks and actors of `predict --engine ray`, without Ray."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from stream.bundle import Bundle, read_bundle
from stream.errors import BundleError, UsageError
from stream.predict.job import PredictionJob
from stream.predict.ray_tasks import (
    END,
    OutputFolder,
    SegmentLabeller,
    SegmentReader,
    SentJob,
    from_text,
)
from stream.predict.row_reader import Columns
from stream.settings import load_settings
from stream.tables import TableOptions
from tests.real.kinds import BY_NAME, make_bundle_of
from tests.unit.predict_command import lines, run

ROWS = 1_200


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle_of(BY_NAME["single"], tmp_path_factory.mktemp("store"))


def sent_job(bundle: Bundle) -> SentJob:
    """Return a job as another process receives it."""
    settings = load_settings({"device": "cpu"})
    found = read_bundle(str(bundle.path), settings.bundle_store)
    job = PredictionJob(found, settings, Columns(), TableOptions(), None, None)
    sent: SentJob = pickle.loads(pickle.dumps(SentJob.of(job)))
    return sent


def label(bundle: Bundle, source: Path, out: Path) -> list[dict[str, Any]]:
    """Label a file as the cluster would, and return the reports."""
    job, outputs = sent_job(bundle), OutputFolder(out, "jsonl")
    reader = pickle.loads(pickle.dumps(SegmentReader(job, source.parent, outputs, 512)))
    labeller = pickle.loads(pickle.dumps(SegmentLabeller(job, outputs, 1)))
    labeller.open()
    return [labeller.label(item) for item in reader({"file": source.name, "name": "."})]


def test_the_parts_are_the_lines_of_one_machine(bundle: Bundle, tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out"
    source.write_text("text,label\n" + "".join(f"refund {at},{at}\n" for at in range(ROWS)) + " ,x\n")
    expected = run(bundle, "--input", source).stdout
    reports = label(bundle, source, out)
    assert [report["number"] for report in reports] == [0, 1, 2, END]
    parts = sorted(out.iterdir())
    assert "".join(part.read_text() for part in parts) == expected
    assert lines(expected)[-1]["error"].startswith("empty")
    assert '"empty": 1' in reports[2]["counts"]
    parts[1].unlink()
    reports = label(bundle, source, out)
    assert [(report["number"], report["skipped"]) for report in reports] == [(1, 0), (END, 2)]
    assert "".join(part.read_text() for part in parts) == expected


def test_an_error_keeps_its_class_cause_and_fix(bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("message\nmy card\n")
    (report,) = label(bundle, source, tmp_path / "out")
    error = from_text(report["error"])
    assert isinstance(error, UsageError)
    assert "no column 'text'" in error.message
    assert "message" in error.cause
    assert error.fix


def test_another_bundle_on_a_node_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    job = sent_job(bundle)
    other = make_bundle_of(BY_NAME["many"], tmp_path)
    moved = SentJob(other.path, job.digest, job.settings, job.columns, job.table, None, None)
    with pytest.raises(BundleError, match="another one on this node"):
        moved.restore()
