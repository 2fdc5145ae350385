"""The cost of streaming: a free model, JSON in and out, events of 200 bytes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.speed.avro import avro_events, avro_worker, running_registry
from benchmarks.speed.backlog import Backlog, Measurement, backlog, drain
from benchmarks.speed.bundles import bench_bundle
from benchmarks.speed.context import Bench, Runs, failure_notes
from benchmarks.speed.events import small_events
from benchmarks.speed.report import Section, Table, at_least, at_most
from benchmarks.speed.stats import ratios, spread
from benchmarks.speed.systems import (
    FREE_WORKER,
    THOUSAND_WORKER,
    UNMETERED_WORKER,
    Baseline,
    LabelstreamWorker,
    System,
)
from tests.real.collector import Collector

TITLE = "Free model: what streaming costs"
EVENTS = 2_000_000
QUICK = 400_000
LIMIT_S = 15.0
QUICK_LIMIT_S = 5.0
OURS, UNMETERED, STOCK = "labelstream", "labelstream, metrics off", "stock Faust, take + send"
TRACED = "labelstream, tracing at 1%"
AVRO = "labelstream, Avro in"
THOUSAND = "labelstream, 1,000 events per batch"
ONCE = "labelstream, 1,000 events per batch, exactly once"
PLAIN_LOOP = "plain aiokafka loop, getmany + send_batch"
METHOD = (
    "Constant logits and no tokenizer; JSON in and out; events of 200 bytes with unique texts, a key and"
    " one header; caches off. Each repeat loads one topic of 4 partitions in advance, and each system reads"
    " it from the beginning with its own consumer group, to the end or for 15 s. Rates and CPU are measured"
    " between 10% and 95% of the output, which is counted by the end offsets of the output topic. CPU is"
    " that of the system's process over all its threads, without the broker. All systems publish, wait for"
    " the broker's confirmation and commit. labelstream writes the complete label event (model, source,"
    " times); the others write id, label, score and scores. In two rows, record batches hold at most 1,000"
    " events, without and with transactions. The loop with our records also runs our decoder"
    " and encoder in Python, with a constant prediction. With metrics off, the same worker runs with no-op"
    " instruments. With tracing at 1%, the worker traces each hundredth event at random and exports the spans"
    " over OTLP/HTTP to a receiver in another process. With Avro in, it reads the same events as Avro from a"
    " topic of their own, with the schema in an Apicurio Registry, and writes JSON."
)


def run(bench: Bench) -> Section:
    """Run the group."""
    with Collector("http/protobuf") as collector:
        return _run(bench, tuple(collector.variables.items()))


def _run(bench: Bench, collector: tuple[tuple[str, str], ...]) -> Section:
    bundle = bench_bundle(bench, "tiny").bundle.path
    traced = (("tracing", "otlp"), ("trace_ratio", 0.01))
    systems: dict[str, System] = {
        OURS: LabelstreamWorker(bundle, FREE_WORKER),
        TRACED: LabelstreamWorker(bundle, FREE_WORKER, traced, collector),
        UNMETERED: LabelstreamWorker(bundle, UNMETERED_WORKER),
        THOUSAND: LabelstreamWorker(bundle, THOUSAND_WORKER),
        ONCE: LabelstreamWorker(bundle, THOUSAND_WORKER, (("delivery", "exactly_once"),)),
        STOCK: Baseline("stock_faust"),
        PLAIN_LOOP: Baseline("aiokafka_loop"),
        "plain aiokafka loop with our records": Baseline("aiokafka_contract"),
        "plain confluent-kafka loop": Baseline("confluent_loop"),
    }
    count = bench.size(EVENTS, QUICK)
    steps: dict[str, Callable[[Backlog], Measurement]] = {
        name: partial(_measure, bench, system) for name, system in systems.items()
    }
    steps[AVRO] = lambda _: _measure_avro(bench, bundle, count)
    results = bench.alternate(TITLE, steps, lambda _: backlog(bench, "free", small_events(count), count))
    return section(results, count)


def _measure_avro(bench: Bench, bundle: Path, count: int) -> Measurement:
    with (
        running_registry(bench.show_step) as registry,
        backlog(bench, "free-avro", avro_events(registry, count), count) as work,
    ):
        return _measure(bench, avro_worker(bundle, registry), work)


def _measure(bench: Bench, system: System, work: Backlog) -> Measurement:
    return drain(bench, system, work, QUICK_LIMIT_S if bench.options.quick else LIMIT_S)


def section(results: dict[str, Runs[Measurement]], count: int) -> Section:
    """Return the section of the results."""
    rates = {name: runs.figures(lambda m: m.steady_state.rate) for name, runs in results.items() if runs.done}
    costs = {
        name: runs.figures(lambda m: m.steady_state.cpu_us) for name, runs in results.items() if runs.done
    }
    stock = rates.get(STOCK, [])
    rows = []
    for name, values in rates.items():
        paired_ratios = ratios(values, stock)
        rows.append(
            [
                name,
                spread(values).text(),
                spread(costs[name]).text(2),
                spread(paired_ratios).text(1) if paired_ratios else "–",
            ]
        )
    columns = ["system", "events/s, median (min – max)", "CPU µs/event", "× stock Faust"]
    result = Section(TITLE, METHOD, [Table(f"{count:,} events", columns, rows)], notes=failure_notes(results))
    if OURS in rates:
        result.checks += [
            at_most("worker CPU per event", spread(costs[OURS]).median, 4.2, " µs"),
            at_least("events per second", spread(rates[OURS]).median, 150_000, digits=0),
        ]
        if paired_ratios := ratios(costs[OURS], costs.get(PLAIN_LOOP, [])):
            result.checks.append(
                at_most(
                    "CPU per event relative to the plain aiokafka loop", spread(paired_ratios).median, 1.25
                )
            )
        if paired_ratios := ratios(costs.get(UNMETERED, []), costs[OURS]):
            metrics_percent = 100 * (1 - spread(paired_ratios).median)
            result.checks.append(at_most("share of CPU spent on metrics", metrics_percent, 5, " %", digits=1))
        if paired_ratios := ratios(costs.get(TRACED, []), costs[OURS]):
            traces_percent = 100 * (spread(paired_ratios).median - 1)
            result.checks.append(
                at_most("CPU added by tracing 1% of the events", traces_percent, 2, " %", digits=1)
            )
        if paired_ratios := ratios(rates.get(ONCE, []), rates.get(THOUSAND, [])):
            result.checks.append(
                at_least(
                    "throughput of exactly once relative to at least once, 1,000 events per batch",
                    spread(paired_ratios).median,
                    0.7,
                )
            )
        if paired_ratios := ratios(rates[OURS], stock):
            result.checks.append(
                at_least("throughput relative to stock Faust", spread(paired_ratios).median, 30, digits=1)
            )
    return result
