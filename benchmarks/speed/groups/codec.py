"""The free model with one function of the compiled codec replaced at a time: what each function saves."""

from functools import partial

from benchmarks.speed.backlog import Backlog, Measurement, backlog, drain
from benchmarks.speed.bundles import bench_bundle
from benchmarks.speed.codec_twins import REPLACED
from benchmarks.speed.context import Bench, Runs, failure_notes
from benchmarks.speed.events import small_events
from benchmarks.speed.groups.free import EVENTS, LIMIT_S, QUICK, QUICK_LIMIT_S
from benchmarks.speed.report import Section, Table, at_most
from benchmarks.speed.stats import ratios, spread
from benchmarks.speed.systems import FREE_WORKER, Baseline, LabelstreamWorker, System

TITLE = "Codec: what each compiled function saves"
WHOLE, LOOP = "all compiled", "plain aiokafka loop, getmany + send_batch"
MAX_US, MAX_RATIO = 4.2, 1.25
CODEC_WORKER = "benchmarks.speed.codec_worker"
METHOD = (
    "The worker, the model and the events of the free model's group, with one function of the compiled codec"
    " replaced at a time. The difference is the median, over the repeats, of the CPU beyond that of the"
    " unchanged worker in the same repeat. A label record that Python writes is packed afterwards, which the"
    " figure includes. Without unpack there are no packed records, so that row is the whole codec in Python."
)


def run(bench: Bench) -> Section:
    """Run the group."""
    bundle = bench_bundle(bench, "tiny").bundle.path
    systems: dict[str, System] = {
        WHOLE: LabelstreamWorker(bundle, FREE_WORKER),
        **{
            title: LabelstreamWorker(bundle, ("benchmarks.speed.codec_worker", name))
            for name, title in REPLACED.items()
        },
        LOOP: Baseline("aiokafka_loop"),
    }
    count = bench.size(EVENTS, QUICK)
    steps = {name: partial(_measure, bench, system) for name, system in systems.items()}
    found = bench.alternate(TITLE, steps, lambda _: backlog(bench, "codec", small_events(count), count))
    return section(found, count)


def _measure(bench: Bench, system: System, work: Backlog) -> Measurement:
    return drain(bench, system, work, QUICK_LIMIT_S if bench.options.quick else LIMIT_S)


def section(found: dict[str, Runs[Measurement]], count: int) -> Section:
    """Return the table of the results."""
    costs = {name: runs.figures(lambda m: m.steady_state.cpu_us) for name, runs in found.items() if runs.done}
    whole = costs.get(WHOLE, [])
    rows = []
    for name, values in costs.items():
        more = [own - base for own, base in zip(values, whole, strict=False)]
        beyond = f"{spread(more).median:+.2f}" if more and name in REPLACED.values() else "–"
        rows.append([name, spread(values).text(2), beyond])
    columns = ["replaced", "CPU µs/event, median (min – max)", "difference, µs"]
    done = Section(TITLE, METHOD, [Table(f"{count:,} events", columns, rows)], notes=failure_notes(found))
    if whole:
        done.checks.append(at_most("worker CPU per event", spread(whole).median, MAX_US, " µs"))
        if beside := ratios(whole, costs.get(LOOP, [])):
            done.checks.append(at_most("times the plain aiokafka loop", spread(beside).median, MAX_RATIO))
    return done
