"""`labelstream verify`: is this bundle whole, and does it still say what the trained model said?"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from stream.bundle import open_bundle
from stream.classify.parity import (
    compare,
    infer_all,
    largest_differences,
    read_reference,
    terms,
    within_tolerance,
)
from stream.classify.postprocess import check_task
from stream.classify.tokenise import Tokeniser
from stream.errors import BundleError
from stream.runtime import open_runtimes, verifiable


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
    check_task(opened.manifest)
    rows, reference = read_reference(opened)
    tokeniser = Tokeniser(opened)
    table = Table("variant", "device", "rows", "largest logit difference", "tolerance", "same label", "")
    refused = []
    runs, not_run = verifiable(opened.manifest)
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for choice in runs:
            task = progress.add_task(f"verify {choice.variant} on {choice.device}", total=len(rows))
            runtime = open_runtimes(opened, choice, sessions=1)[0]
            found = infer_all(runtime, tokeniser, rows, lambda n, task=task: progress.advance(task, n))  # type: ignore[misc]
            tolerance, agreement = terms(opened.manifest, choice.variant)
            parity = compare(reference, found, tolerance=tolerance, min_label_agreement=agreement)
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
                refused.append((choice, parity, largest_differences(rows, reference, found)[0]))
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
            why=f"row {worst.row} moved by {worst.logit_diff:.3g} logits; "
            f"{parity.label_agreement:.2%} of the labels stayed",
            mend="export the bundle again, or use another variant",
        )
