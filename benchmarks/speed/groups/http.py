"""`labelstream serve` over HTTP, beside the bare model in the process."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.speed.bundles import bench_bundle
from benchmarks.speed.context import Bench, Runs, failure_notes, no_resources
from benchmarks.speed.process import run_module
from benchmarks.speed.report import Section, Table
from benchmarks.speed.stats import ratios, spread
from benchmarks.speed.texts import text_sets, unique_texts, write_texts
from tests.real.serve import ServerProcess, server_process

TITLE = "HTTP"
BOUND = "bare model in process"
CONNECTIONS = {1: 64, 32: 8}
"""The connections of the client by the texts of a request."""

TIMEOUT_S = 120
TEXTS, QUICK_TEXTS = 60_000, 6_000
SECONDS, QUICK_SECONDS = 20.0, 4.0
SHARE = 0.5
VARIANT, DEVICE = "auto", "cpu"
FLAGS = ("--cache-local-entries", 0, "--variant", VARIANT, "--request-timeout-s", TIMEOUT_S)
METHOD = (
    "all-MiniLM-L6-v2 on ONNX Runtime, in the variant that `auto` chooses. Texts are unique, caches are off."
    " The connections of a client in its own process, on the same cores, send each next request when the"
    f" answer has arrived: {CONNECTIONS[1]} connections with one text per request, or {CONNECTIONS[32]} with"
    " 32. This gives the maximum. Then the same client sends at"
    f" {SHARE:.0%} of the maximum at a constant rate, whatever the server does, and the delay of an answer"
    f" counts from the due time of its request. Each run takes {SECONDS:g} s, of which the first fifth is"
    f" dropped. The {BOUND} is the session of the server, driven offline in one process over texts that are"
    " tokenised and sorted by length in advance, with nothing else running."
)


@dataclass(frozen=True, slots=True)
class HttpRun:
    """The figures of one run.

    Attributes:
        texts_s: the texts per second at the maximum.
        requests_s: the requests per second at the maximum, None for the bare model.
        p50_ms: the median delay at half of the maximum, None for the bare model.
        p99_ms: the 99th percentile of the delay at half of the maximum, None for the bare model.
    """

    texts_s: float
    requests_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None


def run(bench: Bench) -> Section:
    """Run the group on the first set of texts."""
    bundle = bench_bundle(bench, "minilm").bundle
    name, texts = next(iter(text_sets(bench.options.data).items()))
    unique = unique_texts(texts, bench.size(TEXTS, QUICK_TEXTS))
    file = write_texts(bench.options.work / f"{name}.http.jsonl", unique)
    systems = {BOUND: partial(bare, bench, bundle.path, file)}
    systems |= {row_name(rows): partial(over_http, bench, bundle.path, file, rows) for rows in CONNECTIONS}
    results = bench.alternate(f"{TITLE}, {name}", systems, no_resources)
    columns = ["system", "requests/s", "texts/s", "of the bare model", "p50 ms at 50%", "p99 ms at 50%"]
    bound = [one.texts_s for one in results[BOUND].done] if BOUND in results else []
    rows = [_row(system, runs, bound) for system, runs in results.items() if runs.done]
    table = Table(f"{name}: median (min – max) of the repeats", columns, rows)
    return Section(TITLE, METHOD, [table], notes=failure_notes(results))


def row_name(rows: int) -> str:
    """Return the name of the row for requests of this size."""
    return f"labelstream serve, {rows} {'text' if rows == 1 else 'texts'} per request"


def bare(bench: Bench, bundle: Path, texts: Path, _: None) -> HttpRun:
    """Run the model without a server."""
    found = run_module("benchmarks.speed.offline", bundle, VARIANT, DEVICE, texts, _seconds(bench))
    return HttpRun(found["texts"] / found["infer_s"])


def over_http(bench: Bench, bundle: Path, texts: Path, rows: int, _: None) -> HttpRun:
    """Measure the maximum of the server, then its delays at half of the maximum."""
    with server_process(bundle, *FLAGS) as server:
        most = _load(bench, server, texts, rows, 0.0)["requests_s"]
        half = _load(bench, server, texts, rows, SHARE * most)
    return HttpRun(most * rows, most, half["p50_ms"], half["p99_ms"])


def _load(bench: Bench, server: ServerProcess, texts: Path, rows: int, rate: float) -> dict[str, float]:
    """Run the client.

    Raises:
        ValueError: the server refused a request.
    """
    module = "benchmarks.speed.http_load"
    figures: dict[str, float] = run_module(
        module, server.port, texts, rows, CONNECTIONS[rows], _seconds(bench), rate
    )
    if figures["refused"]:
        raise ValueError(f"the server refused {figures['refused']:.0f} requests")
    return figures


def _seconds(bench: Bench) -> float:
    return QUICK_SECONDS if bench.options.quick else SECONDS


def _row(name: str, runs: Runs[HttpRun], bound: list[float]) -> list[str]:
    texts = [one.texts_s for one in runs.done]
    cells = [
        _cell([one.requests_s for one in runs.done], 0),
        spread(texts).text(),
        spread(ratios(texts, bound)).text(2) if bound else "–",
        _cell([one.p50_ms for one in runs.done], 1),
        _cell([one.p99_ms for one in runs.done], 1),
    ]
    return [name, *cells]


def _cell(values: list[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    return spread(known).text(digits) if known else "–"
