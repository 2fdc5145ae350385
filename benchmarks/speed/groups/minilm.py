"""MiniLM on the CPU through Kafka: labelstream, the naive solution, and the offline bound."""

import importlib.util
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.speed.backlog import Backlog, backlog, drain
from benchmarks.speed.bundles import BenchBundle, bench_bundle
from benchmarks.speed.context import Bench, NotRun, Runs, failure_notes
from benchmarks.speed.events import text_events
from benchmarks.speed.open_loop import BROKER_WARM_UP_RATE, BROKER_WARM_UP_S, warm_broker
from benchmarks.speed.process import run_module
from benchmarks.speed.report import Section, Table, at_least
from benchmarks.speed.scrape import Scrape
from benchmarks.speed.stats import ratios, spread
from benchmarks.speed.systems import Baseline, LabelstreamWorker, RunningSystem, System
from benchmarks.speed.texts import text_sets, unique_texts, write_texts
from stream.bundle import Bundle
from stream.classify.throughput import MAX_WINDOW_ROWS
from stream.worker.route_model import BATCH_ROWS, BATCH_TOKENS
from tests.real.worker import WorkerProcess

TITLE = "MiniLM on the CPU"
TEXTS = 60_000
QUICK = 6_000
LIMIT_S = 18.0
OFFLINE_S = 10.0
QUICK_LIMIT_S = 10.0
POLL_S = 0.5
OURS, BOUND = "labelstream", "offline bound"
NAIVE = "Faust + transformers.pipeline, batches of 32"
TARGETS = {
    "fp32": (NAIVE, 3.2),
    "int8": (NAIVE, 6.0),
    "OpenVINO bf16": (f"{OURS} fp32", 1.4),
    "OpenVINO int8": (f"{OURS} fp32", 2.2),
}
"""The row that each of our variants is compared with, and the required speed-up."""
METHOD = (
    "all-MiniLM-L6-v2 with an untrained head of 77 labels and at most 256 tokens. All texts are unique"
    " (the data set is repeated, with a number at the end of each text), and caches are off. The"
    f" measurement is that of the free model with {LIMIT_S:g} s per run, but the output is sampled only"
    f" every {POLL_S:g} s, because each sample costs the broker and the benchmark a millisecond. Before all"
    f" rows the broker serves {BROKER_WARM_UP_RATE} events/s for {BROKER_WARM_UP_S:g} s, because a cold JVM"
    " would compile on cores that the offline bound has to itself. The offline bound is the session of the"
    " worker, run without Kafka for 10 s on texts that are tokenised in advance and sorted by length, with"
    " the worker's batch limits and nothing else running. The worker's queue chooses batches from at most"
    f" {MAX_WINDOW_ROWS:,} texts, or 4 s of work. The matrix bound is the time of the matrix products of all"
    " real tokens, at the rate of ONNX Runtime for float32 matrices of 2048 x 2048 on this"
    " machine."
)


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant and a device on which the worker runs the model."""

    name: str
    variant: str
    device: str = "cpu"


VARIANTS = (
    Variant("fp32", "fp32"),
    Variant("int8", "int8"),
    Variant("OpenVINO bf16", "bf16", "openvino"),
    Variant("OpenVINO int8", "int8-static", "openvino"),
)


@dataclass(frozen=True, slots=True)
class Throughput:
    """The throughput of one run of a row.

    Attributes:
        rate: the texts per second.
        cpu_ms: the CPU milliseconds per text.
        fill: the median of real per padded tokens of an inference, NaN if unknown.
        notes: further figures by name.
    """

    rate: float
    cpu_ms: float
    fill: float = float("nan")
    notes: dict[str, float] = field(default_factory=dict)


def run(bench: Bench) -> Section:
    """Run the group on every set of texts."""
    bench_model = bench_bundle(bench, "minilm")
    warm_broker(bench)
    section = Section(TITLE, METHOD)
    bench.show_step("measuring the matrix rate")
    flops = float(run_module("benchmarks.speed.matrix")["flops"])
    section.notes.append(
        f"Matrix rate, float32: {flops / 1e9:,.0f} GFLOP/s. Batches of at most {BATCH_ROWS['cpu']} rows or"
        f" {BATCH_TOKENS['cpu']} padded tokens."
    )
    for name, results in text_sets(bench.options.data).items():
        texts = unique_texts(results, bench.size(TEXTS, QUICK))
        texts_file = write_texts(bench.options.work / f"{name}.jsonl", texts)
        add(section, name, run_set(bench, bench_model, name, texts, texts_file), flops, bench_model.bundle)
    return section


def run_set(
    bench: Bench, bench_model: BenchBundle, name: str, texts: list[str], texts_file: Path
) -> dict[str, Runs[Throughput]]:
    """Run all systems on one set of texts."""
    limit_s = QUICK_LIMIT_S if bench.options.quick else LIMIT_S
    systems: dict[str, Callable[[Backlog], Throughput]] = {}
    for variant in VARIANTS:
        systems[f"{OURS} {variant.name}"] = partial(run_worker, bench, bench_model.bundle, variant, limit_s)
        systems[f"{BOUND} {variant.name}"] = partial(
            offline, bench_model.bundle, variant, texts_file, min(OFFLINE_S, limit_s)
        )
    systems[NAIVE] = partial(
        through_kafka, bench, Baseline("naive_pipeline", (str(bench_model.model),)), limit_s
    )
    return bench.alternate(
        f"{TITLE}, {name}", systems, lambda _: backlog(bench, name, text_events(texts), len(texts))
    )


def check(bundle: Bundle, variant: Variant) -> None:
    """Check that a variant can run on this machine.

    Raises:
        NotRun: the variant or its library is missing.
    """
    if variant.device == "openvino" and importlib.util.find_spec("openvino") is None:
        raise NotRun("openvino is not installed")
    if variant.variant != "bf16" and variant.variant not in bundle.manifest.variants:
        raise NotRun(f"the bundle has no variant {variant.variant}")


def run_worker(bench: Bench, bundle: Bundle, variant: Variant, limit_s: float, work: Backlog) -> Throughput:
    """Run the worker on a backlog."""
    check(bundle, variant)
    settings = (("device", variant.device), ("variant", variant.variant))
    return through_kafka(bench, LabelstreamWorker(bundle.path, settings=settings), limit_s, work)


def through_kafka(bench: Bench, system: System, limit_s: float, work: Backlog) -> Throughput:
    """Run any system on a backlog."""
    measurement = drain(bench, system, work, limit_s, inference_medians, POLL_S)
    return Throughput(
        measurement.steady_state.rate,
        measurement.steady_state.cpu_us / 1e3,
        measurement.notes.get("fill", math.nan),
        measurement.notes,
    )


def inference_medians(running: RunningSystem) -> dict[str, float]:
    """Return medians of a worker's inferences; empty for a baseline."""
    if not isinstance(running, WorkerProcess):
        return {}
    scrape = Scrape.read(running.exposition())
    return {
        "fill": scrape.median("labelstream_batch_fill_ratio"),
        "rows": scrape.median("labelstream_batch_rows"),
        "tokens": scrape.median("labelstream_batch_tokens"),
        "infer_ms": scrape.median("labelstream_stage_duration_seconds", stage="infer") * 1e3,
    }


def offline(bundle: Bundle, variant: Variant, texts_file: Path, seconds: float, _work: Backlog) -> Throughput:
    """Measure the offline bound."""
    check(bundle, variant)
    report = run_module(
        "benchmarks.speed.offline", bundle.path, variant.variant, variant.device, texts_file, seconds
    )
    texts = report["texts"]
    return Throughput(
        texts / report["infer_s"],
        report["cpu_s"] / texts * 1e3,
        report["fill"],
        {"tokens_per_text": report["tokens"] / texts},
    )


def flop_per_token(bundle: Bundle) -> float:
    """Count the operations of the layers' matrices per token, without attention.

    A layer has four matrices of hidden x hidden and two of hidden x intermediate.
    """
    config = json.loads((bundle.path / "config.json").read_text())
    hidden, intermediate = config["hidden_size"], config["intermediate_size"]
    return float(config["num_hidden_layers"] * 2 * (4 * hidden**2 + 2 * hidden * intermediate))


def add(
    section: Section, name: str, results: dict[str, Runs[Throughput]], flops: float, bundle: Bundle
) -> None:
    """Add the table, checks and notes of one set of texts."""
    rates = {row: runs.figures(lambda r: r.rate) for row, runs in results.items() if runs.done}
    naive = rates.get(NAIVE, [])
    lengths = [
        r.notes["tokens_per_text"] for row in results if row.startswith(BOUND) for r in results[row].done
    ]
    rows = []
    for row, values in rates.items():
        runs = results[row].done
        bound = rates.get(row.replace(OURS, BOUND), []) if row.startswith(OURS) else []
        rows.append(
            [
                row,
                spread(values).text(),
                spread([r.cpu_ms for r in runs]).text(2),
                _share(spread([r.fill for r in runs]).median),
                _ratio(ratios(values, naive)),
                _ratio(ratios(values, bound)),
            ]
        )
    if lengths:
        limit = flops / flop_per_token(bundle) / spread(lengths).median
        rows.append([f"matrix bound fp32, {spread(lengths).median:.1f} tokens per text", f"{limit:,.0f}"])
        rows[-1] += ["–"] * 4
    columns = [
        "system",
        "texts/s, median (min – max)",
        "CPU ms/text",
        "real / padded tokens",
        "× naive",
        "share of the offline bound",
    ]
    section.tables.append(Table(f"{name}", columns, rows))
    section.notes += [f"{name}, {note}" for note in failure_notes(results)]
    for variant in VARIANTS:
        own = rates.get(f"{OURS} {variant.name}", [])
        if paired_ratios := ratios(own, rates.get(f"{BOUND} {variant.name}", [])):
            section.checks.append(
                at_least(
                    f"{name}, {variant.name} relative to offline bound", spread(paired_ratios).median, 0.9
                )
            )
        other, factor = TARGETS[variant.name]
        if paired_ratios := ratios(own, rates.get(other, [])):
            section.checks.append(
                at_least(f"{name}, {variant.name} relative to {other}", spread(paired_ratios).median, factor)
            )
        notes = [r.notes for r in results[f"{OURS} {variant.name}"].done] if own else []
        if notes:
            medians = {key: spread([n[key] for n in notes]).median for key in notes[0]}
            section.notes.append(
                f"{name}, {OURS} {variant.name}: median inference of {medians['rows']:.0f} rows and"
                f" {medians['tokens']:.0f} padded tokens in {medians['infer_ms']:.1f} ms."
            )


def _ratio(values: list[float]) -> str:
    return spread(values).text(2) if values else "–"


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"
