"""What other formats of events and outputs cost beside labelstream's own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from benchmarks.speed.backlog import Backlog, Measurement, backlog, drain
from benchmarks.speed.bundles import bench_bundle
from benchmarks.speed.context import Bench, Runs, failure_notes
from benchmarks.speed.events import nested_events, small_events
from benchmarks.speed.report import Section, Table, at_most
from benchmarks.speed.stats import ratios, spread
from benchmarks.speed.systems import FREE_WORKER, LabelstreamWorker

TITLE = "Formats: what mapped events and other outputs cost"
EVENTS = 1_000_000
QUICK = 200_000
LIMIT_S = 15.0
QUICK_LIMIT_S = 5.0
NATIVE, MAPPED = "labelstream's own events", "text and id by paths"
OWN, NESTED, CLOUD = "own", "nested", "cloud"
ATTRIBUTES = (("ce_specversion", b"1.0"), ("ce_id", b"c-1"), ("ce_source", b"/shop"), ("ce_type", b"t"))
METHOD = (
    "The worker with the free model, measured as above: events of 200 bytes with unique texts, caches off. In"
    " the mapped rows the text and the id are two levels deep in the event. Each repeat loads one topic per"
    " shape of event."
)
Settings = tuple[tuple[str, object], ...]
PATHS: Settings = (("text_field", "data.body.content"), ("id_field", "data.key"))


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: the shape of the events, and the settings of the worker."""

    shape: str
    settings: Settings = ()


ROWS: Mapping[str, Row] = {
    NATIVE: Row(OWN),
    MAPPED: Row(NESTED, PATHS),
    "text, id and a metadata column by paths": Row(NESTED, (*PATHS, ("metadata_fields", "channel=channel"))),
    "text by a template": Row(NESTED, (("text_template", "{channel}: {data.body.content}"), PATHS[1])),
    "own events, output with two copied fields": Row(OWN, (("include", "text,metadata.channel"),)),
    "own events, output = enrich": Row(OWN, (("output", "enrich"),)),
    "own events, output as binary CloudEvents": Row(OWN, (("output_format", "cloudevents-binary"),)),
    "binary CloudEvents in and out": Row(CLOUD),
}
MAX_RATIO = 2.0


def run(bench: Bench) -> Section:
    """Run the group."""
    bundle = bench_bundle(bench, "tiny").bundle.path
    count = bench.size(EVENTS, QUICK)
    steps = {
        name: partial(_measure, bench, LabelstreamWorker(bundle, FREE_WORKER, row.settings), row.shape)
        for name, row in ROWS.items()
    }
    results = bench.alternate(TITLE, steps, lambda _: _loaded(bench, count))
    return section(results, count)


@contextmanager
def _loaded(bench: Bench, count: int) -> Iterator[Mapping[str, Backlog]]:
    with (
        backlog(bench, OWN, small_events(count), count) as own,
        backlog(bench, NESTED, nested_events(count), count) as nested,
        backlog(bench, CLOUD, small_events(count), count, ATTRIBUTES) as cloud,
    ):
        yield {OWN: own, NESTED: nested, CLOUD: cloud}


def _measure(
    bench: Bench, worker: LabelstreamWorker, shape: str, loaded: Mapping[str, Backlog]
) -> Measurement:
    return drain(bench, worker, loaded[shape], QUICK_LIMIT_S if bench.options.quick else LIMIT_S)


def section(results: dict[str, Runs[Measurement]], count: int) -> Section:
    """Return the section of the results."""
    costs = {
        name: runs.figures(lambda m: m.steady_state.cpu_us) for name, runs in results.items() if runs.done
    }
    native = costs.get(NATIVE, [])
    rows = []
    for name, values in costs.items():
        rates = results[name].figures(lambda m: m.steady_state.rate)
        relative = ratios(values, native)
        rows.append(
            [
                name,
                spread(rates).text(),
                spread(values).text(2),
                spread(relative).text(2) if relative else "–",
            ]
        )
    columns = ["events and outputs", "events/s, median (min – max)", "CPU µs/event", "× own events"]
    result = Section(TITLE, METHOD, [Table(f"{count:,} events", columns, rows)], notes=failure_notes(results))
    if relative := ratios(costs.get(MAPPED, []), native):
        result.checks.append(
            at_most("CPU per mapped event relative to labelstream's own", spread(relative).median, MAX_RATIO)
        )
    return result
