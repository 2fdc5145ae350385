"""Stability of the worker's resident memory."""

from statistics import fmean, linear_regression

from benchmarks.speed.backlog import Backlog, Measurement, backlog, drain
from benchmarks.speed.bundles import bench_bundle
from benchmarks.speed.context import Bench, failure_notes
from benchmarks.speed.events import small_events
from benchmarks.speed.report import Section, Table, at_most
from benchmarks.speed.stats import Sample, memory_steps
from benchmarks.speed.systems import FREE_WORKER, LabelstreamWorker

TITLE = "Memory over two million events"
EVENTS = 2_000_000
QUICK = 200_000
LIMIT_S = 300.0
METHOD = (
    "The worker with the free model of above, caches off; its resident memory is sampled ten times per"
    " second. The two million events are counted after a warm-up of two fifths as many, in which queues and"
    " allocator reach their final size. The table shows the run with the largest deviation."
)


def run(bench: Bench) -> Section:
    """Run the group."""
    counted = bench.size(EVENTS, QUICK)
    count = counted + counted * 2 // 5
    ours = LabelstreamWorker(bench_bundle(bench, "tiny").bundle.path, FREE_WORKER)

    def measure(work: Backlog) -> Measurement:
        return drain(bench, ours, work, LIMIT_S)

    results = bench.alternate(
        TITLE, {"labelstream": measure}, lambda _: backlog(bench, "memory", small_events(count), count)
    )
    section = Section(TITLE, METHOD, notes=failure_notes(results))
    traces = [memory_steps(m.trace, count - counted, count) for runs in results.values() for m in runs.done]
    if traces:
        worst = max(traces, key=_max_deviation)
        mean = _mean(worst)
        rows = [
            [
                f"{step.events:,}",
                f"{step.rss_bytes / 2**20:.1f}",
                f"{step.rss_bytes / mean - 1:+.1%}",
            ]
            for step in worst
        ]
        section.tables.append(Table("", ["events labelled", "resident MiB", "deviation from the mean"], rows))
        section.checks.append(at_most("largest deviation from the mean", 100 * _max_deviation(worst), 5, "%"))
        trend = max(traces, key=lambda steps: abs(_trend(steps)))
        section.checks.append(
            at_most("absolute trend over two million events", 100 * abs(_trend(trend)), 5, "%")
        )
    return section


def _mean(steps: list[Sample]) -> float:
    return fmean(step.rss_bytes for step in steps)


def _max_deviation(steps: list[Sample]) -> float:
    """Return the largest deviation from the mean, as a share of the mean."""
    mean = _mean(steps)
    return max(abs(step.rss_bytes / mean - 1) for step in steps)


def _trend(steps: list[Sample]) -> float:
    """Return the change of a fitted line from the first to the last sample, as a share of the mean."""
    events, sizes = [step.events for step in steps], [step.rss_bytes for step in steps]
    return linear_regression(events, sizes).slope * (events[-1] - events[0]) / _mean(steps)
