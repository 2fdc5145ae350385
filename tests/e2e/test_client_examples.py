"""The example clients in Python, Node.js and Java, against a worker on Apache Kafka."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stream.bundle import Bundle
from tests.pipeline import StartWorker, make_route, offline_labels, start_worker, tiny_bundle
from tests.real.components import unavailable
from tests.real.kafka import ApacheKafka

__all__ = ["start_worker", "tiny_bundle"]
pytestmark = [pytest.mark.apache, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples" / "clients"
TEXTS = ["My card was charged twice", "The app crashes when I open it"]
DEAD_LETTER = "dead letter: empty: text contains only white space"
BUILD_S, RUN_S = 300, 120


def run(words: list[str], folder: Path, seconds: float = RUN_S) -> str:
    """Run a program to its end, and return its output."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.timeout(600)
def test_the_example_in_node_ends_with_an_error_if_it_cannot_decompress(
    apache_kafka: ApacheKafka, start_worker: StartWorker, tmp_path: Path
) -> None:
    folder = tmp_path / "node"
    shutil.copytree(EXAMPLES / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    program = program_of("node", folder)
    route = make_route(apache_kafka, "example-lz4")
    worker = start_worker(apache_kafka, route, compression="lz4")
    words = [*program, apache_kafka.address, route, worker.labels, worker.dead]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert done.returncode == 1
    assert "error: LZ4 compression not implemented" in done.stderr
    assert worker.stop() == 0


def split(line: str) -> list[str]:
    """Return the label, the score and the text of a line."""
    return line.split(" ", 2)


def program_of(language: str, folder: Path) -> list[str]:
    """Build the example of a language in a folder, and return the words that run it."""
    if language == "python":
        return [sys.executable, "label.py"]
    if language == "node":
        if not shutil.which("npm"):
            unavailable("npm is not on the PATH (apt-get install nodejs npm)")
        run(["npm", "install", "--no-audit", "--no-fund"], folder, BUILD_S)
        return ["node", "label.mjs"]
    if not (shutil.which("mvn") and shutil.which("javac")):
        unavailable("mvn and javac are not on the PATH (apt-get install maven default-jdk-headless)")
    run(["mvn", "-q", "-B", "compile"], folder, BUILD_S)
    return ["mvn", "-q", "-B", "-Dstyle.color=never", "exec:java"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", ["python", "node", "java"])
def test_an_example_gets_the_labels_of_its_texts(
    language: str,
    apache_kafka: ApacheKafka,
    start_worker: StartWorker,
    tiny_bundle: Bundle,
    tmp_path: Path,
) -> None:
    folder = tmp_path / language
    shutil.copytree(EXAMPLES / language, folder, ignore=shutil.ignore_patterns("node_modules", "target"))
    program = program_of(language, folder)
    route = make_route(apache_kafka, f"example-{language}")
    # kafkajs has no codec for the default, lz4.
    worker = start_worker(apache_kafka, route, compression="gzip" if language == "node" else "lz4")
    arguments = [apache_kafka.address, route, worker.labels, worker.dead]
    if language == "java":
        arguments = [f"-Dexec.args={' '.join(arguments)}"]
    # Maven resets the colours of a terminal that is not there.
    printed = [*filter(None, run([*program, *arguments], folder).replace("\x1b[0m", "").splitlines())]
    dead = [line for line in printed if line.startswith("dead letter: ")]
    found = {text: (label, float(score)) for label, score, text in map(split, {*printed} - {*dead})}
    assert dead == [DEAD_LETTER], printed
    for label, text in zip(offline_labels(tiny_bundle, TEXTS), TEXTS, strict=True):
        name, score = found.pop(text)
        assert name == label["label"]
        assert score == pytest.approx(label["score"], abs=1e-3)
    assert not found
    assert worker.stop() == 0
