"""MiniLM on the CPU through Kafka: ours, the naive way, and the bound of the same session offline."""

import importlib.util
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.speed.backlog import Backlog, backlog, work_off
from benchmarks.speed.bundles import Made, bundle_of
from benchmarks.speed.context import Bench, NotRun, Runs, failures
from benchmarks.speed.events import text_events
from benchmarks.speed.open_loop import BROKER_WARM_UP_RATE, BROKER_WARM_UP_S, warm_broker
from benchmarks.speed.process import ask
from benchmarks.speed.report import Section, Table, at_least
from benchmarks.speed.scrape import Scrape
from benchmarks.speed.stats import ratios, spread
from benchmarks.speed.texts import text_sets, unique_texts, write_texts
from benchmarks.speed.ways import Ours, Rival, Running, Way
from stream.bundle import Bundle
from stream.classify.pace import ENOUGH_ROWS
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
"""What a variant of ours is to be faster than, and by how much."""
METHOD = (
    "all-MiniLM-L6-v2 with an untrained head of 77 labels, at most 256 tokens. Every text is unique (the set"
    " is repeated, with a number at the end of each text) and caches are off. Measured as the free model is,"
    f" {LIMIT_S:g} s each, but the output is looked at every {POLL_S:g} s: each look takes the broker and the"
    f" watcher a millisecond. Before all rows the broker serves {BROKER_WARM_UP_S:g} s of"
    f" {BROKER_WARM_UP_RATE} events/s: a cold JVM compiles on cores that the bound has for itself."
    " The bound is the very session of the worker, driven offline for 10 s over texts that were"
    " tokenised before and sorted by length, with the worker's batch budget and nothing else at work."
    f" The worker's planner has at most {ENOUGH_ROWS:,} texts, or 4 s of work, to choose from."
    " The arithmetic's bound is the real tokens' multiplications at the rate that ONNX Runtime multiplies"
    " float32 matrices of 2048 x 2048 here."
)


@dataclass(frozen=True, slots=True)
class Variant:
    """A way of ours to run the model."""

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
class Rated:
    """One run of a row.

    Attributes:
        rate: texts per second.
        cpu_ms: CPU milliseconds per text.
        fill: median real by padded tokens of its inferences, NaN where it is not told.
        notes: further figures.
    """

    rate: float
    cpu_ms: float
    fill: float = float("nan")
    notes: dict[str, float] = field(default_factory=dict)


def run(bench: Bench) -> Section:
    """Run the group over every set of texts."""
    made = bundle_of(bench, "minilm")
    warm_broker(bench)
    done = Section(TITLE, METHOD)
    bench.tell("measuring the matrix rate")
    flops = float(ask("benchmarks.speed.matrix")["flops"])
    done.notes.append(
        f"Matrix rate, float32: {flops / 1e9:,.0f} GFLOP/s. Batches of at most {BATCH_ROWS['cpu']} rows or"
        f" {BATCH_TOKENS['cpu']} padded tokens."
    )
    for name, found in text_sets(bench.options.data).items():
        texts = unique_texts(found, bench.size(TEXTS, QUICK))
        file = write_texts(bench.options.work / f"{name}.jsonl", texts)
        add(done, name, run_set(bench, made, name, texts, file), flops, made.bundle)
    return done


def run_set(bench: Bench, made: Made, name: str, texts: list[str], file: Path) -> dict[str, Runs[Rated]]:
    """All ways over one set of texts."""
    limit_s = QUICK_LIMIT_S if bench.options.quick else LIMIT_S
    steps: dict[str, Callable[[Backlog], Rated]] = {}
    for variant in VARIANTS:
        steps[f"{OURS} {variant.name}"] = partial(ours, bench, made.bundle, variant, limit_s)
        steps[f"{BOUND} {variant.name}"] = partial(
            offline, made.bundle, variant, file, min(OFFLINE_S, limit_s)
        )
    steps[NAIVE] = partial(through_kafka, bench, Rival("naive_pipeline", (str(made.model),)), limit_s)
    return bench.alternate(
        f"{TITLE}, {name}", steps, lambda _: backlog(bench, name, text_events(texts), len(texts))
    )


def check(bundle: Bundle, variant: Variant) -> None:
    """Refuse what is not here.

    Raises:
        NotRun: the variant or its library is missing.
    """
    if variant.device == "openvino" and importlib.util.find_spec("openvino") is None:
        raise NotRun("openvino is not installed")
    if variant.variant != "bf16" and variant.variant not in bundle.manifest.variants:
        raise NotRun(f"the bundle has no variant {variant.variant}")


def ours(bench: Bench, bundle: Bundle, variant: Variant, limit_s: float, work: Backlog) -> Rated:
    """Our worker over a backlog."""
    check(bundle, variant)
    settings = (("device", variant.device), ("variant", variant.variant))
    return through_kafka(bench, Ours(bundle.path, settings=settings), limit_s, work)


def through_kafka(bench: Bench, way: Way, limit_s: float, work: Backlog) -> Rated:
    """Any way over a backlog."""
    found = work_off(bench, way, work, limit_s, batches, POLL_S)
    return Rated(found.steady.rate, found.steady.cpu_us / 1e3, found.notes.get("fill", math.nan), found.notes)


def batches(running: Running) -> dict[str, float]:
    """Medians of a worker's inferences; nothing of a rival."""
    if not isinstance(running, WorkerProcess):
        return {}
    told = Scrape.read(running.exposition())
    return {
        "fill": told.median("labelstream_batch_fill_ratio"),
        "rows": told.median("labelstream_batch_rows"),
        "tokens": told.median("labelstream_batch_tokens"),
        "infer_ms": told.median("labelstream_stage_duration_seconds", stage="infer") * 1e3,
    }


def offline(bundle: Bundle, variant: Variant, file: Path, seconds: float, _work: Backlog) -> Rated:
    """The bound."""
    check(bundle, variant)
    found = ask("benchmarks.speed.offline", bundle.path, variant.variant, variant.device, file, seconds)
    texts = found["texts"]
    return Rated(
        texts / found["infer_s"],
        found["cpu_s"] / texts * 1e3,
        found["fill"],
        {"tokens_per_text": found["tokens"] / texts},
    )


def flop_per_token(bundle: Bundle) -> float:
    """Of the layers' matrices: four of hidden x hidden, two of hidden x intermediate; attention left out."""
    config = json.loads((bundle.path / "config.json").read_text())
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    return float(config["num_hidden_layers"] * 2 * (4 * hidden**2 + 2 * hidden * wide))


def add(done: Section, name: str, found: dict[str, Runs[Rated]], flops: float, bundle: Bundle) -> None:
    """The table, checks and notes of one set of texts."""
    rates = {row: runs.figures(lambda r: r.rate) for row, runs in found.items() if runs.done}
    naive = rates.get(NAIVE, [])
    lengths = [r.notes["tokens_per_text"] for row in found if row.startswith(BOUND) for r in found[row].done]
    rows = []
    for row, values in rates.items():
        runs = found[row].done
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
        rows.append([f"arithmetic's bound fp32, {spread(lengths).median:.1f} tokens a text", f"{limit:,.0f}"])
        rows[-1] += ["–"] * 4
    columns = [
        "way",
        "texts/s, median (least – most)",
        "CPU ms/text",
        "real / padded tokens",
        "× naive",
        "of the offline bound",
    ]
    done.tables.append(Table(f"{name}", columns, rows))
    done.notes += [f"{name}, {note}" for note in failures(found)]
    for variant in VARIANTS:
        own = rates.get(f"{OURS} {variant.name}", [])
        if beside := ratios(own, rates.get(f"{BOUND} {variant.name}", [])):
            done.checks.append(
                at_least(f"{name}, {variant.name} by offline bound", spread(beside).median, 0.9)
            )
        other, factor = TARGETS[variant.name]
        if beside := ratios(own, rates.get(other, [])):
            done.checks.append(at_least(f"{name}, {variant.name} by {other}", spread(beside).median, factor))
        notes = [r.notes for r in found[f"{OURS} {variant.name}"].done] if own else []
        if notes:
            told = {key: spread([n[key] for n in notes]).median for key in notes[0]}
            done.notes.append(
                f"{name}, {OURS} {variant.name}: median inference of {told['rows']:.0f} rows and"
                f" {told['tokens']:.0f} padded tokens in {told['infer_ms']:.1f} ms."
            )


def _ratio(values: list[float]) -> str:
    return spread(values).text(2) if values else "–"


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"
