"""`labelstream demo` with an existing bundle, to its end and interrupted."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stream.sample import sample_path
from tests.real.process import pid_alive
from tests.real.tiny_bundle import LABELS, TEXTS, save_tiny_base
from tests.real.wait import until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo folder whose bundle says that it was made from the sample; its weights are random."""
    from stream.bundle import file_digest
    from stream.classify import TextInput
    from trainer.export.bundle_source import BundleInfo, BundleSource, InferenceConfig
    from trainer.export.package import build_bundle, staging_folder, write_splits
    from trainer.progress import silence_libraries

    silence_libraries()
    folder = tmp_path_factory.mktemp("demo")
    model, tokenizer = save_tiny_base(folder / "base")
    with staging_folder(folder / "bundles", "support") as staging:
        assignments = [(n, f"t-{n:04}", "test" if n % 10 == 0 else "train") for n in range(1, 961)]
        write_splits(staging / "splits.csv", assignments)
        info = BundleInfo("support", data={"sha256": file_digest(sample_path())})
        inference = InferenceConfig("single-label", LABELS, 64)
        rows = [TextInput(text) for text in TEXTS]
        build_bundle(BundleSource(model, tokenizer, inference, info, rows), staging, folder / "bundles")
    return folder


def demo(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "stream", "demo", "--folder", str(folder), "--rate", "400"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def descendants(pid: int) -> set[int]:
    """Return the ids of all descendants of a process, from /proc."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found: set[int] = set()
    while True:
        more = {child for child, parent in parents.items() if parent in found | {pid}} - found
        if not more:
            return found
        found |= more


@pytest.mark.slow
def test_the_demo_shows_all_figures_and_leaves_no_process(folder: Path) -> None:
    process = demo(folder)
    children = until(lambda: descendants(process.pid), 30, "the demo's processes")
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    assert re.search(r"events in +1086", output)
    assert re.search(r"labelled +1080 ", output)
    assert re.search(r"dead letters +6 +\(2 decode, 1 empty, 3 schema\)", output)
    assert re.search(r"cache hits +local: [1-9]", output)
    assert re.search(r"latency +p50 \d+ ms, p99 \d+ ms", output)
    assert re.search(r"accuracy +[\d.]+% on \d+ events held out from training", output)
    assert not [pid for pid in children if pid_alive(pid)]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["broker:", "worker:", "events:"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_demo_leaves_no_process(folder: Path, moment: str, number: signal.Signals) -> None:
    process = demo(folder)
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), True)
    seen = ""
    for line in process.stdout:
        seen += line
        if moment in line:
            break
    children = descendants(process.pid)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL), seen
    until(lambda: not [pid for pid in children if pid_alive(pid)], 10, "the end of all demo processes")
