"""End-to-end latency, from the timestamp of a text to the arrival of its label."""

import json
import math
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from time import monotonic

from benchmarks.speed.arrivals import Arrivals
from benchmarks.speed.backlog import PARTITIONS, backlog, drain
from benchmarks.speed.bundles import bench_bundle
from benchmarks.speed.context import Bench, Runs, failure_notes
from benchmarks.speed.events import small_events, text_events
from benchmarks.speed.open_loop import (
    BROKER_WARM_UP_RATE,
    BROKER_WARM_UP_S,
    DRAIN_S,
    LoadedWorker,
    Model,
    check_producer,
    producer,
    started_worker,
    warm_broker,
)
from benchmarks.speed.report import Section, Table, at_most
from benchmarks.speed.scrape import Scrape
from benchmarks.speed.stats import percentile, spread
from benchmarks.speed.systems import FREE_WORKER, Endpoints, LabelstreamWorker
from benchmarks.speed.texts import text_sets, unique_texts, write_texts
from tests.real.wait import until

TITLE = "Latency, end to end"
SHARES = (0.2, 0.5, 0.8)
SECONDS, QUICK_SECONDS = 20.0, 5.0
WARM_UP_S, QUICK_WARM_UP_S = 2.0, 1.0
LIMIT_S, QUICK_LIMIT_S = 12.0, 4.0
CHECKED_SHARE = 0.5
ALLOWED_MS = 50.0
STAGE = "labelstream_stage_duration_seconds"
METHOD = (
    "Open loop: a producer in its own process sends at a constant rate, whatever the worker does, and sets"
    " the timestamp of each record to its due time, which label events keep. The delay is the time at which"
    " a consumer on the same machine receives the label event, minus the timestamp; it reads one of the"
    " four partitions. Producer and consumer run at niceness -5 where that is permitted and without"
    " Python's garbage collection, because their own delays would count against the worker. Each run takes"
    f" {SECONDS:g} s, of which the first {WARM_UP_S:g} s are dropped. The maximum is the throughput of the"
    " worker in the same setup, with producer, consumer and broker on the same cores, while more is"
    f" produced than it can label. Before all runs the broker serves {BROKER_WARM_UP_RATE} events/s for"
    f" {BROKER_WARM_UP_S:g} s, because a cold JVM uses most of a core to compile. Batch time and wait are"
    " medians of the worker's own histograms over the same time span."
)


@dataclass(frozen=True, slots=True)
class Delays:
    """Delays of one run at one rate, in milliseconds.

    Attributes:
        rate: the produced events per second.
        p50: the median delay from the timestamp of a text to the arrival of its label.
        p95: the 95th percentile of the delay.
        p99: the 99th percentile of the delay.
        batch_ms: the median inference time of a batch.
        wait_ms: the median time of an event in the queue.
        linger_ms: the worker's setting.
        late_ms: the largest delay of the producer itself.
    """

    rate: float
    p50: float
    p95: float
    p99: float
    batch_ms: float
    wait_ms: float
    linger_ms: float
    late_ms: float


def run(bench: Bench) -> Section:
    """Run the group."""
    name, texts = next(iter(text_sets(bench.options.data).items()))
    texts_file = write_texts(bench.options.work / f"{name}.set.jsonl", texts)
    bundle = bench_bundle(bench, "minilm").bundle
    models = [
        Model("free model", LabelstreamWorker(bench_bundle(bench, "tiny").bundle.path, FREE_WORKER), None),
        Model(
            f"MiniLM, {name}",
            LabelstreamWorker(bundle.path, settings=(("device", "auto"), ("variant", "auto"))),
            texts_file,
        ),
    ]
    warm_broker(bench)
    section = Section(TITLE, METHOD)
    rows: list[list[str]] = []
    for model in models:
        rows += measure(bench, model, texts, section)
    columns = ["load", "events/s", "p50 ms", "p95 ms", "p99 ms", "median batch ms", "median wait ms"]
    section.tables.append(Table("median (min – max) of the repeats", columns, rows))
    return section


def measure(bench: Bench, model: Model, texts: list[str], section: Section) -> list[list[str]]:
    """Measure the rows of one model."""
    shares = {f"{model.name}, {share:.0%}": share for share in SHARES}
    if not any(map(bench.options.wants, shares)):
        return []
    backlog_rate = maximum(bench, model, texts)
    with started_worker(bench, model) as loaded:
        maximum_rate = sustained(bench, model, backlog_rate, loaded)
    systems = {row: partial(under_load, bench, model, share * maximum_rate) for row, share in shares.items()}
    results = bench.alternate(f"{TITLE}, {model.name}", systems, lambda _: started_worker(bench, model))
    section.notes += [
        f"{model.name}: the maximum was {maximum_rate:,.0f} events/s; on a backlog, with only the worker and"
        f" the broker running, it was {backlog_rate:,.0f}.",
        *failure_notes(results),
    ]
    for row, share in shares.items():
        if share == CHECKED_SHARE and row in results and results[row].done:
            add_check(section, row, results[row])
    return [_row(name, runs.done) for name, runs in results.items() if runs.done]


def add_check(section: Section, row: str, runs: Runs[Delays]) -> None:
    """Check p99 against the limit of linger + 3 x median batch time + 50 ms."""
    batch = spread(runs.figures(lambda d: d.batch_ms)).median
    limit = runs.done[0].linger_ms + 3 * (0 if math.isnan(batch) else batch) + ALLOWED_MS
    p99 = spread(runs.figures(lambda d: d.p99)).median
    what = f"{row}: p99, limit linger + 3 × median batch + {ALLOWED_MS:g} ms"
    section.checks.append(at_most(what, p99, round(limit, 1), " ms", digits=1))


def maximum(bench: Bench, model: Model, texts: list[str]) -> float:
    """Measure the events per second on a backlog."""
    if model.texts is None:
        count = bench.size(1_500_000, 100_000)
        values = small_events(count)
    else:
        count = bench.size(40_000, 16_000)
        values = text_events(unique_texts(texts, count))
    limit_s = QUICK_LIMIT_S if bench.options.quick else LIMIT_S
    with backlog(bench, "maximum", values, count) as work:
        bench.show_step(f"{model.name}: the maximum")
        return drain(bench, model.worker, work, limit_s).steady_state.rate


def sustained(bench: Bench, model: Model, rate: float, loaded: LoadedWorker) -> float:
    """Measure the events labelled per second while the producer is faster than the worker."""
    seconds = QUICK_SECONDS if bench.options.quick else SECONDS
    arrivals = Arrivals(loaded.endpoints.broker, loaded.endpoints.target)
    with closing(arrivals), producer(model, rate, seconds, loaded) as child:

        def has_label() -> bool:
            check_producer(child)
            return _label_count(bench, loaded.endpoints) > 0

        until(has_label, DRAIN_S, "the first label")
        started, before = monotonic(), _label_count(bench, loaded.endpoints)
        arrivals.read(lambda: None if child.alive else 0)
        return (_label_count(bench, loaded.endpoints) - before) / (monotonic() - started)


def under_load(bench: Bench, model: Model, rate: float, loaded: LoadedWorker) -> Delays:
    """Measure the delays of one run at a constant rate.

    Raises:
        EndedError: the producer or the worker ended by itself.
        TimeoutError: labels were still missing 20 s after the last text.
    """
    seconds = QUICK_SECONDS if bench.options.quick else SECONDS
    warm_up_s = QUICK_WARM_UP_S if bench.options.quick else WARM_UP_S
    endpoints = loaded.endpoints
    # A backlog of the previous run would delay the events of this one.
    until(lambda: _unlabelled(bench, endpoints) == 0, DRAIN_S, "the end of the previous run's backlog")
    arrivals = Arrivals(endpoints.broker, endpoints.target)
    before = Scrape.read(loaded.worker.exposition())
    with closing(arrivals), producer(model, rate, seconds, loaded) as child:
        sent: dict[str, float] = {}

        def expected() -> int | None:
            loaded.worker.check()
            check_producer(child)
            if child.alive:
                return None
            sent.update(json.loads(child.tail(1)))
            return math.ceil(sent["sent"] / PARTITIONS)

        if not arrivals.read(expected):
            raise TimeoutError(f"labels were missing 20 s after the last of {sent['sent']:,.0f} texts")
        scrape = Scrape.read(loaded.worker.exposition()).since(before)
        first_counted_ms = sent["began_ms"] + warm_up_s * 1e3
        delays = [delay for stamp, delay in arrivals.delays if stamp >= first_counted_ms]
        return Delays(
            rate=rate,
            p50=percentile(delays, 0.50),
            p95=percentile(delays, 0.95),
            p99=percentile(delays, 0.99),
            batch_ms=scrape.median(STAGE, stage="infer") * 1e3,
            wait_ms=scrape.median(STAGE, stage="queue") * 1e3,
            linger_ms=float(loaded.worker.info()["settings"]["linger_ms"]),
            late_ms=sent["late_ms"],
        )


def _label_count(bench: Bench, endpoints: Endpoints) -> int:
    return sum(bench.kafka.end_offsets(endpoints.target).values())


def _unlabelled(bench: Bench, endpoints: Endpoints) -> int:
    return sum(bench.kafka.end_offsets(endpoints.source).values()) - _label_count(bench, endpoints)


def _row(name: str, runs: list[Delays]) -> list[str]:
    figures = [
        [d.p50 for d in runs],
        [d.p95 for d in runs],
        [d.p99 for d in runs],
        [d.batch_ms for d in runs],
        [d.wait_ms for d in runs],
    ]
    cells = ["–" if math.isnan(values[0]) else spread(values).text(1) for values in figures]
    return [name, f"{runs[0].rate:,.0f}", *cells]
