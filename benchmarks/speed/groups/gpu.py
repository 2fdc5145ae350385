"""Encoders with random weights on a GPU: labelstream with and without Kafka, and PyTorch."""

import math
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.speed.backlog import backlog, drain
from benchmarks.speed.bundles import BenchBundle, bench_bundle
from benchmarks.speed.context import Bench, NotRun, Runs, failure_notes, no_resources
from benchmarks.speed.events import text_events
from benchmarks.speed.groups.minilm import flop_per_token
from benchmarks.speed.process import run_module
from benchmarks.speed.report import Section, Table
from benchmarks.speed.stats import ratios, spread
from benchmarks.speed.systems import LabelstreamWorker
from benchmarks.speed.texts import random_texts, read_texts, write_texts

TITLE = "GPU: BERT-base and MiniLM shapes"
SHAPES = {"cuda": ("bert-base", "minilm-shape"), "cpu": ("toy-shape",)}
PRECISION = {"cuda": "fp16", "cpu": "fp32"}
MEAN_TOKENS = (32, 128)
TOKENS, QUICK_TOKENS = 6_400_000, 64_000
SECONDS, QUICK_SECONDS = 10.0, 2.0
SESSION, WITHOUT_KAFKA, THROUGH_KAFKA = (
    "labelstream, session alone",
    "labelstream without Kafka",
    "labelstream through Kafka",
)
PADDED, SORTED = "PyTorch SDPA, padded, rows of 128", "PyTorch SDPA, sorted by length"
METHOD = (
    "Random weights and random words of one token each, with gamma-distributed lengths. The session alone"
    " runs on texts that are tokenised in advance and sorted by length. Without Kafka, one process"
    " tokenises, plans batches and infers, one after the other. Through Kafka is the worker, measured like"
    " the free model. PyTorch runs on texts that are tokenised in advance, padded in arrival order, or"
    " sorted by length and batched by our planner. The matrix bound is the time of the matrix products of"
    " all real tokens, at the rate of PyTorch's own large matrix product."
)


@dataclass(frozen=True, slots=True)
class Throughput:
    """The throughput of one run.

    Attributes:
        rate: the texts per second.
        fill: the real per padded tokens, NaN if unknown.
        tokens: the mean tokens per text, 0 if unknown.
        rate_with_tokeniser: the texts per second including tokenisation, 0 if unknown.
    """

    rate: float
    fill: float = float("nan")
    tokens: float = 0.0
    rate_with_tokeniser: float = 0.0


def run(bench: Bench) -> Section:
    """Run the group; on the CPU with a toy model, to try the program."""
    device = bench.options.device
    section = Section(TITLE, METHOD)
    bench.show_step("measuring the matrix rate")
    flops = float(run_module("benchmarks.speed.torch_matrix", device)["flops"])
    section.notes.append(
        f"{_device_name(device)}, {PRECISION[device]}: matrix rate {flops / 1e12:,.2f} TFLOP/s."
    )
    for shape in SHAPES[device]:
        bench_model = bench_bundle(bench, shape)
        for mean in MEAN_TOKENS:
            count = bench.size(TOKENS, QUICK_TOKENS) // mean
            texts = random_texts(bench_model.bundle.path, count, mean)
            texts_file = write_texts(bench.options.work / f"random-{mean}.jsonl", texts)
            name = f"{shape}, {mean} real tokens"
            add(section, name, bench_model, run_one(bench, name, bench_model, texts_file), flops)
    return section


def run_one(
    bench: Bench, name: str, bench_model: BenchBundle, texts_file: Path
) -> dict[str, Runs[Throughput]]:
    """Run all systems with one model and one mean length."""
    device = bench.options.device
    seconds = QUICK_SECONDS if bench.options.quick else SECONDS
    precision = PRECISION[device]

    def session(_: None) -> Throughput:
        if precision not in bench_model.bundle.manifest.variants:
            raise NotRun(f"the bundle has no variant {precision}")
        report = run_module(
            "benchmarks.speed.offline", bench_model.bundle.path, precision, device, texts_file, seconds
        )
        texts = report["texts"]
        return Throughput(
            texts / report["infer_s"],
            report["fill"],
            report["tokens"] / texts,
            texts / (report["infer_s"] + report["tokenise_s"]),
        )

    def torch(_: None, order: str) -> Throughput:
        report = run_module(
            "benchmarks.speed.torch_offline", bench_model.model, device, texts_file, seconds, order
        )
        return Throughput(report["texts"] / report["infer_s"], report["fill"])

    def through_kafka(_: None) -> Throughput:
        if precision not in bench_model.bundle.manifest.variants:
            raise NotRun(f"the bundle has no variant {precision}")
        texts = read_texts(texts_file)
        ours = LabelstreamWorker(
            bench_model.bundle.path, settings=(("device", device), ("variant", precision))
        )
        with backlog(bench, "gpu", text_events(texts), len(texts)) as work:
            return Throughput(drain(bench, ours, work, seconds).steady_state.rate)

    systems: dict[str, Callable[[None], Throughput]] = {
        SESSION: session,
        THROUGH_KAFKA: through_kafka,
        PADDED: partial(torch, order="padded"),
        SORTED: partial(torch, order="sorted"),
    }
    return bench.alternate(f"{TITLE}, {name}", systems, no_resources)


def add(
    section: Section, name: str, bench_model: BenchBundle, results: dict[str, Runs[Throughput]], flops: float
) -> None:
    """Add the table and the notes of one model and length."""
    rates = {system: runs.figures(lambda r: r.rate) for system, runs in results.items() if runs.done}
    bound = 0.0
    if SESSION in rates:
        rates[WITHOUT_KAFKA] = results[SESSION].figures(lambda r: r.rate_with_tokeniser)
        tokens = results[SESSION].done[0].tokens
        bound = flops / flop_per_token(bench_model.bundle) / tokens
        name = f"{name} ({tokens:.1f} measured)"
    rows = []
    for system in (SESSION, WITHOUT_KAFKA, THROUGH_KAFKA, PADDED, SORTED):
        if values := rates.get(system, []):
            paired_ratios = ratios(values, rates.get(PADDED, []))
            fill = results[system].done[0].fill if system in results else float("nan")
            rows.append(
                [
                    system,
                    spread(values).text(),
                    "–" if math.isnan(fill) else f"{fill:.2f}",
                    spread(paired_ratios).text(2) if paired_ratios else "–",
                    f"{spread(values).median / bound:.0%}" if bound else "–",
                ]
            )
    if bound:
        rows.append(["matrix bound", f"{bound:,.0f}", "–", "–", "100%"])
    columns = [
        "system",
        "texts/s, median (min – max)",
        "real / padded tokens",
        "× PyTorch padded",
        "share of the bound",
    ]
    section.tables.append(Table(name, columns, rows))
    section.notes += [f"{name}, {note}" for note in failure_notes(results)]


def _device_name(device: str) -> str:
    if device == "cpu":
        return f"CPU {platform.machine()}"
    import torch

    return str(torch.cuda.get_device_name())
