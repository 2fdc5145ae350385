"""`labelstream bundles`: what the store holds, and which version is the latest."""

import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.bundle import latest_version, read_bundle
from stream.bundle.summary import Entry, as_json, difference, entries, size_bytes, summary
from stream.bundle.versions import promote as make_latest
from stream.bundle.versions import roll_back
from stream.errors import UsageError

# A cell stays on one line where no terminal sets the limit, so that the output can be searched.
PIPE_COLUMNS = 1000
DATE = slice(0, 16)
# Per-label figures fill pages; --json has them.
MOST_METRICS = 20

Store = Annotated[Path, typer.Option(help="The bundle store.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Spec = Annotated[str, typer.Argument(help="A bundle's folder, or NAME or NAME@VERSION in the store.")]

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="List, show and compare the bundles of the store, and say which version is the latest.",
)


@app.command("list")
def list_bundles(*, bundle_store: Store = Path("bundles"), json: Json = False) -> None:
    """List the bundles of the store: versions, task, size, age, and how good they were on the test split.

    labelstream bundles list

    labelstream bundles list --bundle-store /srv/bundles --json
    """
    found = [*entries(bundle_store)]
    if json:
        _print_json([as_json(entry) for entry in found])
        return
    if not found:
        _line(f"{bundle_store}/ holds no bundles; make one: labelstream train DATA --name NAME")
        return
    table = Table(
        "name", "latest", "versions", "task", "labels", "size", "created", "metric", box=SIMPLE_HEAD
    )
    for entry in found:
        table.add_row(*map(Text, _cells(entry)))
    _console().print(table)


@app.command()
def show(bundle: Spec, *, bundle_store: Store = Path("bundles"), json: Json = False) -> None:
    """Show what a bundle's manifest says: task, labels, settings, variants with their parity, test metrics.

    labelstream bundles show support

    labelstream bundles show support@3 --json
    """
    found = read_bundle(bundle, bundle_store)
    if json:
        _print_json(summary(found))
        return
    manifest = found.manifest
    said = summary(found)
    latest = latest_version(bundle_store, manifest.name)
    told = f"{found.reference}{'  latest' if latest == manifest.version else ''}"
    _line(f"{told}  {found.path}  {_size(size_bytes(found.path))}  {found.digest}")
    _line(f"created       {said['created_at']}")
    _line(f"task          {manifest.task}, {len(manifest.labels)} labels: {', '.join(manifest.labels)}")
    for name in ("max_length", "temperature", "abstain_below", "values", "thresholds", "target", "windows"):
        if said.get(name) is not None:
            _line(f"{name.ljust(13)} {_plain(said[name])}")
    for column in manifest.metadata or ():
        _line(f"metadata      {column.name}, {column.kind}")
    table = Table(
        "variant", "device", "size", "largest logit difference", "tolerance", "agreement", box=SIMPLE_HEAD
    )
    for name, entry in manifest.variants.items():
        parity = entry.parity
        table.add_row(
            name,
            entry.device,
            _size(entry.size_bytes),
            f"{parity.max_abs_logit_diff:.2e}",
            f"{parity.tolerance:g}",
            f"{parity.label_agreement:.2%}",
        )
    _console().print(table)
    test = manifest.metrics.get("test", {})
    for name, value in list(test.items())[:MOST_METRICS] if isinstance(test, dict) else ():
        if isinstance(value, int | float):
            _line(f"test {name}: {value:g}")


@app.command()
def diff(before: Spec, after: Spec, *, bundle_store: Store = Path("bundles"), json: Json = False) -> None:
    """Show what two bundles do not share: labels, settings, test metrics, variants.

    labelstream bundles diff support@2 support@3

    labelstream bundles diff support@2 support --json
    """
    old, new = read_bundle(before, bundle_store), read_bundle(after, bundle_store)
    found = difference(old, new)
    if json:
        _print_json({"before": old.reference, "after": new.reference, **found})
        return
    if not found:
        _line(f"{old.reference} and {new.reference} say the same of themselves")
        return
    for label in found.get("labels", {}).get("added", ()):
        _line(f"labels    + {label}")
    for label in found.get("labels", {}).get("removed", ()):
        _line(f"labels    - {label}")
    if found.get("labels", {}).get("reordered"):
        _line("labels    in another order")
    table = Table("", "", old.reference, new.reference, box=SIMPLE_HEAD)
    for part in ("settings", "metrics", "variants"):
        for name, (was, now) in list(found.get(part, {}).items()):
            table.add_row(*map(Text, (part, name, _plain(was), _plain(now))))
    if table.row_count:
        _console().print(table)


@app.command()
def promote(
    bundle: Annotated[str, typer.Argument(help="NAME@VERSION in the store.", metavar="NAME@VERSION")],
    *,
    bundle_store: Store = Path("bundles"),
) -> None:
    """Make a version the latest, atomically. Workers that are started from now on by NAME run it.

    labelstream bundles promote support@3
    """
    name, at, version = bundle.partition("@")
    if not name or not at or not version:
        raise UsageError(
            f"{bundle!r} does not say which version", fix="write it like: bundles promote support@3"
        )
    before = latest_version(bundle_store, name)
    make_latest(bundle_store / name, version)
    _line(f"{name}: latest is {version}" + (f", was {before}" if before != version else ", as before"))


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="A bundle of the store.")],
    *,
    bundle_store: Store = Path("bundles"),
) -> None:
    """Make that version the latest again which was so before; once more goes one further back.

    No version is changed or removed. Without a memory of what was before, the next lower version is taken.

        labelstream bundles rollback support
    """
    before = latest_version(bundle_store, name)
    version = roll_back(bundle_store / name)
    _line(f"{name}: latest is {version}, was {before}")


def _line(line: str) -> None:
    """Print a line as it is."""
    Console(soft_wrap=True, highlight=False).print(line, markup=False)


def _cells(entry: Entry) -> list[str]:
    if entry.problem:
        return [entry.name, entry.latest, ", ".join(entry.versions), entry.problem, "", "", "", ""]
    metric = f"{entry.metric[0]} {entry.metric[1]:.3f}" if entry.metric else ""
    return [
        entry.name,
        entry.latest,
        ", ".join(entry.versions),
        entry.task,
        str(entry.labels),
        _size(entry.size_bytes),
        entry.created_at[DATE].replace("T", " "),
        metric,
    ]


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _print_json(value: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.buffer.flush()


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_COLUMNS)
