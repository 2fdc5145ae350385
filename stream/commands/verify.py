"""`labelstream verify`: is this bundle whole, and does it still say what the trained model said?"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from stream.bundle import open_bundle
from stream.classify.heads import check_servable
from stream.classify.tokenise import Tokeniser
from stream.errors import BundleError
from stream.runtime import open_runtimes, verifiable
from stream.verify.parity import (
    compare,
    infer_all,
    largest_differences,
    read_lengths,
    read_reference,
    terms,
    within_tolerance,
)

# What is counted and what has to stay, by head.
COLUMNS = {
    "single-label": ("rows", "same label"),
    "multi-label": ("rows", "same decisions"),
    "regression": ("rows", "within tolerance"),
    "token": ("tokens", "same tag"),
}


def verify(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or NAME or NAME@VERSION in the store.")],
    bundle_store: Annotated[Path, typer.Option(help="The bundle store.")] = Path("bundles"),
) -> None:
    """Check every digest of a bundle and the parity of its variants with the PyTorch logits stored in it.

    Every variant is run on every device that can be used here; what could not be run is named. Needs no
    torch. Exit code 3 when a byte was changed or a variant is over its tolerance.

        labelstream verify support

        labelstream verify bundles/support/3
    """
    console = Console()
    opened = open_bundle(bundle, bundle_store)
    manifest = opened.manifest
    check_servable(manifest)
    rows, reference = read_reference(opened)
    lengths = read_lengths(opened, len(rows))
    tokeniser = Tokeniser(opened)
    counted, agreed = COLUMNS[manifest.head]
    table = Table("variant", "device", counted, "largest logit difference", "tolerance", agreed, "")
    refused = []
    runs, not_run = verifiable(manifest)
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for choice in runs:
            task = progress.add_task(f"verify {choice.variant} on {choice.device}", total=len(rows))
            runtime = open_runtimes(opened, choice, sessions=1)[0]
            found = infer_all(runtime, tokeniser, rows, lambda n, task=task: progress.advance(task, n))  # type: ignore[misc]
            tolerance, agreement = terms(manifest, choice.variant)
            parity = compare(
                reference, found, tolerance=tolerance, min_label_agreement=agreement, manifest=manifest
            )
            passed = within_tolerance(parity)
            table.add_row(
                choice.variant,
                choice.device,
                str(parity.rows),
                f"{parity.max_abs_logit_diff:.2e}",
                f"{parity.tolerance:g}",
                f"{parity.label_agreement:.2%}",
                "[green]ok[/]" if passed else "[red]refused[/]",
            )
            if not passed:
                worst = largest_differences(rows, reference, found, lengths=lengths)[0]
                refused.append((choice, parity, worst))
    console.print(
        f"[bold]{opened.reference}[/]  {opened.path}  {len(opened.manifest.files)} files, digests match"
    )
    console.print(table)
    for line in not_run:
        console.print(f"not run: {line}", soft_wrap=True, markup=False, highlight=False)
    if refused:
        choice, parity, worst = refused[0]
        raise BundleError(
            f"variant {choice.variant} on {choice.device} does not say what the trained model said",
            cause=f"row {worst.row} moved by {worst.logit_diff:.3g} logits; "
            f"{agreed}: {parity.label_agreement:.2%}",
            fix="export the bundle again, or use another variant",
        )
