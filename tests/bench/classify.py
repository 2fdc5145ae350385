"""Texts per second of one ONNX Runtime session: planned batches against arrival order, in one run.

    python -m tests.bench.classify [FILE.csv] [--bundle NAME] [--bundle-store DIR] [--repeats 3]

The file needs a column `text`; without one the sample is used. The baseline is batches of 32 in arrival
order, each padded to its longest row. Machines are noisy: read the ratios, not the rates.
"""

import csv
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from stream.bundle import open_bundle
from stream.classify.inputs import TextInput
from stream.classify.planner import plan
from stream.classify.tokenise import Tokeniser
from stream.runtime import OnnxRuntime
from stream.sample import sample_path

Plan = Callable[[Sequence[int]], list[list[int]]]


def arrival(rows: int) -> Plan:
    """Batches in arrival order."""
    return lambda lengths: [
        list(range(at, min(at + rows, len(lengths)))) for at in range(0, len(lengths), rows)
    ]


def planned(rows: int, tokens: int) -> Plan:
    """The worker's planner over all texts at once."""
    return lambda lengths: plan(lengths, max_rows=rows, max_tokens=tokens)


PLANS: dict[str, Plan] = {
    "arrival order, rows of 32": arrival(32),
    "one text at a time": arrival(1),
    "planned, 64 rows, 512 tokens": planned(64, 512),
    "planned, 64 rows, 1,024 tokens": planned(64, 1_024),
    "planned, 64 rows, 4,096 tokens": planned(64, 4_096),
}


def main(
    file: Annotated[Path | None, typer.Argument(help="CSV with a column text.")] = None,
    bundle: Annotated[str, typer.Option(help="The bundle to run.")] = "support",
    bundle_store: Annotated[Path, typer.Option(help="Its store.")] = Path(".demo/bundles"),
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each; the median counts.")] = 3,
) -> None:
    """Compare ways to batch the same texts."""
    console = Console()
    opened = open_bundle(bundle, bundle_store)
    with (file or sample_path()).open(encoding="utf-8", newline="") as lines:
        texts = [row["text"] for row in csv.DictReader(lines)]
    tokeniser, runtime = Tokeniser(opened), OnnxRuntime(opened, "fp32")
    tokens = tokeniser.encode([TextInput(text) for text in texts])
    lengths = [len(t) for t in tokens]
    seconds: dict[str, list[float]] = {name: [] for name in PLANS}
    fill: dict[str, float] = {}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("bench", total=repeats * len(PLANS))
        for _ in range(repeats):
            for name, make in PLANS.items():
                batches = make(lengths)
                began = time.perf_counter()
                for batch in batches:
                    runtime.infer(tokeniser.pad([tokens[at] for at in batch]))
                seconds[name].append(time.perf_counter() - began)
                padded = sum(len(batch) * max(lengths[at] for at in batch) for batch in batches)
                fill[name] = sum(lengths) / padded
                progress.advance(task)
    baseline = statistics.median(seconds["arrival order, rows of 32"])
    table = Table("way", "texts/s, median", "min - max", "ratio", "real / padded tokens")
    for name, runs in seconds.items():
        table.add_row(
            name,
            f"{len(texts) / statistics.median(runs):.0f}",
            f"{len(texts) / max(runs):.0f} - {len(texts) / min(runs):.0f}",
            f"{baseline / statistics.median(runs):.2f}",
            f"{fill[name]:.2f}",
        )
    console.print(f"{opened.reference}, {len(texts)} texts, {runtime.provider}, {repeats} repeats")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
