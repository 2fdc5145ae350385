"""`labelstream bundles`: list, show and compare bundles, choose the latest version, sign and verify."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from stream.bundle import (
    Bundle,
    Manifest,
    StoreEntry,
    compare_bundles,
    describe_agreement,
    describe_bundle,
    entry_as_json,
    folder_size,
    latest_version,
    read_bundle,
    read_store,
    roll_back,
)
from stream.bundle import promote as make_latest
from stream.commands.bundle_signatures import sign, verify
from stream.commands.terminal import table_console
from stream.errors import UsageError
from stream.wording import BUNDLE_FORMS, count_of

DATE = slice(0, 16)
# A bundle can have thousands of labels; --json prints all.
MAX_METRICS = 20
MAX_LABELS = 50
MAX_VALUE_CHARS = 2000
MORE = "more; --json prints all"

Store = Annotated[Path, typer.Option(help="Folder with the bundles.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Spec = Annotated[
    str,
    typer.Argument(help=f"Bundle: {BUNDLE_FORMS}.", metavar="BUNDLE"),
]

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="List, show, compare, sign and verify bundles, and choose the latest version.",
)
app.command()(sign)
app.command()(verify)


@app.command("list")
def list_bundles(*, bundle_store: Store = Path("bundles"), json: Json = False) -> None:
    """List the bundles of the store: versions, task, size, creation time and test metric.

    labelstream bundles list

    labelstream bundles list --bundle-store /srv/bundles --json
    """
    found = [*read_store(bundle_store)]
    if json:
        _print_json([entry_as_json(entry) for entry in found])
        return
    if not found:
        _line(f"no bundles in {bundle_store}/; to create one: labelstream train DATA --name NAME")
        return
    table = Table(
        *(Column("name", overflow="fold"), "latest", "versions", "task"),
        *("labels", "size", "created", "metric"),
        box=SIMPLE_HEAD,
    )
    for entry in found:
        table.add_row(*map(Text, _cells(entry)))
    table_console().print(table)


@app.command()
def show(bundle: Spec, *, bundle_store: Store = Path("bundles"), json: Json = False) -> None:
    """Show a bundle: task, labels, settings, variants with their parity, and test metrics.

    labelstream bundles show support

    labelstream bundles show support@3 --json
    """
    found = read_bundle(bundle, bundle_store)
    if json:
        _print_json(describe_bundle(found))
        return
    _print_identity(found, latest_version(bundle_store, found.manifest.name))
    _print_settings(found)
    _print_variants(found.manifest)
    _print_metrics(found.manifest)


@app.command()
def diff(before: Spec, after: Spec, *, bundle_store: Store = Path("bundles"), json: Json = False) -> None:
    """Show the differences of two bundles in labels, settings, test metrics and variants.

    labelstream bundles diff support@2 support@3

    labelstream bundles diff support@2 support --json
    """
    old, new = read_bundle(before, bundle_store), read_bundle(after, bundle_store)
    differences = compare_bundles(old, new)
    if json:
        _print_json({"before": old.reference, "after": new.reference, **differences})
    elif not differences:
        _line(f"{old.reference} and {new.reference} do not differ")
    else:
        _print_label_changes(differences.get("labels", {}))
        _print_value_changes(differences, old.reference, new.reference)


@app.command()
def promote(
    bundle: Annotated[str, typer.Argument(help="NAME@VERSION in the store.", metavar="NAME@VERSION")],
    *,
    bundle_store: Store = Path("bundles"),
) -> None:
    """Make a version the latest, atomically. Workers started with NAME from then on run it.

    labelstream bundles promote support@3
    """
    name, at, version = bundle.partition("@")
    if not name or not at or not version:
        raise UsageError(
            f"{bundle!r} has no version", fix="name a version: labelstream bundles promote support@3"
        )
    before = latest_version(bundle_store, name)
    make_latest(bundle_store / name, version)
    _line(f"{name}: latest is {version}" + (f", was {before}" if before != version else ", unchanged"))


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="Name of a bundle in the store.", metavar="NAME")],
    *,
    bundle_store: Store = Path("bundles"),
) -> None:
    """Make the previous latest version the latest again. Each further rollback goes back one more version.

    No version is changed or removed. Without a history of promotions the next lower version is taken.

        labelstream bundles rollback support
    """
    before = latest_version(bundle_store, name)
    version = roll_back(bundle_store / name)
    _line(f"{name}: latest is {version}, was {before}")


def _print_identity(bundle: Bundle, latest: str | None) -> None:
    mark = "  latest" if latest == bundle.manifest.version else ""
    _line(f"{bundle.reference}{mark}  {bundle.path}  {_size(folder_size(bundle.path))}  {bundle.digest}")


def _print_settings(bundle: Bundle) -> None:
    manifest, values = bundle.manifest, describe_bundle(bundle)
    if bundle.origin:
        _line(f"origin        {bundle.origin}")
    _line(f"created       {values['created_at']}")
    labels = [*manifest.labels[:MAX_LABELS]]
    labels += [f"{more:,} {MORE}"] if (more := len(manifest.labels) - MAX_LABELS) > 0 else []
    _line(f"task          {manifest.task}, {count_of(len(manifest.labels), 'label')}: {', '.join(labels)}")
    for name in ("max_length", "temperature", "abstain_below", "values", "thresholds", "target", "windows"):
        if values.get(name) is not None:
            _line(f"{name.ljust(13)} {_plain(values[name])}")
    for column in manifest.metadata or ():
        _line(f"metadata      {column.name}, {column.kind}")


def _print_variants(manifest: Manifest) -> None:
    table = Table(
        "variant",
        "device",
        "size",
        "largest logit difference",
        "tolerance",
        "agreement",
        "parity check",
        box=SIMPLE_HEAD,
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
            f"{parity.verdict}, accepted" if parity.accepted_by_user else parity.verdict or "",
        )
    table_console().print(table)
    for name, entry in manifest.variants.items():
        if entry.parity.real is not None:
            _line(f"real texts    {name}: same decision for {describe_agreement(entry.parity)}")
    for name, reason in manifest.skipped_variants.items():
        _line(f"left out      {name}: {reason}")


def _print_metrics(manifest: Manifest) -> None:
    test = manifest.metrics.get("test", {})
    for name, value in list(test.items())[:MAX_METRICS] if isinstance(test, dict) else ():
        if isinstance(value, int | float):
            _line(f"test {name}: {value:g}")


def _print_label_changes(labels: Mapping[str, Any]) -> None:
    for mark, name in (("+", "added"), ("-", "removed")):
        changed = labels.get(name, ())
        for label in changed[:MAX_LABELS]:
            _line(f"labels    {mark} {label}")
        if (more := len(changed) - MAX_LABELS) > 0:
            _line(f"labels    {mark} {more:,} {MORE}")
    if labels.get("reordered"):
        _line("labels    in a different order")


def _print_value_changes(differences: Mapping[str, Any], old: str, new: str) -> None:
    table = Table("", Column(overflow="fold"), old, new, box=SIMPLE_HEAD)
    for part in ("settings", "metrics", "variants"):
        for name, (before, after) in differences.get(part, {}).items():
            table.add_row(*map(Text, (part, name, _plain(before), _plain(after))))
    if table.row_count:
        table_console().print(table)


def _line(line: str) -> None:
    """Print a line without markup or wrapping."""
    Console(soft_wrap=True, highlight=False).print(line, markup=False)


def _cells(entry: StoreEntry) -> list[str]:
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
    if isinstance(value, float):
        return f"{value:g}"
    text = value if isinstance(value, str) else _json(value)
    more = len(text) - MAX_VALUE_CHARS
    return f"{text[:MAX_VALUE_CHARS]}… {more:,} characters {MORE}" if more > 0 else text


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _print_json(value: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.buffer.flush()
