"""Does the worker's memory stay where it is?"""

from statistics import fmean, linear_regression

from benchmarks.speed.backlog import Backlog, Measured, backlog, work_off
from benchmarks.speed.bundles import bundle_of
from benchmarks.speed.context import Bench, failures
from benchmarks.speed.events import small_events
from benchmarks.speed.report import Section, Table, at_most
from benchmarks.speed.stats import Sample, memory_steps
from benchmarks.speed.ways import FREE_WORKER, Ours

TITLE = "Memory over two million events"
EVENTS = 2_000_000
QUICK = 200_000
LIMIT_S = 300.0
METHOD = (
    "The free-model worker of above, caches off; its resident memory is sampled ten times a second. The two"
    " million events are counted after a warm-up of two fifths as many, in which queues and allocator reach"
    " their size. The table is the run that moved most."
)


def run(bench: Bench) -> Section:
    """Run the group."""
    counted = bench.size(EVENTS, QUICK)
    count = counted + counted * 2 // 5
    ours = Ours(bundle_of(bench, "tiny").bundle.path, FREE_WORKER)

    def measure(work: Backlog) -> Measured:
        return work_off(bench, ours, work, LIMIT_S)

    found = bench.alternate(
        TITLE, {"labelstream": measure}, lambda _: backlog(bench, "memory", small_events(count), count)
    )
    done = Section(TITLE, METHOD, notes=failures(found))
    every = [memory_steps(m.trace, count - counted, count) for runs in found.values() for m in runs.done]
    if every:
        worst = max(every, key=_strayed)
        middle = _middle(worst)
        rows = [
            [
                f"{step.events:,}",
                f"{step.rss_bytes / 2**20:.1f}",
                f"{step.rss_bytes / middle - 1:+.1%}",
            ]
            for step in worst
        ]
        done.tables.append(Table("", ["events labelled", "resident MiB", "against their mean"], rows))
        done.checks.append(at_most("farthest from the mean", 100 * _strayed(worst), 5, "%"))
        trend = max(every, key=lambda steps: abs(_trend(steps)))
        done.checks.append(
            at_most("trend over the two million, either way", 100 * abs(_trend(trend)), 5, "%")
        )
    return done


def _middle(steps: list[Sample]) -> float:
    return fmean(step.rss_bytes for step in steps)


def _strayed(steps: list[Sample]) -> float:
    """How far memory ever was from its mean, as a share of that."""
    middle = _middle(steps)
    return max(abs(step.rss_bytes / middle - 1) for step in steps)


def _trend(steps: list[Sample]) -> float:
    """What a straight line through all samples gains from the first to the last, as a share of the mean."""
    events, sizes = [step.events for step in steps], [step.rss_bytes for step in steps]
    return linear_regression(events, sizes).slope * (events[-1] - events[0]) / _middle(steps)
