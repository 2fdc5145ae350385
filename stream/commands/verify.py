"""`labelstream verify`: check that a bundle is intact and matches its trained PyTorch model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from stream.bundle import Bundle, Parity, open_bundle
from stream.classify import Tokeniser, check_servable
from stream.errors import BundleError
from stream.runtime import Choice, open_runtimes, runnable_choices
from stream.verify import (
    RowDifference,
    accepted_limits,
    compare,
    infer_all,
    largest_differences,
    parity_limits,
    read_lengths,
    read_reference,
    within_tolerance,
)
from stream.wording import BUNDLE_FORMS

# The unit that is counted and the agreement that is required, by head.
COLUMNS = {
    "single-label": ("rows", "same label"),
    "multi-label": ("rows", "same decisions"),
    "regression": ("rows", "within tolerance"),
    "token": ("tokens", "same tag"),
}


@dataclass(frozen=True, slots=True)
class VariantResult:
    """The parity of a variant on a device.

    Attributes:
        choice: the device and the variant.
        parity: the measurement here, with the limits of the manifest.
        worst: the row with the largest difference.
        accepted: the tolerance and the required agreement of a variant that the user accepted, else None.
    """

    choice: Choice
    parity: Parity
    worst: RowDifference
    accepted: tuple[float, float] | None = None

    @property
    def within_limits(self) -> bool:
        """True if the variant is within the limits of its parity check."""
        return within_tolerance(self.parity)

    @property
    def passed(self) -> bool:
        """True if the variant is within its limits, or was accepted and is not worse than at export."""
        if self.within_limits or self.accepted is None:
            return self.within_limits
        tolerance, agreement = self.accepted
        return self.parity.max_abs_logit_diff <= tolerance and self.parity.label_agreement >= agreement

    @property
    def status(self) -> str:
        """The cell of the table, with markup."""
        if self.within_limits:
            return "[green]ok[/]"
        return "[yellow]accepted[/]" if self.passed else "[red]FAIL[/]"


def verify(
    bundle: Annotated[
        str,
        typer.Argument(help=f"Bundle: {BUNDLE_FORMS}.", metavar="BUNDLE"),
    ],
    bundle_store: Annotated[Path, typer.Option(help="Folder with the bundles.")] = Path("bundles"),
) -> None:
    """Check a bundle's digests, and compare its variants with the stored logits of the PyTorch model.

    Every variant is run on those devices of its parity check that are available here; the output lists the
    others. PyTorch is not needed. The exit code is 3 when a file was changed or a variant exceeds its
    tolerance. A variant that was published with --accept-variant may exceed it as far as at export.

        labelstream verify support

        labelstream verify bundles/support/3
    """
    console = Console()
    opened = open_bundle(bundle, bundle_store)
    if opened.origin:
        console.print(opened.origin, markup=False, highlight=False, soft_wrap=True)
    check_servable(opened.manifest)
    choices, not_run = runnable_choices(opened.manifest)
    results = [*_compare_variants(opened, choices, console)]
    _print_results(console, opened, results, not_run)
    if failed := [result for result in results if not result.passed]:
        raise _parity_error(failed[0], COLUMNS[opened.manifest.head][1])


def _compare_variants(bundle: Bundle, choices: Sequence[Choice], console: Console) -> Iterator[VariantResult]:
    manifest, tokeniser = bundle.manifest, Tokeniser(bundle)
    rows, reference = read_reference(bundle)
    lengths = read_lengths(bundle, len(rows))
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for choice in choices:
            task = progress.add_task(f"verify {choice.variant} on {choice.device}", total=len(rows))
            runtime = open_runtimes(bundle, choice, sessions=1)[0]
            logits = infer_all(runtime, tokeniser, rows, lambda n, task=task: progress.advance(task, n))  # type: ignore[misc]
            tolerance, agreement = parity_limits(manifest, choice.variant)
            parity = compare(
                reference, logits, tolerance=tolerance, min_label_agreement=agreement, manifest=manifest
            )
            worst = largest_differences(rows, reference, logits, lengths=lengths)[0]
            accepted = None
            if manifest.is_accepted_by_user(choice.variant):
                accepted = accepted_limits(manifest.variants[choice.variant].parity)
            yield VariantResult(choice, parity, worst, accepted)


def _print_results(
    console: Console, bundle: Bundle, results: Sequence[VariantResult], not_run: Sequence[str]
) -> None:
    counted, agreed = COLUMNS[bundle.manifest.head]
    table = Table("variant", "device", counted, "largest logit difference", "tolerance", agreed, "status")
    for result in results:
        parity = result.parity
        table.add_row(
            result.choice.variant,
            result.choice.device,
            str(parity.rows),
            f"{parity.max_abs_logit_diff:.2e}",
            f"{parity.tolerance:g}",
            f"{parity.label_agreement:.2%}",
            result.status,
        )
    console.print(
        f"[bold]{bundle.reference}[/]  {bundle.path}  {len(bundle.manifest.files)} files, digests match"
    )
    console.print(table)
    for name, entry in bundle.manifest.variants.items():
        if entry.parity.accepted_by_user:
            note = f"accepted: {name} did not pass its parity check at export; only --variant {name} uses it"
            console.print(note, soft_wrap=True, markup=False, highlight=False)
    for line in not_run:
        console.print(f"not run: {line}", soft_wrap=True, markup=False, highlight=False)


def _parity_error(result: VariantResult, agreed: str) -> BundleError:
    return BundleError(
        f"variant {result.choice.variant} on {result.choice.device} does not match the trained model",
        cause=f"the logits of row {result.worst.row} differ by {result.worst.logit_diff:.3g}; "
        f"{agreed}: {result.parity.label_agreement:.2%}",
        fix="export the bundle again, or use another variant",
    )
