"""`labelstream verify`: is this bundle whole, and does it still say what the trained model said?"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from stream.bundle import open_bundle
from stream.classify.parity import compare, infer_all, largest_differences, read_reference, within_tolerance
from stream.classify.postprocess import check_task
from stream.classify.tokenise import Tokeniser
from stream.errors import BundleError
from stream.runtime import OnnxRuntime


def verify(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or NAME or NAME@VERSION in the store.")],
    bundle_store: Annotated[Path, typer.Option(help="The bundle store.")] = Path("bundles"),
) -> None:
    """Check every digest of a bundle and its parity with the PyTorch logits stored in it.

    Needs no torch. Exit code 3 when a byte was changed or a variant is over its tolerance.

        labelstream verify support

        labelstream verify bundles/support/3
    """
    console = Console()
    opened = open_bundle(bundle, bundle_store)
    check_task(opened.manifest)
    rows, reference = read_reference(opened)
    tokeniser = Tokeniser(opened)
    table = Table("variant", "rows", "largest logit difference", "tolerance", "same label", "")
    refused = []
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for name, entry in opened.manifest.variants.items():
            task = progress.add_task(f"verify {name}", total=len(rows))
            runtime = OnnxRuntime(opened, name)
            found = infer_all(runtime, tokeniser, rows, lambda n, task=task: progress.advance(task, n))  # type: ignore[misc]
            parity = compare(
                reference,
                found,
                tolerance=entry.parity.tolerance,
                min_label_agreement=entry.parity.min_label_agreement,
            )
            passed = within_tolerance(parity)
            table.add_row(
                name,
                str(parity.rows),
                f"{parity.max_abs_logit_diff:.2e}",
                f"{parity.tolerance:.0e}",
                f"{parity.label_agreement:.2%}",
                "[green]ok[/]" if passed else "[red]refused[/]",
            )
            if not passed:
                refused.append((name, largest_differences(rows, reference, found)))
    console.print(
        f"[bold]{opened.reference}[/]  {opened.path}  {len(opened.manifest.files)} files, digests match"
    )
    console.print(table)
    if refused:
        name, worst = refused[0]
        raise BundleError(
            f"variant {name} does not say what the trained model said",
            why=f"row {worst[0].row} moved by {worst[0].logit_diff:.3g} logits",
            mend="export the bundle again, or use another variant",
        )
