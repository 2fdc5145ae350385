"""From a text's timestamp to its label's arrival, at shares of the most that the worker can do."""

import json
import math
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from time import monotonic

from benchmarks.speed.arrivals import Arrivals
from benchmarks.speed.backlog import PARTITIONS, backlog, work_off
from benchmarks.speed.bundles import bundle_of
from benchmarks.speed.context import Bench, Runs, failures
from benchmarks.speed.events import small_events, text_events
from benchmarks.speed.open_loop import (
    BROKER_WARM_UP_RATE,
    BROKER_WARM_UP_S,
    DRAIN_S,
    Loaded,
    Model,
    producing,
    started,
    warm_broker,
)
from benchmarks.speed.report import Section, Table, at_most
from benchmarks.speed.scrape import Scrape
from benchmarks.speed.stats import percentile, spread
from benchmarks.speed.texts import text_sets, unique_texts, write_texts
from benchmarks.speed.ways import FREE_WORKER, Ours, Place
from tests.real.process import EndedError
from tests.real.wait import until

TITLE = "Latency, end to end"
SHARES = (0.2, 0.5, 0.8)
SECONDS, QUICK_SECONDS = 20.0, 5.0
WARM_UP_S, QUICK_WARM_UP_S = 2.0, 1.0
LIMIT_S, QUICK_LIMIT_S = 12.0, 4.0
JUDGED = 0.5
ALLOWED_MS = 50.0
STAGE = "labelstream_stage_duration_seconds"
METHOD = (
    "Open loop: a producer of its own process sends at a constant rate, whatever the worker does, and stamps"
    " each record with the moment at which it was due; label events carry that timestamp on. The delay is the"
    " time at which a consumer on the same machine holds the label event, less the timestamp; one of the four"
    " partitions is read. Producer and consumer run at a niceness of -5 where that is permitted, and without"
    " Python's garbage collection: were they late, it would be counted against the worker."
    f" {SECONDS:g} s each, the first {WARM_UP_S:g} s dropped. The maximum is what the"
    " worker gets through in this very arrangement, while more is produced than it can label: producer,"
    f" consumer and broker take part of the same cores. Before that the broker serves"
    f" {BROKER_WARM_UP_S:g} s of {BROKER_WARM_UP_RATE} events/s: a cold JVM takes most of a core for its own"
    " compilation. Batch time and wait are medians from the worker's own histograms over the same span."
)


@dataclass(frozen=True, slots=True)
class Delays:
    """One run at one rate, in milliseconds."""

    rate: float
    p50: float
    p95: float
    p99: float
    batch_ms: float
    wait_ms: float
    linger_ms: float
    late_ms: float
    """By how much the producer was ever late."""


def run(bench: Bench) -> Section:
    """Run the group."""
    name, texts = next(iter(text_sets(bench.options.data).items()))
    file = write_texts(bench.options.work / f"{name}.set.jsonl", texts)
    made = bundle_of(bench, "minilm").bundle
    models = [
        Model("free model", Ours(bundle_of(bench, "tiny").bundle.path, FREE_WORKER), None),
        Model(f"MiniLM, {name}", Ours(made.path, settings=(("device", "auto"), ("variant", "auto"))), file),
    ]
    warm_broker(bench)
    done = Section(TITLE, METHOD)
    rows: list[list[str]] = []
    for model in models:
        rows += measure(bench, model, texts, done)
    columns = ["load", "events/s", "p50 ms", "p95 ms", "p99 ms", "median batch ms", "median wait ms"]
    done.tables.append(Table("median (least – most) of the repeats", columns, rows))
    return done


def measure(bench: Bench, model: Model, texts: list[str], done: Section) -> list[list[str]]:
    """The rows of one model."""
    shares = {f"{model.name}, {share:.0%}": share for share in SHARES}
    if not any(map(bench.options.wants, shares)):
        return []
    backlog_rate = maximum(bench, model, texts)
    with started(bench, model) as loaded:
        most = sustained(bench, model, backlog_rate, loaded)
    steps = {row: partial(under_load, bench, model, share * most) for row, share in shares.items()}
    found = bench.alternate(f"{TITLE}, {model.name}", steps, lambda _: started(bench, model))
    done.notes += [
        f"{model.name}: the maximum was {most:,.0f} events/s; over a backlog, with nothing beside the worker "
        f"but the broker, it was {backlog_rate:,.0f}.",
        *failures(found),
    ]
    for row, share in shares.items():
        if share == JUDGED and row in found and found[row].done:
            judge(done, row, found[row])
    return [_row(name, runs.done) for name, runs in found.items() if runs.done]


def judge(done: Section, row: str, runs: Runs[Delays]) -> None:
    """Hold p99 against linger + 3 x median batch time + 50 ms, and note what that was."""
    batch = spread(runs.figures(lambda d: d.batch_ms)).median
    limit = runs.done[0].linger_ms + 3 * (0 if math.isnan(batch) else batch) + ALLOWED_MS
    p99 = spread(runs.figures(lambda d: d.p99)).median
    what = f"{row}: p99 against linger + 3 × median batch + {ALLOWED_MS:g} ms"
    done.checks.append(at_most(what, p99, round(limit, 1), " ms", digits=1))


def maximum(bench: Bench, model: Model, texts: list[str]) -> float:
    """Events per second over a backlog."""
    if model.texts is None:
        count = bench.size(1_500_000, 100_000)
        values = small_events(count)
    else:
        count = bench.size(40_000, 16_000)
        values = text_events(unique_texts(texts, count))
    limit_s = QUICK_LIMIT_S if bench.options.quick else LIMIT_S
    with backlog(bench, "maximum", values, count) as work:
        bench.tell(f"{model.name}: the maximum")
        return work_off(bench, model.ours, work, limit_s).steady.rate


def sustained(bench: Bench, model: Model, rate: float, loaded: Loaded) -> float:
    """Events per second that are labelled while they are produced at a rate that is too high."""
    seconds = QUICK_SECONDS if bench.options.quick else SECONDS
    arrivals = Arrivals(loaded.place.broker, loaded.place.target)
    with closing(arrivals), producing(model, rate, seconds, loaded) as child:
        until(lambda: _end(bench, loaded.place) > 0, DRAIN_S, "the first label")
        began, before = monotonic(), _end(bench, loaded.place)
        arrivals.read(lambda: None if child.alive else 0)
        return (_end(bench, loaded.place) - before) / (monotonic() - began)


def under_load(bench: Bench, model: Model, rate: float, loaded: Loaded) -> Delays:
    """One run at a rate.

    Raises:
        EndedError: the producer or the worker ended by itself.
        TimeoutError: labels were still missing 20 s after the last text.
    """
    seconds = QUICK_SECONDS if bench.options.quick else SECONDS
    warm_up_s = QUICK_WARM_UP_S if bench.options.quick else WARM_UP_S
    place = loaded.place
    # What an overloaded run has left behind would delay this one's events.
    until(lambda: _left(bench, place) == 0, DRAIN_S, "the end of what the run before has left behind")
    arrivals = Arrivals(place.broker, place.target)
    before = Scrape.read(loaded.worker.exposition())
    with closing(arrivals), producing(model, rate, seconds, loaded) as child:
        sent: dict[str, float] = {}

        def expected() -> int | None:
            loaded.worker.check()
            if child.alive:
                return None
            if child.returncode:
                raise EndedError(f"the producer ended with {child.returncode}:\n{child.tail()}")
            sent.update(json.loads(child.tail(1)))
            return math.ceil(sent["sent"] / PARTITIONS)

        if not arrivals.read(expected):
            raise TimeoutError(f"labels were missing 20 s after the last of {sent['sent']:,.0f} texts")
        told = Scrape.read(loaded.worker.exposition()).since(before)
        began = sent["began_ms"] + warm_up_s * 1e3
        delays = [delay for stamp, delay in arrivals.delays if stamp >= began]
        return Delays(
            rate=rate,
            p50=percentile(delays, 0.50),
            p95=percentile(delays, 0.95),
            p99=percentile(delays, 0.99),
            batch_ms=told.median(STAGE, stage="infer") * 1e3,
            wait_ms=told.median(STAGE, stage="queue") * 1e3,
            linger_ms=float(loaded.worker.info()["settings"]["linger_ms"]),
            late_ms=sent["late_ms"],
        )


def _end(bench: Bench, place: Place) -> int:
    return sum(bench.kafka.end_offsets(place.target).values())


def _left(bench: Bench, place: Place) -> int:
    return sum(bench.kafka.end_offsets(place.source).values()) - _end(bench, place)


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
