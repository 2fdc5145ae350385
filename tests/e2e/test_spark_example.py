"""The example for Spark, with a local PySpark and two processes."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stream.bundle import Bundle
from tests.real.components import unavailable
from tests.real.kinds import BY_NAME, TEXTS, make_bundle_of
from tests.unit.predict_command import lines, run

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "spark" / "label.py"
ROWS = 600
JOB_S = 240
CONFIGURATION = (
    "spark.ui.enabled=false",
    "spark.driver.host=127.0.0.1",
    "spark.driver.bindAddress=127.0.0.1",
    # The job reads two partitions, so each core has a process with a classifier.
    "spark.sql.files.maxPartitionBytes=16k",
    "spark.sql.execution.arrow.maxRecordsPerBatch=128",
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle_of(BY_NAME["single"], tmp_path_factory.mktemp("store"))


@pytest.fixture
def submit() -> list[str]:
    """Return the words that submit a job to a local Spark."""
    if importlib.util.find_spec("pyspark") is None:
        unavailable("pyspark is not installed (pip install -e '.[spark]')")
    if shutil.which("java") is None:
        unavailable("java is not on the PATH (apt-get install default-jre-headless)")
    script = Path(sys.executable).with_name("spark-submit")
    options = [word for option in CONFIGURATION for word in ("--conf", option)]
    return [str(script), "--master", "local[2]", *options]


@pytest.mark.checkout
@pytest.mark.timeout(JOB_S + 60)
def test_the_labels_of_spark_are_those_of_predict(submit: list[str], bundle: Bundle, tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    texts = [None if at == 5 else f"{TEXTS[at % len(TEXTS)]} {at % 97}" for at in range(ROWS)]
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for part in range(2):
        table = pyarrow.table({"text": texts[part::2], "id": [*range(part, ROWS, 2)]})
        pyarrow.parquet.write_table(table, source / f"{part}.parquet")
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [*submit, str(EXAMPLE), str(bundle.path), str(source), str(target)]
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=JOB_S, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = {row["id"]: row for row in pyarrow.parquet.read_table(target).to_pylist()}
    assert len(found) == ROWS
    assert len([*target.glob("part-*.parquet")]) == 2
    for path in source.iterdir():
        for row in lines(run(bundle, "--input", path).stdout):
            assert found[row["id"]]["label"] == row.get("label")
            # predict also says which columns a row without a text has.
            assert _reason(found[row["id"]]["error"]) == _reason(row.get("error"))
            assert found[row["id"]]["score"] == pytest.approx(row.get("score"), abs=2e-6)


def _reason(error: str | None) -> str | None:
    return error and error.partition(":")[0]
