"""A free model, JSON in and out, 200-byte events: what Kafka, Faust and our own code cost."""

from functools import partial

from benchmarks.speed.backlog import Backlog, Measured, backlog, work_off
from benchmarks.speed.bundles import bundle_of
from benchmarks.speed.context import Bench, Runs, failures
from benchmarks.speed.events import small_events
from benchmarks.speed.report import Section, Table, at_least, at_most
from benchmarks.speed.stats import ratios, spread
from benchmarks.speed.ways import FREE_WORKER, UNMETERED_WORKER, Ours, Rival, Way

TITLE = "Free model: what streaming costs"
EVENTS = 2_000_000
QUICK = 400_000
LIMIT_S = 15.0
QUICK_LIMIT_S = 5.0
OURS, UNMETERED, STOCK = "labelstream", "labelstream, metrics off", "stock Faust, take + send"
METHOD = (
    "Constant logits, no tokenizer; JSON in, JSON out; 200-byte events, every text unique, a key and one"
    " header kept, caches off. One topic of 4 partitions is loaded beforehand in each repeat, and each way"
    " reads it from the start with a group of its own, until its end or for 15 s. Rates and CPU are those"
    " between 10% and 95% of what came out, counted in the output topic's end offsets; CPU is the process's,"
    " all threads, without the broker's. All ways publish, wait for confirmation and commit. Ours"
    " writes the whole label event (model, source, times), the others id, label, score and scores; the loop"
    " with our records has our decoder and encoder too, as they are in Python, and answers every text alike."
    " With metrics off the same worker runs with instruments that do nothing."
)


def run(bench: Bench) -> Section:
    """Run the group."""
    bundle = bundle_of(bench, "tiny").bundle.path
    ways: dict[str, Way] = {
        OURS: Ours(bundle, FREE_WORKER),
        UNMETERED: Ours(bundle, UNMETERED_WORKER),
        STOCK: Rival("stock_faust"),
        "plain aiokafka loop, getmany + send_batch": Rival("aiokafka_loop"),
        "plain aiokafka loop with our records": Rival("aiokafka_contract"),
        "plain confluent-kafka loop": Rival("confluent_loop"),
    }
    count = bench.size(EVENTS, QUICK)
    steps = {name: partial(_measure, bench, way) for name, way in ways.items()}
    found = bench.alternate(TITLE, steps, lambda _: backlog(bench, "free", small_events(count), count))
    return section(found, count)


def _measure(bench: Bench, way: Way, work: Backlog) -> Measured:
    return work_off(bench, way, work, QUICK_LIMIT_S if bench.options.quick else LIMIT_S)


def section(found: dict[str, Runs[Measured]], count: int) -> Section:
    """The tables of what was found."""
    rates = {name: runs.figures(lambda m: m.steady.rate) for name, runs in found.items() if runs.done}
    costs = {name: runs.figures(lambda m: m.steady.cpu_us) for name, runs in found.items() if runs.done}
    stock = rates.get(STOCK, [])
    rows = []
    for name, values in rates.items():
        beside = ratios(values, stock)
        rows.append(
            [
                name,
                spread(values).text(),
                spread(costs[name]).text(2),
                spread(beside).text(1) if beside else "–",
            ]
        )
    columns = ["way", "events/s, median (least – most)", "CPU µs/event", "× stock Faust"]
    done = Section(TITLE, METHOD, [Table(f"{count:,} events", columns, rows)], notes=failures(found))
    if OURS in rates:
        done.checks += [
            at_most("worker CPU per event", spread(costs[OURS]).median, 6, " µs"),
            at_least("events per second", spread(rates[OURS]).median, 150_000, digits=0),
        ]
        if beside := ratios(costs.get(UNMETERED, []), costs[OURS]):
            spent = 100 * (1 - spread(beside).median)
            done.checks.append(at_most("part of the CPU that metrics cost", spent, 5, " %", digits=1))
        if beside := ratios(rates[OURS], stock):
            done.checks.append(at_least("times stock Faust", spread(beside).median, 25, digits=1))
    return done
