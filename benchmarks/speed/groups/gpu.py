"""Encoders of random weights on a GPU: ours with and without Kafka, PyTorch, the arithmetic's bound."""

import math
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.speed.backlog import backlog, work_off
from benchmarks.speed.bundles import Made, bundle_of
from benchmarks.speed.context import Bench, NotRun, Runs, failures, nothing
from benchmarks.speed.events import text_events
from benchmarks.speed.groups.minilm import flop_per_token
from benchmarks.speed.process import ask
from benchmarks.speed.report import Section, Table
from benchmarks.speed.stats import ratios, spread
from benchmarks.speed.texts import random_texts, read_texts, write_texts
from benchmarks.speed.ways import Ours

TITLE = "GPU: BERT-base and MiniLM shapes"
SHAPES = {"cuda": ("bert-base", "minilm-shape"), "cpu": ("toy-shape",)}
PRECISION = {"cuda": "fp16", "cpu": "fp32"}
MEAN_TOKENS = (32, 128)
TOKENS, QUICK_TOKENS = 6_400_000, 64_000
SECONDS, QUICK_SECONDS = 10.0, 2.0
ALONE, TURN, KAFKA = "labelstream, session alone", "labelstream without Kafka", "labelstream through Kafka"
PADDED, SORTED = "PyTorch SDPA, padded, rows of 128", "PyTorch SDPA, sorted by length"
METHOD = (
    "Random weights, random words of one token each, lengths gamma-distributed about the mean. The session"
    " alone has its texts tokenised before and sorted by length; without Kafka tokenising, planning and"
    " inferring follow one another in one process; through Kafka is the worker, measured as the free model"
    " is. PyTorch has its texts tokenised before: padded in arrival order, or sorted and cut into batches by"
    " our planner. The bound is the real tokens' multiplications at the rate of PyTorch's own large matrix"
    " product."
)


@dataclass(frozen=True, slots=True)
class Rated:
    """One run: texts per second, real by padded tokens (NaN if not told), mean tokens a text (0 if not)."""

    rate: float
    fill: float = float("nan")
    tokens: float = 0.0
    in_turn: float = 0.0
    """Texts per second with tokenising."""


def run(bench: Bench) -> Section:
    """Run the group; on the CPU with a toy, to try the program."""
    device = bench.options.device
    done = Section(TITLE, METHOD)
    bench.tell("measuring the matrix rate")
    flops = float(ask("benchmarks.speed.torch_matrix", device)["flops"])
    done.notes.append(f"{_name(device)}, {PRECISION[device]}: matrix rate {flops / 1e12:,.2f} TFLOP/s.")
    for shape in SHAPES[device]:
        made = bundle_of(bench, shape)
        for mean in MEAN_TOKENS:
            count = bench.size(TOKENS, QUICK_TOKENS) // mean
            texts = random_texts(made.bundle.path, count, mean)
            file = write_texts(bench.options.work / f"random-{mean}.jsonl", texts)
            name = f"{shape}, {mean} real tokens"
            add(done, name, made, run_one(bench, name, made, file), flops)
    return done


def run_one(bench: Bench, name: str, made: Made, file: Path) -> dict[str, Runs[Rated]]:
    """All ways with one model and one mean length."""
    device = bench.options.device
    seconds = QUICK_SECONDS if bench.options.quick else SECONDS
    precision = PRECISION[device]

    def session(_: None) -> Rated:
        if precision not in made.bundle.manifest.variants:
            raise NotRun(f"the bundle has no variant {precision}")
        told = ask("benchmarks.speed.offline", made.bundle.path, precision, device, file, seconds)
        texts = told["texts"]
        return Rated(
            texts / told["infer_s"],
            told["fill"],
            told["tokens"] / texts,
            texts / (told["infer_s"] + told["tokenise_s"]),
        )

    def torch(_: None, order: str) -> Rated:
        told = ask("benchmarks.speed.torch_offline", made.model, device, file, seconds, order)
        return Rated(told["texts"] / told["infer_s"], told["fill"])

    def through_kafka(_: None) -> Rated:
        if precision not in made.bundle.manifest.variants:
            raise NotRun(f"the bundle has no variant {precision}")
        texts = read_texts(file)
        ours = Ours(made.bundle.path, settings=(("device", device), ("variant", precision)))
        with backlog(bench, "gpu", text_events(texts), len(texts)) as work:
            return Rated(work_off(bench, ours, work, seconds).steady.rate)

    ways: dict[str, Callable[[None], Rated]] = {
        ALONE: session,
        KAFKA: through_kafka,
        PADDED: partial(torch, order="padded"),
        SORTED: partial(torch, order="sorted"),
    }
    return bench.alternate(f"{TITLE}, {name}", ways, nothing)


def add(done: Section, name: str, made: Made, found: dict[str, Runs[Rated]], flops: float) -> None:
    """The table and the notes of one model and length."""
    rates = {way: runs.figures(lambda r: r.rate) for way, runs in found.items() if runs.done}
    bound = 0.0
    if ALONE in rates:
        rates[TURN] = found[ALONE].figures(lambda r: r.in_turn)
        tokens = found[ALONE].done[0].tokens
        bound = flops / flop_per_token(made.bundle) / tokens
        name = f"{name} ({tokens:.1f} measured)"
    rows = []
    for way in (ALONE, TURN, KAFKA, PADDED, SORTED):
        if values := rates.get(way, []):
            beside = ratios(values, rates.get(PADDED, []))
            fill = found[way].done[0].fill if way in found else float("nan")
            rows.append(
                [
                    way,
                    spread(values).text(),
                    "–" if math.isnan(fill) else f"{fill:.2f}",
                    spread(beside).text(2) if beside else "–",
                    f"{spread(values).median / bound:.0%}" if bound else "–",
                ]
            )
    if bound:
        rows.append(["bound of the arithmetic", f"{bound:,.0f}", "–", "–", "100%"])
    columns = [
        "way",
        "texts/s, median (least – most)",
        "real / padded tokens",
        "× PyTorch padded",
        "of the bound",
    ]
    done.tables.append(Table(name, columns, rows))
    done.notes += [f"{name}, {note}" for note in failures(found)]


def _name(device: str) -> str:
    if device == "cpu":
        return f"CPU {platform.machine()}"
    import torch

    return str(torch.cuda.get_device_name())
