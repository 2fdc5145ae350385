"""The free model with one function of the compiled codec replaced at a time: what each function saves."""

from functools import partial

from benchmarks.speed.backlog import Backlog, Measured, backlog, work_off
from benchmarks.speed.bundles import bundle_of
from benchmarks.speed.codec_twins import REPLACED
from benchmarks.speed.context import Bench, Runs, failures
from benchmarks.speed.events import small_events
from benchmarks.speed.groups.free import EVENTS, LIMIT_S, QUICK, QUICK_LIMIT_S
from benchmarks.speed.report import Section, Table, at_most
from benchmarks.speed.stats import ratios, spread
from benchmarks.speed.ways import FREE_WORKER, Ours, Rival, Way

TITLE = "Codec: what each compiled function saves"
WHOLE, LOOP = "all compiled", "plain aiokafka loop, getmany + send_batch"
MAX_US, MAX_RATIO = 4.2, 1.25
METHOD = (
    "The worker, the model and the events of the free model's group, with one function of the compiled codec"
    " replaced at a time. The difference is the median, over the repeats, of the CPU beyond that of the"
    " unchanged worker in the same repeat. A label record that Python writes is packed afterwards, which the"
    " figure includes. Without unpack there are no packed records, so that row is the whole codec in Python."
)


def run(bench: Bench) -> Section:
    """Run the group."""
    bundle = bundle_of(bench, "tiny").bundle.path
    ways: dict[str, Way] = {
        WHOLE: Ours(bundle, FREE_WORKER),
        **{title: Ours(bundle, ("benchmarks.speed.codec_worker", name)) for name, title in REPLACED.items()},
        LOOP: Rival("aiokafka_loop"),
    }
    count = bench.size(EVENTS, QUICK)
    steps = {name: partial(_measure, bench, way) for name, way in ways.items()}
    found = bench.alternate(TITLE, steps, lambda _: backlog(bench, "codec", small_events(count), count))
    return section(found, count)


def _measure(bench: Bench, way: Way, work: Backlog) -> Measured:
    return work_off(bench, way, work, QUICK_LIMIT_S if bench.options.quick else LIMIT_S)


def section(found: dict[str, Runs[Measured]], count: int) -> Section:
    """Return the table of the results."""
    costs = {name: runs.figures(lambda m: m.steady.cpu_us) for name, runs in found.items() if runs.done}
    whole = costs.get(WHOLE, [])
    rows = []
    for name, values in costs.items():
        more = [own - base for own, base in zip(values, whole, strict=False)]
        beyond = f"{spread(more).median:+.2f}" if more and name in REPLACED.values() else "–"
        rows.append([name, spread(values).text(2), beyond])
    columns = ["replaced", "CPU µs/event, median (least – most)", "difference, µs"]
    done = Section(TITLE, METHOD, [Table(f"{count:,} events", columns, rows)], notes=failures(found))
    if whole:
        done.checks.append(at_most("worker CPU per event", spread(whole).median, MAX_US, " µs"))
        if beside := ratios(whole, costs.get(LOOP, [])):
            done.checks.append(at_most("times the plain aiokafka loop", spread(beside).median, MAX_RATIO))
    return done
